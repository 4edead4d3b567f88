#!/bin/sh
# bootstrap.sh - takes a fresh Debian 12 to an answer, or to green tests.
#
#   ./bootstrap.sh demo    installs missing packages, builds, asks about sample charts
#   ./bootstrap.sh test    installs missing packages, builds, runs every test
#   ./bootstrap.sh build   installs missing packages and builds what cmake --install needs
set -eu
cd "$(dirname "$0")"

# All Debian packages that are needed. Tests whose packages (the second list) are missing are skipped
# and say so.
build_packages='build-essential cmake ninja-build pkg-config libcjson-dev libpcre2-dev libsodium-dev
    libstb-dev libturbojpeg0-dev libutf8proc-dev libwebp-dev libxxhash-dev'
test_packages='clang clang-format iproute2 libclang-rt-14-dev libopenmpi-dev openmpi-bin xz-utils'

# The compiler and the libraries are those of these packages, whatever the caller's PATH puts first.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-}
export PATH

say() {
    printf 'bootstrap: %s\n' "$*"
}

# missing PACKAGE...: prints those that are not installed
missing() {
    for package; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=absent
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# install PACKAGE...: fails and names the packages that it cannot install
install() {
    if ! command -v dpkg-query >/dev/null; then
        say "no Debian: not checking for $*"
        return 0
    fi
    wanted=$(missing "$@")
    [ -n "$wanted" ] || return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        say "neither root nor sudo to install: $wanted" >&2
        return 1
    fi
    say "installing: $wanted"
    # shellcheck disable=SC2086 # a list of words
    as_root apt-get update -q &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
            $wanted
}

build() { # [TARGET...]
    # shellcheck disable=SC2086
    install $build_packages
    cmake -S . -B build -G Ninja --log-level=WARNING
    cmake --build build --parallel "$(nproc)" ${1:+--target "$@"}
}

ask() { # QUESTION OPTION...
    question=$1
    shift
    printf '\n$ build/vlqa %s --question "%s"\n' "$*" "$question"
    build/vlqa "$@" --question "$question"
}

demo() {
    build vlqa
    # Charts drawn by matplotlib, plotly and a spreadsheet.
    ask 'What value does HTML/CSS have?' --image assets/samples/matplotlib-2.png
    ask 'How many categories does the chart have?' --image assets/samples/plotly-2.png
    ask 'What number is shown for Fofon?' --image assets/samples/calc-2.png
    # The answer lies in several of four chunks that are computed without each other.
    ask 'What value does Rats have?' --reuse infoflow --chunk grid:2 --halo 0 --image assets/samples/plotly-2.png
    ask 'In which image is POPLAR higher?' --image assets/samples/026a.png --image assets/samples/026b.png
    ask 'Give the value of Civum.' --image assets/samples/017.png --text assets/samples/017.txt
}

run_tests() {
    # shellcheck disable=SC2086
    install $test_packages || say 'continuing without them: some tests will be skipped'
    build
    tests/run.sh build
}

case ${1:-} in
build) build vlqa vlqa_shared vlqa_static vlqa_printed ;;
demo) demo ;;
test) run_tests ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
