#!/bin/sh
# check_ctypes.sh LIBRARY - another language asks a question: Python with its standard library.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"

if command -v python3 >/dev/null; then
    output=$(python3 "$here/ask.py" "$1" "$here/../../assets/default-model" \
        "$here/../../assets/samples/031.png" 'What is the title?' 2>&1)
    claim python_asks_a_question \
        "$([ "$(echo "$output" | sed -n 1p)" = 'Downloads per month (2027)' ] || echo "$output")"
    claim python_reads_evidence \
        "$(echo "$output" | sed -n 3p | grep -qE '^1 [0-9]+ [0-9]+ [0-9]+ [0-9]+$' || echo "$output")"
else
    skip python_asks_a_question 'no python3'
    skip python_reads_evidence 'no python3'
fi
finish
