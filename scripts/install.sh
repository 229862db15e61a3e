#!/bin/sh
# Installs packages with the system's package manager:
# install.sh apt=NAMES dnf=NAMES pacman=NAMES zypper=NAMES apk=NAMES. Fails if none of these managers is present.
set -eu

as_root=
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
fi
for choice in "$@"; do
    manager=${choice%%=*}
    [ "$manager" != apt ] || manager=apt-get
    command -v "$manager" >/dev/null 2>&1 || continue
    # Split the package names at spaces.
    # shellcheck disable=SC2086
    set -- ${choice#*=}
    case $manager in
    apt-get)
        $as_root apt-get update -qq
        $as_root apt-get install -y -qq --no-install-recommends "$@"
        ;;
    dnf) $as_root dnf install -y -q "$@" ;;
    pacman) $as_root pacman -S --noconfirm --needed "$@" ;;
    zypper) $as_root zypper --non-interactive install "$@" ;;
    apk) $as_root apk add --no-cache "$@" ;;
    esac
    exit 0
done
exit 1
