#!/bin/sh
# check_program.sh BUILD - the program under mpirun: one answer, that of one process.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
. "$here/mpi.sh"
root=$(cd "$here/../.." && pwd)
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! has_mpi "$build"; then
    skip the_program_answers_as_one_process "$why_not"
    finish
    exit
fi

# ask OPTION...: of one process, or behind on_ranks N of several
set -- "$build/vlqa" -m "$root/assets/default-model" --image "$root/tests/charts/february.png" \
    --image "$root/tests/charts/cows.png" --reuse infoflow --no-cache -p "What is the title?"
"$@" --logits "$work/alone.logits" >"$work/alone" 2>&1 || echo 'it has failed' >>"$work/alone"

ranks() { # N COMMAND...: what is not as alone
    n=$1
    shift
    on_ranks "$n" "$@" --logits "$work/logits" >"$work/said" 2>&1 || echo 'they have failed' >>"$work/said"
    diff "$work/alone" "$work/said" && cmp "$work/alone.logits" "$work/logits"
    rm -f "$work/logits"
}

refused() { # WORDS COMMAND...: what is said instead
    words=$1
    shift
    on_ranks 2 "$@" >"$work/said" 2>&1 && echo 'they have answered'
    grep -q -e "$words" "$work/said" || cat "$work/said"
}

for n in 2 3; do
    claim "${n}_processes_give_the_answer_of_one" "$(ranks $n "$@" 2>&1)"
done
claim another_number_is_refused "$(refused '--ranks is 3, but 2 processes were started together' "$@" --ranks 3)"
claim standard_input_is_refused "$(refused 'standard input is that of one' "$@" --text -)"
finish
