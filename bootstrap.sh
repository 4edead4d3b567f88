#!/bin/sh
# bootstrap.sh - from a fresh Debian 12 to an answer, or to green tests.
#
#   ./bootstrap.sh demo    install what is missing, build, ask about a sample chart
#   ./bootstrap.sh test    install what is missing, build, run every test
#   ./bootstrap.sh build   install what is missing, build: the program is build/vlqa
set -eu
cd "$(dirname "$0")"

# Every Debian package there is need of. Without the second list tests skip, and say so.
build_packages='build-essential cmake ninja-build pkg-config libcjson-dev libpcre2-dev libsodium-dev
    libstb-dev libturbojpeg0-dev libutf8proc-dev libwebp-dev libxxhash-dev'
test_packages='clang clang-format libclang-rt-14-dev xz-utils'

# The compiler and libraries of those packages, whatever else the caller's PATH has in front.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-}
export PATH

say() {
    printf 'bootstrap: %s\n' "$*"
}

# missing PACKAGE...: those that are not installed
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

# install PACKAGE...: fails, naming what is missing, where it cannot
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

build() {
    # shellcheck disable=SC2086
    install $build_packages
    cmake -S . -B build -G Ninja --log-level=WARNING
    cmake --build build --parallel "$(nproc)"
}

ask() { # QUESTION OPTION...
    question=$1
    shift
    printf '\n$ build/vlqa %s --question "%s"\n' "$*" "$question"
    build/vlqa "$@" --question "$question"
}

demo() {
    build
    ask 'What is the title?' --image assets/samples/031.png
    ask 'What is the value of Sep?' --image assets/samples/031.png
    ask 'Which month is blue?' --image assets/samples/035.png
    # its numbers lie in three of four tiles that were read apart from each other
    ask 'What is the largest number?' --reuse infoflow --chunk grid:2 --image assets/samples/021.png
    ask 'In which image is FRUKUKRAND higher?' --image assets/samples/026a.png --image assets/samples/026b.png
    ask 'Give the value of Civum.' --image assets/samples/017.png --text assets/samples/017.txt
}

run_tests() {
    # shellcheck disable=SC2086
    install $test_packages || say 'going on without them: some tests will skip'
    build
    tests/run.sh build
}

case ${1:-} in
build) build ;;
demo) demo ;;
test) run_tests ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
