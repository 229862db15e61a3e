#!/bin/sh
# Makes sure that there is a Chromium to test the page with: brings it through the system's package manager if not.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done

as_root=
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
fi
echo "No Chromium found: installing it."
if command -v apt-get >/dev/null 2>&1; then
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends chromium
elif command -v dnf >/dev/null 2>&1; then
    $as_root dnf install -y -q chromium
elif command -v pacman >/dev/null 2>&1; then
    $as_root pacman -S --noconfirm --needed chromium
elif command -v zypper >/dev/null 2>&1; then
    $as_root zypper --non-interactive install chromium
elif command -v apk >/dev/null 2>&1; then
    $as_root apk add --no-cache chromium
else
    echo "Install Chromium or Chrome; the page is tested in it." >&2
    exit 1
fi
