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

as_root=
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
fi
echo "No Vulkan driver found: installing Mesa's software driver."
if command -v apt-get >/dev/null 2>&1; then
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1
elif command -v dnf >/dev/null 2>&1; then
    $as_root dnf install -y -q mesa-vulkan-drivers vulkan-loader
elif command -v pacman >/dev/null 2>&1; then
    $as_root pacman -S --noconfirm --needed vulkan-swrast vulkan-icd-loader
elif command -v zypper >/dev/null 2>&1; then
    $as_root zypper --non-interactive install libvulkan_lvp libvulkan1
elif command -v apk >/dev/null 2>&1; then
    $as_root apk add --no-cache mesa-vulkan-swrast vulkan-loader
else
    echo "Install a Vulkan driver with your package manager (Mesa's is called mesa-vulkan-drivers or alike)." >&2
    exit 1
fi
