#!/bin/sh
# Gets the newest Mesa of Debian into target/compilers/newest/, for `make test-compilers-newest`: Vulkan drivers with the
# libraries that stand for the kernel's drivers of cards (drm-shim), and the SPIR-V tools. They run with the libraries of
# that folder, by its own loader: nothing in the system changes, but that missing tools are installed. No package has such
# a library for Intel's cards; it is built from Mesa's source, which takes three minutes.
#
# Needs Debian or Ubuntu. TAGSEG_MIRROR is the mirror of Debian, if it is not the first one of this system's own list.
set -eu
cd "$(dirname "$0")/.."

folder=$PWD/target/compilers/newest
built=$PWD/target/compilers/mesa
if ! command -v apt-get >/dev/null 2>&1; then
    echo "make test-compilers-newest needs apt, as on Debian or Ubuntu." >&2
    exit 1
fi

# The first mirror of this system that has Debian's packages.
mirror=${TAGSEG_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)}
key=/usr/share/keyrings/debian-archive-keyring.gpg
if [ -z "$mirror" ]; then
    echo "No mirror of Debian is known here; name one by TAGSEG_MIRROR." >&2
    exit 1
fi

if [ ! -e "$folder/complete" ]; then
    echo "Getting Debian's newest Mesa into target/compilers/newest: 360 MB."
    command -v mmdebstrap >/dev/null || scripts/install.sh apt="mmdebstrap debian-archive-keyring"
    rm -rf "$folder"
    mkdir -p "$(dirname "$folder")"
    # The mirror may be a copy of some days ago.
    mmdebstrap --quiet --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' --keyring="$key" \
        --include=mesa-vulkan-drivers,mesa-drm-shim,libvulkan1,spirv-tools sid "$folder" "$mirror"
    touch "$folder/complete"
fi

# Intel's library, from the source of the first suite whose tarball the mirror still has.
shim=libintel_noop_drm_shim.so
libraries=$(echo "$folder"/usr/lib/*-linux-gnu)
[ ! -e "$libraries/$shim" ] || exit 0
echo "Building Intel's library from Mesa's source."
scripts/install.sh apt="gcc g++ pkg-config bison flex ninja-build libdrm-dev zlib1g-dev libexpat1-dev python3-venv xz-utils"
rm -rf "$built"
mkdir -p "$built/lists/partial" "$built/cache/archives/partial"
cd "$built"
for suite in sid stable-backports bookworm-backports stable; do
    echo "deb-src [signed-by=$key] $mirror $suite main" > list
    set -- -o Dir::Etc::sourcelist="$built/list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$built/lists" \
        -o Dir::Cache="$built/cache" -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false
    if apt-get -qq "$@" update && apt-get -qq "$@" source --download-only --tar-only mesa 2>/dev/null; then break; fi
done
if ! ls mesa_*.orig.tar.xz >/dev/null 2>&1; then
    echo "No suite of Debian has Mesa's source here; Intel's cards are left out." >&2
    exit 0
fi
tar xf mesa_*.orig.tar.xz
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check meson mako packaging pyyaml
PATH=$built/python/bin:$PATH
meson setup build mesa-* --buildtype=release -Dtools=drm-shim,intel -Dvulkan-drivers= -Dgallium-drivers= -Dplatforms= \
    -Dglx=disabled -Degl=disabled -Dopengl=false -Dgles1=disabled -Dgles2=disabled -Dllvm=disabled -Dgbm=disabled \
    -Dvideo-codecs= -Dzstd=disabled -Dlibunwind=disabled -Dvalgrind=disabled -Dlmsensors=disabled \
    -Dxmlconfig=disabled > meson.log
ninja -C build src/intel/tools/$shim > ninja.log
cp build/src/intel/tools/$shim "$libraries/"
cd ..
rm -rf "$built"
