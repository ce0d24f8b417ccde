# make run   builds and starts the server
# make test  installs what the tests need and passes them all
# make lint  rustfmt, clippy and rustdoc, warnings denied
# make soak  many more simulated crashes of the store, and of the whole engine: SEEDS=20000
# make check-data FILES="a.ndjson b.ndjson"
#            imports files into a new log and compares every filter with what they say
# make bench-search EVENTS="cat events.ndjson" DATA=/var/tmp/bench-search
#            fills a log with what a command writes, one entry a line, and times pages of lists;
#            with DATA the log is kept, and measured again as it is the next time
# make bench-budgets ENTRIES=1000000 EVENTS=real.ndjson
#            measures the embedded store against its budgets, and fails if one is missed
# make bench-growth SIZES=100000,1000000,10000000,30000000
#            measures one log as it grows, as a table and a plot in target/growth.svg
# make bench-functions
#            criterion benches of what every entry goes through
# make bench-queue-redis REDIS_URL=redis://localhost
#            rate and latency of the queue in Redis; on a server of its own where none is named
# make crash-soak COUNT=500
#            kills the server (SIGKILL) under load, so many times on one log
# make fault-soak COUNT=500
#            makes system calls of the server fail, one in each run
# make damage
#            flips every bit of every file of a small store, one at a time
# make test-limits
#            takes room, file handles and the right time from servers, and gives them back
# make test-bad-requests
#            sends the requests of docs/bad-requests.md and compares the answers
# make overload-soak SECONDS_OF_LOAD=60 CONNECTIONS=2000
#            sends ten times what a server can take
# make install PREFIX=/usr/local DESTDIR=
#            the binary, its manual pages, completions for bash, fish and zsh and a systemd unit; also
#            uninstall
# make static  a binary that needs nothing of the machine it runs on, for images and releases
# make image IMAGE=audittrail:local
#            an image of it: docs/deploy.md
# make test-image, make test-swarm
#            starts the image as deploy/compose.yml says; deploys it to a swarm and breaks it under load.
#            With a Docker daemon of their own, as root, or DOCKER_OF=this for the one of this machine
# make lint-deploy
#            scripts, workflows, stacks, alerts and unit, by the checkers that are there
# make docs    writes docs/configuration.md from the settings' definitions
# make schemathesis SEED=1
#            validates the OpenAPI document, and sends what it allows and what it forbids
# make test-docs-page
#            opens /docs/ in Chromium
# make test-report-page
#            opens reports in Chromium, as they are and tampered with
# make test-clients
#            the Python clients in testdata beside a published package, and before what is forged
# make test-matrix   the cases of drive-api with every log in MongoDB, without Redis and with it
# make drive-api ROWS=words
#            good and bad cases of every row of the tables in docs/api.md, or of rows with words
# make bench-export-memory
#            exports a small and a large log and compares the server's peak memory
# make fuzz TARGET=evidence SECONDS=600
#            tries inputs for one of the targets in fuzz/: needs nightly Rust and cargo-fuzz
# make fuzz-all SECONDS=600
#            the same for each of them, one after the other
# make fuzz-witness CASES=1000000
#            random and changed policies, requests to witnesses and their answers
# make model   the commit protocol over MongoDB within larger bounds: minutes, and gigabytes
# make failure-table ROWS=words ROUNDS=1
#            breaks one part after the other of a log over Redis and MongoDB, under load: docs/failures.md
# make bench-store-mongo
#            commits to a new mongod beside a bare insertMany of the same documents
# make bench-evidence
#            evidence of a small and a large log: bytes an entry, rates, peak memory

CARGO ?= cargo
PROFILE ?= release
PREFIX ?= /usr/local
BINARY ?= target/$(PROFILE)/audittrail
SEEDS ?= 20000
SEED ?= 20261124
EXAMPLES ?= 100
COUNT ?= 500
ENTRIES ?= 1000000
SIZES ?= 100000,1000000,10000000,30000000
BURST ?= 5
SUSTAINED ?= 60
DIR ?=
SECONDS ?= 600
SECONDS_OF_LOAD ?= 60
CONNECTIONS ?= 2000
CASES ?= 1000000
ROUNDS ?= 1
TARGET ?= evidence
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC ?= target/static/audittrail
IMAGE ?= audittrail:local
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
DOCKER_OF ?= own
image_arch = $(if $(filter aarch64%,$(HOST)),arm64,amd64)

