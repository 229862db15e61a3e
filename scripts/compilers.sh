#!/bin/sh
# Installs what the tests of tests/compilers/ run if it is missing: on Linux, Mesa's driver for AMD's cards, which compiles
# without a card, and the validator of the SPIR-V tools; and, where there is npm, Dawn's package with the compiler of
# Chromium, which needs no driver, in target/compilers/.
set -eu
cd "$(dirname "$0")/.."

[ "$(uname -s)" = Linux ] || exit 0

radv=
for folder in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d; do
    if ls "$folder"/radeon*.json >/dev/null 2>&1; then
        radv=yes
    fi
done
if [ -z "$radv" ] || ! command -v spirv-val >/dev/null; then
    echo "Installing Mesa's Vulkan drivers and the SPIR-V tools for the tests of compilers."
    scripts/install.sh \
        apt="mesa-vulkan-drivers libvulkan1 spirv-tools" \
        dnf="mesa-vulkan-drivers vulkan-loader spirv-tools" \
        pacman="vulkan-radeon vulkan-icd-loader spirv-tools" \
        zypper="libvulkan_radeon libvulkan1 spirv-tools" \
        apk="mesa-vulkan-ati vulkan-loader spirv-tools" || {
        echo "Cannot install them; use your package manager (e.g. mesa-vulkan-drivers, spirv-tools)." >&2
        exit 1
    }
fi

version=0.6.2
if command -v npm >/dev/null && ! grep -qs "\"version\": \"$version\"" target/compilers/node_modules/webgpu/package.json; then
    echo "Getting Dawn's package webgpu $version for the tests of compilers."
    mkdir -p target/compilers
    npm install --prefix target/compilers --no-audit --no-fund --loglevel=error "webgpu@$version"
fi
