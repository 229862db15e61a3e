#!/bin/sh
# Makes a virtual environment with Hugging Face's Transformers for `make test-formats`, in target/transformers: pinned
# versions from PyPI, on the PyTorch of the system, which it installs with apt. PyPI has PyTorch for Linux only with
# gigabytes for graphics cards.
#
# Exits with 3 where there is no PyTorch, and says what to install.
set -eu
cd "$(dirname "$0")/.."

folder=target/transformers
packages="transformers==4.46.3 tokenizers==0.20.3 safetensors==0.5.3 huggingface_hub==0.36.2 regex==2026.11.19 \
filelock==4.3.1 fsspec==2026.9.0 packaging==26.4 tqdm==4.70.1 pillow==11.0.0"

# The first Python that has PyTorch: that of the distribution, or another one.
find_python() {
    for python in /usr/bin/python3 python3; do
        if command -v "$python" >/dev/null 2>&1 && "$python" -c "import torch, venv" >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

if [ "$(cat "$folder/packages" 2>/dev/null || true)" = "$packages" ] && "$folder/bin/python" -c "import torch" 2>/dev/null
then
    exit 0
fi
if ! find_python; then
    if command -v apt-get >/dev/null 2>&1; then
        echo "Installing PyTorch for the tests with Transformers: python3-torch, 150 MB."
        scripts/install.sh apt="python3-torch python3-venv" || true
    fi
    find_python || {
        echo "Not tested with Transformers: no python3 has PyTorch. Install python3-torch (Debian, Ubuntu, Fedora)," >&2
        echo "python-pytorch (Arch), py3-pytorch (Alpine), or elsewhere torch into the python3 of your PATH." >&2
        exit 3
    }
fi
echo "Installing Transformers into $folder."
rm -rf "$folder"
"$python" -m venv --system-site-packages "$folder"
# Unquoted: a list.
# shellcheck disable=SC2086
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check $packages
# Written last: an environment without it is not complete.
echo "$packages" > "$folder/packages"
