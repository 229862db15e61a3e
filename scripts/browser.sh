#!/bin/sh
# Builds the page in examples/browser/ into target/browser/. Installs the standard library for WebAssembly, and
# wasm-bindgen in the version of Cargo.lock, if they are missing.
set -eu
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
out=target/browser
tools=target/tools

fail() {
    echo "browser: $1" >&2
    exit 1
}

if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    command -v rustup >/dev/null 2>&1 ||
        fail "no standard library for $target; install it with rustup or as a package (libstd-rust-dev-wasm32)"
    rustup target add "$target" || fail "rustup cannot install $target; check the network and run again"
fi

version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p;}' Cargo.lock)
if [ "$("$tools/bin/wasm-bindgen" --version 2>/dev/null)" != "wasm-bindgen $version" ]; then
    # Retry without --locked for registries that lack a locked version.
    for locked in --locked ""; do
        # shellcheck disable=SC2086
        cargo install $locked --quiet --root "$tools" --version "$version" --bin wasm-bindgen wasm-bindgen-cli && break
    done
    [ -x "$tools/bin/wasm-bindgen" ] ||
        fail "cargo cannot install wasm-bindgen-cli $version; check the network and run again"
fi

# A separate target folder: builds for the browser and for this machine do not block each other.
cargo build --lib --package tagseg-browser --profile wasm --target "$target" --target-dir target/wasm
mkdir -p "$out"
"$tools/bin/wasm-bindgen" --target web --no-typescript --remove-name-section --remove-producers-section \
    --out-dir "$out" "target/wasm/$target/wasm/tagseg_browser.wasm"
cat src/run/report/report.css examples/browser/page.css >"$out/page.css"
cp examples/browser/index.html examples/browser/page.js models/animals.safetensors examples/photos/*.jpg "$out/"

all=$(du -sk "$out" | cut -f1)
size=$(wc -c <"$out/tagseg_browser_bg.wasm")
packed=$(gzip -9 <"$out/tagseg_browser_bg.wasm" | wc -c)
echo "$out: $((size / 1024)) KiB of WebAssembly, $((packed / 1024)) KiB compressed, $all KiB in all"
