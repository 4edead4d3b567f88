#!/bin/sh
# check_lint.sh - the lint scripts find what they look for: one offence of each kind is planted.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

mkdir "$tree/text" "$tree/base" "$tree/eval"
cat >"$tree/text/bad.c" <<'END'
#include "vision/vit.h"
#include "bad.h"
void *bad(void) { if (getenv("HOME")) exit(1); return malloc(1); }
END
echo 'size_t bad;' >"$tree/base/bad.h"
mkdir "$tree/text/a" "$tree/text/b" "$tree/text/c"
echo '#include "text/b/b.h"' >"$tree/text/a/a.h"
echo '#include "text/c/c.h"' >"$tree/text/b/b.h"
echo '#include "text/a/a.h"' >"$tree/text/c/c.c"
mkdir "$tree/include"
echo '/* --max-rows: the visual rows of a session */ struct { int max_rows; };' >"$tree/include/old.h"
echo 'struct vlqa_padded { long a; int b; };' | sed 's/[{;] /&\n/g' >"$tree/include/padded.h"
mkdir -p "$tree/kernels/cuda"
echo '__global__ void bad() { asm("exit;"); }' >"$tree/kernels/cuda/bad.cu"
yes '' | head -n 601 >"$tree/eval/long.c"

found() { # CLAIM SCRIPT: the script calls that claim broken in the planted tree
    claim "offence_is_found_$1" \
        "$("$here/$2" "$tree" 2>&1 | grep -q "^FAIL $1$" || echo "$2 passes $1")"
}

found includes_follow_the_layers check_layers.sh
found subfolders_include_without_a_cycle check_layers.sh
claim a_cycle_of_subfolders_is_named "$("$here/check_layers.sh" "$tree" 2>&1 |
    grep -qE '^text: (a b c a|b c a b|c a b c) is a cycle$' || echo 'no line names a, b and c')"
found only_args_reads_the_environment check_layers.sh
found only_heap_allocates check_layers.sh
found nothing_exits_on_input check_layers.sh
found only_device_cuh_has_ptx check_layers.sh
found files_are_short check_layers.sh
found options_have_their_new_names check_words.sh
found names_are_those_of_the_field check_words.sh
found words_are_those_of_the_glossary check_words.sh
found headers_stand_alone_gcc check_headers.sh
found public_structs_do_not_end_in_padding check_headers.sh
if "$here/check_format.sh" "$tree" | grep -q '^skip'; then
    skip offence_is_found_files_are_formatted 'no clang-format 14'
else
    found files_are_formatted check_format.sh
fi
finish
