#!/bin/sh
# Installs what the feature `mpi` needs with the system's package manager, if it is missing: an MPI with its compiler
# wrapper and launcher (Open MPI; MPICH if MPICC is mpicc.mpich), and libclang, which reads the MPI's headers when the
# crate `mpi` is built; and `ip`, with which a test takes the network away.
set -eu

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return
    for library in /usr/lib*/libclang*.so* /usr/lib*/*/libclang*.so* /usr/lib/llvm*/lib/libclang*.so* \
        /opt/homebrew/opt/llvm/lib/libclang.dylib /usr/local/opt/llvm/lib/libclang.dylib; do
        [ -e "$library" ] && return
    done
    return 1
}

has() {
    command -v "$1" >/dev/null
}

has_ip() {
    has ip || [ "$(uname -s)" = Darwin ]
}

if has "${MPICC:-mpicc}" && has "${MPIRUN:-mpirun}" && has_libclang && has_ip; then
    exit 0
fi

case "${MPICC:-}" in
*mpich) debian="libmpich-dev mpich" ;;
*) debian="libopenmpi-dev openmpi-bin" ;;
esac

echo "Installing an MPI and libclang."
case "$(uname -s)" in
Darwin) brew install open-mpi llvm ;;
*)
    "$(dirname "$0")/install.sh" \
        apt="$debian libclang-dev clang iproute2" \
        dnf="openmpi-devel clang-devel iproute" \
        pacman="openmpi clang iproute2" \
        zypper="openmpi4-devel clang-devel iproute2" \
        apk="openmpi-dev clang-dev iproute2"
    ;;
esac || {
    echo "Cannot install an MPI; install one with its compiler wrapper (e.g. libopenmpi-dev), and libclang-dev." >&2
    exit 1
}
