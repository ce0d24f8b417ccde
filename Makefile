# make run   builds and starts the server
# make test  installs what the tests need and passes them all
# make lint  rustfmt, clippy and rustdoc, warnings denied
# make soak  many more simulated crashes: SEEDS=20000
# make check-data FILES="a.ndjson b.ndjson"
#            imports files into a new log and compares every filter with what they say
# make bench-search EVENTS="COMMAND"
#            fills a log with what a command writes and times pages of lists
# make install PREFIX=/usr/local DESTDIR=
#            the binary, its manual pages and completions for bash, fish and zsh; also uninstall
# make schemathesis SEED=1
#            validates the OpenAPI document, and sends what it allows and what it forbids
# make test-docs-page
#            opens /docs/ in Chromium
# make drive-api ROWS=words
#            good and bad cases of every row of the tables in docs/api.md, or of rows with words
# make bench-export-memory
#            exports a small and a large log and compares the server's peak memory

CARGO ?= cargo
PROFILE ?= release
PREFIX ?= /usr/local
BINARY ?= target/$(PROFILE)/audittrail
SEEDS ?= 20000
SEED ?= 20261124
EXAMPLES ?= 100

bindir = $(DESTDIR)$(PREFIX)/bin
man1dir = $(DESTDIR)$(PREFIX)/share/man/man1
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
zshdir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions

.PHONY: run test lint bench-search soak check-data schemathesis test-docs-page drive-api install \
	uninstall bench-export-memory FORCE

run:
	$(CARGO) run --locked --profile $(PROFILE) -p audittrail-server -- serve

test:
	tools/test-needs
	PROPTEST_RNG_SEED=$(SEED) $(CARGO) test --workspace --locked
	.test-tools/venv/bin/python3 tools/drive-api target/debug/audittrail
	tools/test-description target/debug/audittrail --seed $(SEED) --max-examples 25
	tools/test-docs-page target/debug/audittrail

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

bench-search:
	$(CARGO) build --locked --profile $(PROFILE) -p audittrail-server
	tools/bench-search $(BINARY) "$(EVENTS)"

soak:
	AUDITTRAIL_SEEDS=$(SEEDS) $(CARGO) test --locked -p audittrail-store-embedded --test it -- --nocapture crashes

check-data:
	$(CARGO) build --locked --profile $(PROFILE) -p audittrail-server
	tools/check-data target/$(PROFILE)/audittrail $(FILES)

schemathesis: $(BINARY)
	tools/test-needs
	tools/test-description $(BINARY) --seed $(SEED) --max-examples $(EXAMPLES)

test-docs-page: $(BINARY)
	tools/test-needs
	tools/test-docs-page $(BINARY)

drive-api: $(BINARY)
	tools/test-needs
	.test-tools/venv/bin/python3 tools/drive-api $(BINARY) "$(ROWS)"

# Not built where BINARY names one that was built elsewhere.
target/$(PROFILE)/audittrail: FORCE
	$(CARGO) build --locked --profile $(PROFILE) -p audittrail-server

install: $(BINARY)
	install -d $(bindir) $(man1dir) $(bashdir) $(fishdir) $(zshdir)
	install -m 755 $(BINARY) $(bindir)/audittrail
	$(BINARY) man --dir $(man1dir)
	$(BINARY) completions bash > $(bashdir)/audittrail
	$(BINARY) completions fish > $(fishdir)/audittrail.fish
	$(BINARY) completions zsh > $(zshdir)/_audittrail

uninstall:
	rm -f $(bindir)/audittrail $(man1dir)/audittrail.1 $(man1dir)/audittrail-*.1 \
	    $(bashdir)/audittrail $(fishdir)/audittrail.fish $(zshdir)/_audittrail

bench-export-memory: $(BINARY)
	tools/bench-export-memory $(BINARY)
