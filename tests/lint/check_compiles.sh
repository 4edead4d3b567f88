#!/bin/sh
# check_compiles.sh BUILD [OPTION...] - every file compiles without a warning, with the compiler and
# the options of a build, whose generated headers are there, and further ones: -DNDEBUG switches
# asserts off, as packagers may have it. No object is made.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
build=$(cd "${1:?the build folder}" && pwd) || exit 1
shift
commands=$build/compile_commands.json

# A shell command for each file: its own, without what is written.
checks() {
    sed -nE 's/^ *"command": "(.*)",?$/\1/p' "$commands" | sed -E 's/\\(["\\])/\1/g' |
        sed -E "s/(^| )(-o|-MF|-MT) [^ ]+//g; s/ -MD / /g; s/ -c / -fsyntax-only $* /"
}

found=$(cd "$build" && checks "$@" | xargs -P "$(nproc)" -d '\n' -I {} sh -c '{}' 2>&1 | grep -E '(error|warning):' | sort -u)
[ "$(checks "$@" | grep -c -- -fsyntax-only)" -gt 100 ] || found="few commands in $commands"
claim every_file_compiles_without_a_warning "$found"
finish
