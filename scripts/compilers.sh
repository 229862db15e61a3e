#!/bin/sh
# Installs what the tests of tests/compilers/ run on Linux if it is missing: Mesa's driver for AMD's cards, which compiles
# without a card.
set -eu

[ "$(uname -s)" = Linux ] || exit 0

radv=
for folder in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d; do
    if ls "$folder"/radeon*.json >/dev/null 2>&1; then
        radv=yes
    fi
done
if [ -n "$radv" ]; then
    exit 0
fi

echo "Installing Mesa's Vulkan drivers for the tests of compilers."
"$(dirname "$0")/install.sh" \
    apt="mesa-vulkan-drivers libvulkan1" \
    dnf="mesa-vulkan-drivers vulkan-loader" \
    pacman="vulkan-radeon vulkan-icd-loader" \
    zypper="libvulkan_radeon libvulkan1" \
    apk="mesa-vulkan-ati vulkan-loader" || {
    echo "Cannot install them; install them with your package manager (e.g. mesa-vulkan-drivers)." >&2
    exit 1
}
