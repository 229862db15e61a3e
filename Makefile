# `make demo` and `make test` do everything. Both first make sure that there is a Vulkan driver.

CARGO ?= cargo

.PHONY: demo test test-adapters driver clean

## Make data, train on it, write demo/report.html. A few minutes.
demo: driver
	$(CARGO) run --release -- demo --out demo --overwrite

## Everything that must hold: format, lints, docs, shaders, tests.
test: driver
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --lib --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps
	$(CARGO) test
	@echo "The ops, the golden cases and a short training again, with WebGPU's default limits and no optional feature:"
	TAGSEG_LIMITS=default $(CARGO) test --test ops device
	TAGSEG_LIMITS=default $(CARGO) test --test golden the_device
	TAGSEG_LIMITS=default $(CARGO) test --test training two_runs

## All tests on three software adapters that differ in what they offer. Takes an hour on two cores.
test-adapters: driver
	scripts/test-adapters.sh

## Brings a software Vulkan driver where there is no driver at all.
driver:
	@scripts/driver.sh

clean:
	$(CARGO) clean
	rm -rf demo
