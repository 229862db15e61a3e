#!/bin/sh
# Runs all tests and `tagseg verify` on three software adapters that differ in what they offer, and counts what passed:
#
#   lavapipe     Mesa's driver with all that it has
#   default      the same with WebGPU's default limits and no optional feature
#   swiftshader  Chromium's driver: 10 storage buffers, 256 invocations, subgroups of 4, no half precision
#
# Names of some of them as arguments run those alone. Logs are left in target/adapters/.
set -eu
cd "$(dirname "$0")/.."
logs=target/adapters
mkdir -p "$logs"

# The file that tells the Vulkan loader of a driver.
lavapipe() {
    find /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d -name 'lvp_icd*.json' 2>/dev/null | head -n 1
}

# Debian's chromium package brings SwiftShader; unpacked here, nothing is installed.
swiftshader() {
    name=vk_swiftshader_icd.json
    found=$(find /usr/lib/chromium "$logs/chromium" -name $name 2>/dev/null | head -n 1)
    if [ -z "$found" ]; then
        (cd "$logs" && apt-get download -qq chromium && dpkg-deb -x chromium_*.deb chromium && rm chromium_*.deb) >&2
        found=$(find "$PWD/$logs/chromium" -name $name | head -n 1)
    fi
    echo "$found"
}

# check NAME LIMITS DRIVER
check() {
    [ -n "$3" ] || { echo "$1: its driver was not found" >&2; exit 1; }
    log=$logs/$1.log
    export TAGSEG_LIMITS="$2" VK_DRIVER_FILES="$3"
    if ! { cargo test && cargo run -q -- verify tests/golden && cargo run -q -- verify; } >"$log" 2>&1; then
        grep -E '^(error|FAIL|test .*FAILED)|panicked at' "$log" || tail -n 20 "$log"
        echo "$1: failed, see $log" >&2
        exit 1
    fi
    passed=$(awk '/^test result: ok/ { count += $4 } END { print count + 0 }' "$log")
    echo "$1: $passed tests pass; verify: $(grep -E '^[0-9]+ of [0-9]+ cases pass' "$log" | paste -sd ';')"
}

for name in ${*:-lavapipe default swiftshader}; do
    case $name in
    lavapipe) check lavapipe adapter "$(lavapipe)" ;;
    default) check default default "$(lavapipe)" ;;
    swiftshader) check swiftshader adapter "$(swiftshader)" ;;
    *) echo "no adapter $name; choose of: lavapipe default swiftshader" >&2; exit 2 ;;
    esac
done
