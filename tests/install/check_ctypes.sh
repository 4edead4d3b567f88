#!/bin/sh
# check_ctypes.sh LIBRARY - another language asks a question: Python with its standard library.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"

if command -v python3 >/dev/null; then
    output=$(python3 "$here/ask.py" "$1" "$here/../../assets/default-model" \
        "$here/../../assets/samples/031.png" 'What is the title?' 2>&1)
    line() { # NUMBER PATTERN: a finding unless that line is like this
        echo "$output" | sed -n "$1p" | grep -qE "^$2\$" || echo "$output"
    }
    claim python_asks_a_question "$(line 1 'Downloads per month \(2027\)')"
    claim python_asks_over_chunks "$(line 2 '.+')"
    claim python_stops_at_a_text "$(
        [ "$(echo "$output" | sed -n 2p)" = "$(echo "$output" | sed -n 3p)$(echo "$output" | sed -n 2p | sed 's/.* //')" ] ||
            echo "$output"
    )"
    claim python_forbids_a_token "$(line 4 True)"
    claim python_reads_evidence "$(line 5 '1 [0-9]+ [0-9]+ [0-9]+ [0-9]+')"
    claim python_tokenizes "$(line 6 'True What is the title\?')"
    claim python_finds_the_default_model_beside_a_relative_path "$(
        sample=$(realpath "$here/../../assets/samples/031.png")
        cd "$(dirname "$1")" && python3 "$here/ask.py" "./$(basename "$1")" - "$sample" 'What is the title?' 2>&1 |
            sed -n '1{/^Downloads per month (2027)$/!p}'
    )"
else
    skip python_asks_a_question 'no python3'
fi
finish