bindir = $(DESTDIR)$(PREFIX)/bin
man1dir = $(DESTDIR)$(PREFIX)/share/man/man1
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
zshdir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
unitdir = $(DESTDIR)$(PREFIX)/lib/systemd/system

.PHONY: run test lint damage bench-search bench-budgets bench-growth bench-functions bench-queue-redis crash-soak \
	fault-soak soak overload-soak check-data schemathesis test-docs-page test-report-page test-clients \
	test-limits test-bad-requests test-matrix drive-api install uninstall bench-export-memory bench-evidence bench-store-mongo model fuzz \
	fuzz-all fuzz-witness static image test-image test-swarm lint-deploy docs failure-table FORCE

run:
	$(CARGO) run --locked --profile $(PROFILE) -p audittrail-server -- serve

test:
	tools/test-needs
	PROPTEST_RNG_SEED=$(SEED) $(CARGO) test --workspace --locked
	.test-tools/venv/bin/python3 tools/drive-api target/debug/audittrail
	tools/test-bad-requests target/debug/audittrail
	tools/test-limits target/debug/audittrail
	tools/test-description target/debug/audittrail --seed $(SEED) --max-examples 25
	tools/test-docs-page target/debug/audittrail
	tools/test-report-page target/debug/audittrail
	.test-tools/venv/bin/python3 tools/test-clients target/debug/audittrail
	tools/crash-soak target/debug/audittrail --kills 10
	tools/fault-soak target/debug/audittrail --count 16
	tools/overload-soak target/debug/audittrail --seconds 5 --connections 300 --patience 60
	.test-tools/venv/bin/python3 tools/failure-table target/debug/audittrail --seconds 1 --seed $(SEED) \
	    --rows "leader-killed redis-killed"

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

bench-search:
	$(CARGO) build --locked --profile $(PROFILE) -p audittrail-server
	tools/bench-search $(BINARY) "$(EVENTS)" $(if $(DATA),--data $(DATA))

# DIR= names the disk to measure, or to keep the soaks' data on; the system's temporary directory.
bench-budgets: $(BINARY)
	$(BINARY) bench --budgets --entries $(ENTRIES) --burst $(BURST) --sustained $(SUSTAINED) \
	    $(if $(EVENTS),--file $(EVENTS)) $(if $(DIR),--dir $(DIR))

bench-growth: $(BINARY)
	$(BINARY) bench --growth $(SIZES) --json $(if $(DIR),--dir $(DIR)) > target/growth.json
	tools/plot-growth target/growth.json > target/growth.svg

bench-functions:
	cd benches && $(CARGO) bench --locked --target-dir ../target/benches

bench-queue-redis:
	$(CARGO) run --locked --profile $(PROFILE) -p audittrail-queue-redis --example bench

crash-soak: $(BINARY)
	tools/crash-soak $(BINARY) --kills $(COUNT) --seed $(SEED) $(if $(DIR),--dir $(DIR))

test-limits: $(BINARY)
	tools/test-limits $(BINARY)

test-bad-requests: $(BINARY)
	tools/test-bad-requests $(BINARY)

overload-soak: $(BINARY)
	tools/overload-soak $(BINARY) --seconds $(SECONDS_OF_LOAD) --connections $(CONNECTIONS) \
	    --seed $(SEED) $(if $(DIR),--dir $(DIR))

failure-table: $(BINARY)
	tools/test-needs
	.test-tools/venv/bin/python3 tools/failure-table $(BINARY) --rows "$(ROWS)" --rounds $(ROUNDS) --seed $(SEED)

fault-soak: $(BINARY)
	tools/fault-soak $(BINARY) --count $(COUNT) --seed $(SEED) $(if $(DIR),--dir $(DIR))

soak:
	AUDITTRAIL_SEEDS=$(SEEDS) $(CARGO) test --locked -p audittrail-store-embedded --test it -- --nocapture crashes
	AUDITTRAIL_SEEDS=$(SEEDS) $(CARGO) test --locked -p audittrail-simulation --test it -- --nocapture what_was_promised

model:
	$(CARGO) test --locked -p audittrail-commit-model --test it -- --ignored --nocapture --test-threads 1

