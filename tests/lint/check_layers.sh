#!/bin/sh
# check_layers.sh - who may include whom, and what only one file may do.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
cd "${1:-$here/../..}" || exit 1

allowed() { # the folders that a folder may include
    case $1 in
    include) echo 'vlqa\.h' ;;
    base) echo 'include|base' ;;
    kernels) echo 'include|base|kernels' ;;
    vision) echo 'include|base|kernels|vision' ;;
    text) echo 'include|base|kernels|text' ;;
    fusion) echo 'include|base|kernels|vision|text|fusion' ;;
    eval/bench) echo 'include|base|kernels|vision|text|fusion|eval/bench' ;; # times operations
    eval) echo 'include|base|eval' ;;
    esac
}

layers() {
    for folder in include base kernels vision text fusion eval/bench eval; do
        [ -d "$folder" ] || continue
        rest=x
        [ "$folder" = eval ] && rest=bench # a folder by itself
        grep -rnE --exclude-dir=$rest '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$folder" |
            grep -vE "include[[:space:]]*\"($(allowed "$folder"))[/\"]"
    done
}

# "x y" for each top folder's subfolders x and y where a file in x includes one in y
subfolder_includes() { # FOLDER
    grep -rE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$1" |
        sed -nE "s|^$1/([^/:]+)/[^:]*:[^\"]*\"$1/([^/\"]+)/.*|\\1 \\2|p" | awk '$1 != $2' | sort -u
}

# The subfolders of a folder include one another without a cycle: one that is found is named.
cycles() {
    for folder in include base kernels vision text fusion eval tests; do
        [ -d "$folder" ] || continue
        subfolder_includes "$folder" | awk -v folder="$folder" '
            function visit(x, path, i, n, next_ones) {
                if (index(path, " " x " ")) {
                    print folder ": " substr(path, index(path, " " x " ") + 1) x " is a cycle"
                    return 1
                }
                n = x in done ? 0 : split(to[x], next_ones)
                for (i = 1; i <= n; i++)
                    if (visit(next_ones[i], path x " ")) return 1
                done[x]
                return 0
            }
            { to[$1] = to[$1] " " $2 }
            END { for (x in to) if (visit(x, " ")) exit }'
    done
}

code() {
    sources \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \)
}

# only FILE PATTERN: calls elsewhere, comments left aside
only() {
    code | grep -vxE "$1" |
        xargs grep -nE "(^|[^A-Za-z0-9_>.])($2)[[:space:]]*\(" | grep -vE ':[[:space:]]*(/\*|\*)'
}

long_files() {
    sources \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.sh' -o -name '*.py' \) |
        xargs wc -l | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines" }'
}

claim includes_follow_the_layers "$(layers)"
claim subfolders_include_without_a_cycle "$(cycles)"
claim only_args_reads_the_environment "$(only 'eval/cli/args\.c|tests/cuda/emu_block\.h|tests/wants_cuda\.h' \
    'getenv|secure_getenv')"
claim only_heap_allocates "$(only 'base/heap\.c|tests/.*' \
    'malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strdup|strndup|asprintf|vasprintf')"
claim nothing_exits_on_input "$(only 'eval/.*|tests/.*' \
    'exit|_exit|abort|printf|fprintf|puts|putchar|perror')"
claim only_device_cuh_has_ptx "$(only 'kernels/cuda/device\.cuh|tests/.*|(base|kernels/cpu)/.*' \
    'asm( volatile)?')"
claim files_are_short "$(long_files)"
finish
