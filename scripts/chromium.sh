#!/bin/sh
# Makes sure that there is a Chromium to test the page with: brings it through the system's package manager if not.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done

echo "No Chromium found: installing it."
"$(dirname "$0")/install.sh" apt=chromium dnf=chromium pacman=chromium zypper=chromium apk=chromium || {
    echo "Install Chromium or Chrome; the page is tested in it." >&2
    exit 1
}
