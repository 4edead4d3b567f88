#!/bin/sh
# check_ndebug.sh BUILD - every file compiles without a warning where asserts are off, as packagers
# may have it: the commands of a build, whose generated headers are there, checked and not run.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
build=$(cd "${1:?the build folder}" && pwd) || exit 1
commands=$build/compile_commands.json

# A shell command for each file: its own, without what is written.
checks() {
    sed -nE 's/^ *"command": "(.*)",?$/\1/p' "$commands" | sed -E 's/\\(["\\])/\1/g' |
        sed -E 's/(^| )(-o|-MF|-MT) [^ ]+//g; s/ -MD / /g; s/ -c / -fsyntax-only -DNDEBUG /'
}

found=$(cd "$build" && checks | xargs -P "$(nproc)" -d '\n' -I {} sh -c '{}' 2>&1 | grep -E '(error|warning):' | sort -u)
[ "$(checks | grep -c -- -DNDEBUG)" -gt 100 ] || found="few commands in $commands"
claim files_compile_without_asserts "$found"
finish
