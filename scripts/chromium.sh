#!/bin/sh
# Installs Chromium with the system's package manager if there is none. The tests of the page need it.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done

echo "No Chromium found; installing it."
"$(dirname "$0")/install.sh" apt=chromium dnf=chromium pacman=chromium zypper=chromium apk=chromium || {
    echo "Cannot install Chromium; install Chromium or Chrome to test the page." >&2
    exit 1
}
