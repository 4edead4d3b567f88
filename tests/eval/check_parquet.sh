#!/bin/sh
# check_parquet.sh PROGRAM - a Parquet file is refused with the command that makes JSON lines of it,
# and these are read. Skipped where pyarrow is missing.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
sample=$here/../../assets/samples/031.png
program=$1
python=${VLQA_PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
if ! "$python" -c 'import pyarrow' 2>/dev/null; then
    skip parquet_is_read_by_way_of_a_script 'no pyarrow'
    finish
    exit
fi

"$python" - "$sample" <<'END'
import sys
import pyarrow as pa
import pyarrow.parquet as parquet
image = open(sys.argv[1], "rb").read()
parquet.write_table(pa.table({  # ChartQA, as the hub has it
    "image": [{"bytes": image, "path": None}, {"bytes": image, "path": "x.png"}],
    "query": ["What is the value of Sep?", "What is the largest number?"],
    "label": [["8.9K"], ["7,910"]],
    "human_or_machine": [0, 1]}), "a.parquet")
parquet.write_table(pa.table({  # MMMU
    "id": ["v1"], "question": ["Which?"], "options": ["['red', 'blue']"], "answer": ["B"],
    "image_1": [{"bytes": image, "path": "y.png"}],
    "image_2": pa.array([None], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    "other": [b"no image"]}), "b.parquet")
END

# The command is the one that the message gives.
command_of() {
    "$program" eval --list "$1" 2>&1 | sed -n 's/.*convert it with "\(.*\)", .*/\1/p' | sed "s|^python3|$python|"
}
chartqa() {
    eval "$(command_of a.parquet)" > out.txt
    grep -q 'questions.jsonl: 2 rows, 2 images' out.txt || cat out.txt
    "$program" eval --list a.d/questions.jsonl > list.txt
    grep -q '"image":\["a.d/images/0.png"\],"prompt":"What is the value of Sep?","answers":\["8.9K"\]' \
        list.txt || cat list.txt
    cmp "$sample" a.d/images/1.png
}
mmmu() {
    eval "$(command_of b.parquet)" > out.txt 2> err.txt
    grep -q 'other holds bytes that are no image' err.txt || cat err.txt
    "$program" eval --list b.d/questions.jsonl > list.txt
    grep -q '"options":{"A":"red","B":"blue"},"answer":"B"' list.txt || cat list.txt
}
claim chartqa_of_the_hub_is_read_by_the_command_of_the_message "$(chartqa 2>&1)"
claim lists_in_text_and_numbered_images_are_read "$(mmmu 2>&1)"
finish
