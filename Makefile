# make run   builds and starts the server
# make test  installs what the tests need and passes them all

CARGO ?= cargo
PROFILE ?= release

.PHONY: run test lint

run:
	$(CARGO) run --locked --profile $(PROFILE) -p audittrail-server -- serve

test:
	tools/test-needs
	$(CARGO) test --workspace --locked

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
