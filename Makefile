# `make demo` runs the demo and `make test` all checks. On Linux both install a software Vulkan driver if there is none.
# `make browser` builds the page for the browser.

CARGO ?= cargo

.PHONY: demo test test-compilers test-compilers-newest test-adapters test-formats test-ranks browser test-browser driver compilers clean

## Make data, train on it, write demo/report.html. A few minutes.
demo: driver
	$(CARGO) run --release -- demo --out demo --overwrite

# Make passes it on.
export TAGSEG_COMPILERS

## Check format, lints, docs, shaders and tests.
test: driver compilers
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

## What the compilers of real cards make of the kernels, with all figures; part of `make test`. TAGSEG_COMPILERS=write
## writes tests/compilers/allowed.md anew.
test-compilers: compilers
	$(CARGO) test --test compilers -- --nocapture

## What the newest compilers for cards of AMD, NVIDIA, Apple, Qualcomm and Intel make of the kernels, without a card, against
## benches/record/compilers.md, which TAGSEG_COMPILERS=write writes anew. Needs apt; six minutes the first time, then two.
test-compilers-newest:
	scripts/newest-compilers.sh
	TAGSEG_NEWEST=$(CURDIR)/target/compilers/newest $(CARGO) test --test compilers -- --ignored --nocapture --exact \
		newest::no_card_refuses_a_kernel

## All tests on three software adapters that differ in what they offer. Takes an hour on two cores.
test-adapters: driver
	scripts/test-adapters.sh

## What the program writes for other programs, read by these. Installs them from PyPI into target/, and PyTorch with apt.
## Where there is no PyTorch, the tests with Transformers are left out, and the last line says so.
test-formats: driver
	@scripts/format-readers.sh
	@scripts/transformers.sh; code=$$?; case $$code in \
	0) $(CARGO) test --test formats ;; \
	3) $(CARGO) test --test formats -- --skip transformers:: && \
		echo "NOT TESTED: folders of Hugging Face's Transformers, since there is no PyTorch (scripts/transformers.sh)." ;; \
	*) exit $$code ;; \
	esac

# The MPI of `make test-ranks`: that of `mpicc` and `mpirun`, or the one that these have as their ending on Debian.
ifdef MPI
test-ranks: export MPICC = mpicc.$(MPI)
test-ranks: export MPIRUN = mpirun.$(MPI)
test-ranks: export CARGO_TARGET_DIR = target/$(MPI)
endif

## Training by several processes against training by one, with Open MPI; `make test-ranks MPI=mpich`: with MPICH beside it.
test-ranks: driver
	scripts/mpi.sh
	$(CARGO) clippy --all-targets --features mpi -- -D warnings
	$(CARGO) test --features mpi --test ranks -- --test-threads=1

## Builds the page of examples/browser/ into target/browser/.
browser:
	@scripts/browser.sh

## Both pages in a headless Chromium: that of examples/browser/, whose numbers are compared with those computed here,
## and that of `tagseg tag`.
test-browser: driver browser
	@scripts/chromium.sh
	$(CARGO) test -p tagseg-browser -- --test-threads=1
	$(CARGO) test --test tag_page -- --test-threads=1

## Install a software Vulkan driver if none is present.
driver:
	@scripts/driver.sh

## Install the compilers of tests/compilers/ if they are missing.
compilers:
	@scripts/compilers.sh

clean:
	$(CARGO) clean
	rm -rf demo