damage:
	AUDITTRAIL_DAMAGE=all $(CARGO) test --locked -p audittrail-store-embedded --test it -- --nocapture damage::

check-data:
	$(CARGO) build --locked --profile $(PROFILE) -p audittrail-server
	tools/check-data target/$(PROFILE)/audittrail $(FILES)

schemathesis: $(BINARY)
	tools/test-needs
	tools/test-description $(BINARY) --seed $(SEED) --max-examples $(EXAMPLES)

test-docs-page: $(BINARY)
	tools/test-needs
	tools/test-docs-page $(BINARY)

test-report-page: $(BINARY)
	tools/test-needs
	tools/test-report-page $(BINARY)

test-clients: $(BINARY)
	tools/test-needs
	.test-tools/venv/bin/python3 tools/test-clients $(BINARY)

test-matrix: $(BINARY)
	tools/test-needs
	for pairing in in-process+mongodb redis+mongodb; do \
	    .test-tools/venv/bin/python3 tools/drive-api $(BINARY) --pairing $$pairing || exit 1; \
	done

drive-api: $(BINARY)
	tools/test-needs
	.test-tools/venv/bin/python3 tools/drive-api $(BINARY) "$(ROWS)"

# Not built where BINARY names one that was built elsewhere.
target/$(PROFILE)/audittrail: FORCE
	$(CARGO) build --locked --profile $(PROFILE) -p audittrail-server

install: $(BINARY)
	install -d $(bindir) $(man1dir) $(bashdir) $(fishdir) $(zshdir) $(unitdir)
	install -m 755 $(BINARY) $(bindir)/audittrail
	$(BINARY) man --dir $(man1dir)
	$(BINARY) completions bash > $(bashdir)/audittrail
	$(BINARY) completions fish > $(fishdir)/audittrail.fish
	$(BINARY) completions zsh > $(zshdir)/_audittrail
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' deploy/audittrail.service > $(unitdir)/audittrail.service

uninstall:
	rm -f $(bindir)/audittrail $(man1dir)/audittrail.1 $(man1dir)/audittrail-*.1 \
	    $(bashdir)/audittrail $(fishdir)/audittrail.fish $(zshdir)/_audittrail \
	    $(unitdir)/audittrail.service

# Of the allocator, the page size is that of the kernel it runs on at the most: 64 KiB on some ARM.
target/static/audittrail: FORCE
	RUSTFLAGS="-C target-feature=+crt-static" $(if $(filter aarch64%,$(HOST)),JEMALLOC_SYS_WITH_LG_PAGE=16) \
	    $(CARGO) build --locked --profile $(PROFILE) --target $(HOST) -p audittrail-server
	install -D target/$(HOST)/$(subst dev,debug,$(PROFILE))/audittrail $@

static: target/static/audittrail

image: $(STATIC)
	deploy/image-context target/image $(image_arch)=$(STATIC)
	docker build --file deploy/Dockerfile --build-arg TARGETARCH=$(image_arch) \
	    --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	    --build-arg CREATED=$$(date -u +%Y-%m-%dT%H:%M:%SZ) --tag $(IMAGE) target/image

test-image: $(STATIC)
	tools/test-image $(STATIC) --docker $(DOCKER_OF)

test-swarm: $(STATIC)
	tools/test-swarm $(STATIC) --docker $(DOCKER_OF)

lint-deploy:
	tools/lint-deploy

docs:
	AUDITTRAIL_WRITE_DOCS=1 $(CARGO) test --locked -p audittrail-server --bin audittrail reference

bench-export-memory: $(BINARY)
	tools/bench-export-memory $(BINARY)

bench-evidence: $(BINARY)
	tools/bench-evidence $(BINARY)

bench-store-mongo:
	tools/test-needs
	$(CARGO) run --locked --profile $(PROFILE) -p audittrail-store-mongo --example commits

fuzz:
	tools/fuzz $(SECONDS) $(TARGET)

fuzz-all:
	tools/fuzz $(SECONDS)

fuzz-witness:
	PROPTEST_CASES=$(CASES) $(CARGO) test --locked -p audittrail-checkpoint --test it any_
	PROPTEST_CASES=$(CASES) $(CARGO) test --locked -p audittrail-checkpoint --test it changed_bits
