#!/bin/sh
# check_format.sh - every file of C and CUDA is as clang-format 14 writes it (others differ).
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
cd "${1:-$here/../..}" || exit 1

for tool in clang-format-14 clang-format none; do
    case $($tool --version 2>/dev/null) in *' version 14.'*) break ;; esac
done
if [ "$tool" = none ]; then
    skip files_are_formatted 'no clang-format 14'
else
    claim files_are_formatted "$(sources \( -name "*.[ch]" -o -name "*.cu" -o -name "*.cuh" \) |
        xargs "$tool" --dry-run -Werror 2>&1)"
fi
finish
