#!/bin/sh
# Runs all tests and `tagseg verify` on three software adapters with different features, and counts the passed tests:
#
#   lavapipe     Mesa's driver with all its features
#   default      the same driver with WebGPU's default limits and no optional features
#   swiftshader  Chromium's driver: 10 storage buffers, 256 invocations, subgroups of 4, no half precision
#   newest       lavapipe of Debian's newest Mesa, which multiplies cooperative matrices of halves; only the tests of
#                kernels, and only if it is named: scripts/newest-compilers.sh downloads 360 MB
#
# Pass names as arguments to select adapters. Logs are written to target/adapters/. Each log begins with the adapters
# that the program finds; the script fails unless this is only the expected one.
set -eu
cd "$(dirname "$0")/.."
logs=target/adapters
mkdir -p "$logs"

fail() {
    echo "$1" >&2
    exit 1
}

# Path of the Vulkan loader's manifest for lavapipe.
lavapipe() {
    find /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d -name 'lvp_icd*.json' 2>/dev/null | head -n 1
}

# Path of SwiftShader's manifest. Unpacks Debian's chromium package if necessary, without installing it.
swiftshader() {
    name=vk_swiftshader_icd.json
    found=$(find /usr/lib/chromium "$PWD/$logs/chromium" -name $name 2>/dev/null | head -n 1)
    if [ -z "$found" ]; then
        (cd "$logs" && apt-get download -qq chromium && dpkg-deb -x chromium_*.deb chromium && rm chromium_*.deb) >&2
        found=$(find "$PWD/$logs/chromium" -name $name | head -n 1)
    fi
    echo "$found"
}

# Lets cargo start programs with the newest Mesa's libraries, and writes the manifest of its lavapipe.
newest() {
    scripts/newest-compilers.sh
    libraries=$(echo "$PWD"/target/compilers/newest/usr/lib/*-linux-gnu)
    loader=$(echo "$libraries"/ld-linux-*.so.*)
    host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${host}_RUNNER=$loader --library-path $libraries"
    manifest=$PWD/$logs/newest.json
    echo "{\"file_format_version\": \"1.0.1\", \"ICD\": {\"api_version\": \"1.4.0\"," \
        "\"library_path\": \"$libraries/libvulkan_lvp.so\"}}" >"$manifest"
}

# check NAME LIMITS DRIVER ADAPTER [TESTS]
check() {
    [ -n "$3" ] || fail "$1: driver not found"
    log=$logs/$1.log
    # Older loaders read VK_ICD_FILENAMES.
    export TAGSEG_LIMITS="$2" VK_DRIVER_FILES="$3" VK_ICD_FILENAMES="$3"
    cargo run -q -- devices --json >"$log" || fail "$1: no adapter found, see $log"
    adapters=$(sed -n 's/^ *"name": "\(.*\)",$/\1/p' "$log")
    case $(echo "$adapters" | wc -l):$adapters in
    1:*"$4"*) ;;
    *) fail "$1: the tests would run on $adapters" ;;
    esac
    start=$(date +%s)
    # shellcheck disable=SC2086
    if ! { cargo test --no-fail-fast ${5:-} && cargo run -q -- verify tests/golden && cargo run -q -- verify; } \
        >>"$log" 2>&1; then
        grep -E '^(error|FAIL|test .*FAILED)|panicked at' "$log" || tail -n 20 "$log"
        fail "$1: failed, see $log"
    fi
    passed=$(awk '/^test result: ok/ { count += $4 } END { print count + 0 }' "$log")
    minutes=$((($(date +%s) - start + 30) / 60))
    verified=$(grep -E '^[0-9]+ of [0-9]+ cases pass' "$log" | paste -sd ';')
    echo "$1, $adapters: $passed tests pass in $minutes minutes; verify: $verified"
}

for name in ${*:-lavapipe default swiftshader}; do
    case $name in
    lavapipe) check lavapipe adapter "$(lavapipe)" llvmpipe ;;
    default) check default default "$(lavapipe)" llvmpipe ;;
    swiftshader) check swiftshader adapter "$(swiftshader)" SwiftShader ;;
    newest)
        newest
        # Some tests start themselves again, which the loader hides from them.
        tests="--test ops --test golden --test random_graphs --test self_test -- --skip a_session"
        check newest adapter "$manifest" llvmpipe "$tests"
        ;;
    *) echo "no adapter $name; choose from: lavapipe default swiftshader newest" >&2; exit 2 ;;
    esac
done
