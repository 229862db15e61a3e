# `make demo` runs the demo and `make test` all checks. On Linux both install a software Vulkan driver if there is none.
# `make browser` builds the page for the browser.

CARGO ?= cargo

.PHONY: demo test test-adapters test-formats browser test-browser driver clean

## Make data, train on it, write demo/report.html. A few minutes.
demo: driver
	$(CARGO) run --release -- demo --out demo --overwrite

## Check format, lints, docs, shaders and tests.
test: driver
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --lib --no-default-features --features engine -- -D warnings
	$(CARGO) clippy --lib --no-default-features --features method -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps
	$(CARGO) test
	@echo "The ops, the golden cases and a short training again, with WebGPU's default limits and no optional feature:"
	TAGSEG_LIMITS=default $(CARGO) test --test ops device
	TAGSEG_LIMITS=default $(CARGO) test --test golden the_device
	TAGSEG_LIMITS=default $(CARGO) test --test training two_runs

## All tests on three software adapters that differ in what they offer. Takes an hour on two cores.
test-adapters: driver
	scripts/test-adapters.sh

## What the program writes for other programs, read by these. Installs them from PyPI into target/.
test-formats: driver
	@scripts/format-readers.sh
	$(CARGO) test --test formats

## Builds the page of examples/browser/ into target/browser/.
browser:
	@scripts/browser.sh

## The page in a headless Chromium: its numbers against those computed here, and everything that a person does there.
test-browser: driver browser
	@scripts/chromium.sh
	$(CARGO) test -p tagseg-browser -- --test-threads=1

## Install a software Vulkan driver if none is present.
driver:
	@scripts/driver.sh

clean:
	$(CARGO) clean
	rm -rf demo
