# check.sh - for test scripts what check.h is for test programs: claims, skips, a closing line.
# shellcheck shell=sh
passed=0 failed=0 skipped=0

# claim NAME FINDINGS: holds when there are none
claim() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        echo "ok   $1"
    else
        failed=$((failed + 1))
        printf '%s\nFAIL %s\n' "$2" "$1"
    fi
}

skip() {
    skipped=$((skipped + 1))
    echo "skip $1: $2"
}

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

# sources [FIND TEST...]: our files, in every folder that holds code
sources() {
    for folder in include base kernels vision text fusion bench eval tests; do
        [ ! -d "$folder" ] || find "$folder" -type f "$@"
    done | sort
}
