# Two commands do everything: `make demo` and `make test`. Both first make sure that there is a Vulkan driver.

CARGO ?= cargo

.PHONY: demo test driver clean

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

## Brings a software Vulkan driver where there is no driver at all.
driver:
	@scripts/driver.sh

clean:
	$(CARGO) clean
	rm -rf demo
