#!/bin/sh
# check_ranks.sh BUILD - processes of MPI answer as one does, to the last bit.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
. "$here/mpi.sh"
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! has_mpi "$build"; then
    skip ranks_answer_as_one_process "$why_not"
    finish
    exit
fi
ranks() { # N: what is wrong, or else all of them have said what they gave
    on_ranks "$1" "$build/tests/run_ranks" "$work/alone" "$1" >"$work/said" 2>&1
    [ $? = 0 ] && [ "$(grep -c "^rank [0-9] of $1 gave" "$work/said")" = "$1" ] || cat "$work/said"
}
claim one_process_answers "$("$build/tests/run_ranks" alone "$work/alone" 2>&1 || echo 'it has failed')"
for n in 2 3; do
    claim "answers_of_${n}_ranks_are_those_of_one_process" "$(ranks $n)"
done
finish
