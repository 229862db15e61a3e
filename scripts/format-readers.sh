#!/bin/sh
# Makes a virtual environment with the programs that read what tagseg writes, for `make test-formats`: pinned versions
# from PyPI in target/format-readers.
set -eu
cd "$(dirname "$0")/.."

folder=target/format-readers
# Label Studio's converter comes without what it needs besides its brushes.
alone="label-studio-converter==0.0.59"
packages="numpy==2.4.6 pycocotools==2.0.11 onnx==1.23.2 onnxruntime==1.32.0 tensorboard==2.21.0 pillow==13.0.0"

if [ "$(cat "$folder/packages" 2>/dev/null || true)" = "$packages $alone" ]; then
    exit 0
fi
echo "Installing the readers of formats into $folder."
command -v python3 >/dev/null 2>&1 || {
    echo "Python 3 with the module venv is needed; install it to test the formats." >&2
    exit 1
}
rm -rf "$folder"
python3 -m venv "$folder" || {
    echo "Cannot make a virtual environment; install the module venv of Python 3 to test the formats." >&2
    exit 1
}
# Unquoted: a list.
# shellcheck disable=SC2086
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check $packages
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps $alone
# Written last: an environment without it is not complete.
echo "$packages $alone" > "$folder/packages"
