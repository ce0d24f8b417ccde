# make run   builds and starts the server
# make test  installs what the tests need and passes them all
# make lint  rustfmt, clippy and rustdoc, warnings denied
# make soak  many more simulated crashes: SEEDS=20000
# make check-data FILES="a.ndjson b.ndjson"
#            imports files into a new log and compares every filter with what they say

CARGO ?= cargo
PROFILE ?= release
SEEDS ?= 20000

.PHONY: run test lint soak check-data

run:
	$(CARGO) run --locked --profile $(PROFILE) -p audittrail-server -- serve

test:
	tools/test-needs
	$(CARGO) test --workspace --locked

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

soak:
	AUDITTRAIL_SEEDS=$(SEEDS) $(CARGO) test --locked -p audittrail-store-embedded --test it -- --nocapture crashes

check-data:
	$(CARGO) build --locked --profile $(PROFILE) -p audittrail-server
	tools/check-data target/$(PROFILE)/audittrail $(FILES)
