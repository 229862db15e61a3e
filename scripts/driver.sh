#!/bin/sh
# Installs Mesa's software Vulkan driver with the system's package manager if there is no Vulkan driver. macOS and
# Windows include a graphics driver.
set -eu

case "$(uname -s)" in
Linux) ;;
*) exit 0 ;;
esac

for folder in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d; do
    if ls "$folder"/*.json >/dev/null 2>&1; then
        exit 0
    fi
done
if [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then
    exit 0
fi

echo "No Vulkan driver found; installing Mesa's software driver."
"$(dirname "$0")/install.sh" \
    apt="mesa-vulkan-drivers libvulkan1" \
    dnf="mesa-vulkan-drivers vulkan-loader" \
    pacman="vulkan-swrast vulkan-icd-loader" \
    zypper="libvulkan_lvp libvulkan1" \
    apk="mesa-vulkan-swrast vulkan-loader" || {
    echo "Cannot install a Vulkan driver; install one with your package manager (e.g. mesa-vulkan-drivers)." >&2
    exit 1
}
