#!/bin/sh
# Makes sure that a Vulkan driver is there: brings Mesa's software driver through the system's package manager if not.
# On macOS and Windows the system brings its own graphics interface.
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

echo "No Vulkan driver found: installing Mesa's software driver."
"$(dirname "$0")/install.sh" \
    apt="mesa-vulkan-drivers libvulkan1" \
    dnf="mesa-vulkan-drivers vulkan-loader" \
    pacman="vulkan-swrast vulkan-icd-loader" \
    zypper="libvulkan_lvp libvulkan1" \
    apk="mesa-vulkan-swrast vulkan-loader" || {
    echo "Install a Vulkan driver with your package manager (Mesa's is called mesa-vulkan-drivers or alike)." >&2
    exit 1
}
