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

# A field that is appended later must lie behind the struct of an older caller, not in its padding.
ends() { # HEADER...: an assertion for each public struct
    awk '/^struct vlqa_[a-z_]+ \{/ { inside = 1; name = $2 }
         inside && /;/ && !/^\}/ { last = $0 }
         /^\};/ && inside {
             sub(/;.*/, "", last); sub(/\[.*/, "", last); n = split(last, word, /[ ,*]+/)
             printf "_Static_assert(offsetof(struct %s, %s) + sizeof ((struct %s *)0)->%s == sizeof(struct %s),"\
                    " \"struct %s ends in padding\");\n", name, word[n], name, word[n], name, name
             inside = 0
         }' "$@"
}

padded() { # HEADER...
    { echo '#include <stddef.h>'; printf '#include "%s"\n' "$@"; ends "$@"; } >"$asserts"
    grep -q _Static_assert "$asserts" || echo 'no public struct was found'
    gcc -std=c11 -x c -I. -fsyntax-only "$asserts" 2>&1 | grep -E 'error' # a line each
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

asserts=$(mktemp)
trap 'rm -f "$asserts"' EXIT
every=$(sources -name '*.h' | grep -v '^tests/')
low=$(echo "$every" | grep -E '^(include|base|kernels)/[^/]*$')
# shellcheck disable=SC2086
{
    check headers_stand_alone_gcc gcc "$c" $every
    check headers_stand_alone_clang clang "$c" $every
    check low_headers_are_cxx_gcc g++ "$cxx" $low
    check low_headers_are_cxx_clang clang++ "$cxx" $low
    claim public_structs_do_not_end_in_padding "$(padded $(echo "$every" | grep ^include/))"
}
finish
