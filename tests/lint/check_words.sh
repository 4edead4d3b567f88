#!/bin/sh
# check_words.sh - code, help, messages and docs use the words of docs/GLOSSARY.md, and none of the
# words that these have replaced.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
cd "${1:-$here/../..}" || exit 1

# Where a former word may stay: the history; the options, settings and members that are read by
# their former names for one more version, with their test and their list; a file whose format
# stays; another project's word.
allowed='^docs/CHANGELOG\.md:|^docs/CLI\.md:.*\| `--|^tests/eval/test_former_names\.c:'
allowed="$allowed"'|^tests/lint/check_(words|lint)\.sh:|\.old = "|former name|version before|"dilate:"'
allowed="$allowed"'|json_get_renamed|renamed_text_at|^eval/options/calibration\.|quant_method'
allowed="$allowed"'|former_name|"(off|dense)"|unknown method|process_line|^tests/fuzz/seed\.sh:|^tests/base/test_json\.c:'

# former FILES PATTERN WORD: lines with what WORD has replaced, and WORD
former() {
    # shellcheck disable=SC2086
    find $1 -type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.md' -o -name '*.sh' \) \
        ! -path 'docs/CHANGELOG.md' \
        -exec grep -nHE -e "$2" {} + 2>/dev/null | grep -vE "$allowed" | sed "s|\$|   [$3]|"
}

code='include base kernels vision text fusion eval tests'
docs='README.md bootstrap.sh docs assets/samples assets/default-model assets/train/README.md'

options() {
    former "$code $docs" '--max-rows|VLQA_MAX_ROWS' --max-seq-len
    former "$code $docs" '--methods\b' --variants
    former "$code $docs" '--dilate\b|\bdilate\b' closing
    former "$code $docs" '--row-score|--score-(query|layers)' '--token-score, --query-tokens, --probe-layers'
    former "$code $docs" 'vlqa bench .*--rows' --prompt-tokens
}

names() {
    former "$code $docs" '\b(rows_(total|prefix|context|question|selected|recomputed|exact))\b' 'tokens_*'
    former "$code $docs" '\b(row_score|row_selected|max_rows|chunk_text_rows|refresh_rows|pass_rows)\b' token
    former "$code $docs" '\b(chunks|visual)_made\b|\bVLQA_SOURCE_MADE\b' computed
    former "$code $docs" '\bVLQA_METHOD_|\bvlqa_method\b|\bstruct (method|arm|way|cutting)\b' variant
    former "text fusion" '\bstruct (rows|tap|piece)\b|\bk_code\b' 'tokens, probe, segment, k_quantize'
    former "eval" '\bstruct codes\b|\bcodes_[a-z]+\b' 'unicode_*'
}

words() {
    former "$code $docs" '\b[Uu]ndo(es|ne|ing)?\b' 'KL gap recovered'
    former "$code $docs" '\b[Cc]uttings?\b' chunking
    former "include fusion eval $docs" '\b[Dd]ilat(e|es|ed|ion)\b' closing
    former "include fusion eval README.md docs/CLI.md docs/EVALUATION.md docs/RESULTS.md" \
        '\b([Mm]ethods?|arms?)\b' variant
    former "eval" '\b[Ww]ays\b' variants
    former "eval fusion include README.md docs" '\b[Dd]ense (run|prefill|one|answer)' 'full prefill'
    former "$code $docs" '\b([Vv]isual|DeepStack|context|decoder) rows?\b' token
    former "$code $docs" '\b[Rr]ows? that asks?\b|\basking rows?\b' 'query tokens'
    former "include README.md docs/CLI.md docs/EVALUATION.md docs/RESULTS.md" \
        '\brows? (computed|recomputed|repaired|chosen)' token
    former "include text fusion" '\b[Pp]ieces?\b' 'segment, delta, pre-token'
    former "include fusion" '\b(first|second|the) look\b' 'selection round'
    former "include fusion" '\bheld (rows?|tokens?|prefix)\b' 'cached prefix'
}

claim options_have_their_new_names "$(options)"
claim names_are_those_of_the_field "$(names)"
claim words_are_those_of_the_glossary "$(words)"
finish
