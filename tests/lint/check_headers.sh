#!/bin/sh
# check_headers.sh - each header compiles alone and twice; those that a CUDA compiler will read also
# as C++.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
cd "${1:-$here/../..}" || exit 1

common='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Werror -D_GNU_SOURCE -I. -fsyntax-only'
c="-std=c11 -x c -Wstrict-prototypes -Wmissing-prototypes $common"
cxx="-std=c++17 -x c++ $common"

alone() { # COMPILER OPTIONS HEADER...
    compiler=$1 options=$2
    shift 2
    for header; do
        # shellcheck disable=SC2086
        printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
            "$compiler" $options - 2>&1 || echo "$header: not alone with $compiler"
    done
}

check() { # NAME COMPILER OPTIONS HEADER...
    name=$1
    shift
    if command -v "$1" >/dev/null; then
        claim "$name" "$(alone "$@")"
    else
        skip "$name" "no $1"
    fi
}

every=$(sources -name '*.h' | grep -v '^tests/')
low=$(echo "$every" | grep -E '^(include|base|kernels)/[^/]*$')
# shellcheck disable=SC2086
{
    check headers_stand_alone_gcc gcc "$c" $every
    check headers_stand_alone_clang clang "$c" $every
    check low_headers_are_cxx_gcc g++ "$cxx" $low
    check low_headers_are_cxx_clang clang++ "$cxx" $low
}
finish
