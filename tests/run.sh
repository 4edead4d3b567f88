#!/bin/sh
# run.sh BUILD [CTEST OPTION...] - runs the tests of a build folder and ends with their totals.
#
# Each test program ends with "N passed, N failed, N skipped"; the last line here is the sum. A test
# that ended without that line, or badly in spite of it, counts as one failed.
set -u
build=$1
shift
log=$build/Testing/Temporary/LastTest.log

rm -f "$log"
ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)" "$@"

awk '
function finish() {
    if (name == "") return
    passed += p; failed += f; skipped += s
    if (!closed || (!good && f == 0)) { failed++; f++ }
    if (f) bad = bad "\n  " name
    name = ""
}
/^[0-9]+\/[0-9]+ Testing: / { finish(); name = $3; p = f = s = closed = good = 0 }
/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p = $1; f = $3; s = $5; closed = 1 }
/^Test Passed\.$/ { good = 1 }
END {
    finish()
    if (passed + failed + skipped == 0) { failed = 1; bad = "\n  no test ran" }
    if (bad != "") print "\nfailed:" bad
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0
}' "$log"
