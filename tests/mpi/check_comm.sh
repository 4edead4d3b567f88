#!/bin/sh
# check_comm.sh BUILD - the claims of tests/kernels/test_comm.c over MPI, and what the module is.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
. "$here/mpi.sh"
build=$1
program=$build/tests/run_comm

# right N CLAIM TIMEOUT_MS [STATUS]: on all of N ranks, and all of them end well unless STATUS is any
right() {
    folder=$(mktemp -d)
    output=$(on_ranks "$1" "$program" "$2" "$3" "$folder" 2>&1) || [ "${4:-0}" = any ] ||
        echo "mpirun has ended with $?"
    found=$(find "$folder" -type f | wc -l)
    rm -rf "$folder"
    [ "$found" = "$1" ] || printf '%s of %s are right\n%s\n' "$found" "$1" "$output"
}

alone() { # what is wrong in what it says without a module
    said=$(LD_LIBRARY_PATH='' "$program" agrees 0 /nowhere 2>&1)
    [ "$said" = 'rank -1: no MPI: libvlqa-mpi.so: cannot open shared object file: No such file or directory' ] ||
        echo "it says: $said"
}

claim a_module_that_is_missing_is_said "$(alone)"
if ! has_mpi "$build"; then
    skip ranks_of_mpi "$why_not"
    finish
    exit
fi
claim one_symbol_is_exported "$(nm -D --defined-only "$build/libvlqa-mpi.so" |
    awk '$3 !~ /^vlqa_mpi_module$/ { print $3 }')"
claim the_library_needs_no_mpi "$(objdump -p "$build/libvlqa.so" 2>&1 |
    grep -E 'NEEDED.*mpi|No such')"
claim the_module_is_found_beside_the_program "$(
    place=$(mktemp -d)
    cp "$program" "$build/libvlqa-mpi.so" "$place"
    program=$place/run_comm LD_LIBRARY_PATH=''
    right 1 gathers 60000
    rm -rf "$place"
)"
for n in 1 2 3 4; do
    claim "blocks_are_gathered_whatever_their_parts_$n" "$(right $n gathers 60000)"
done
claim all_have_the_status_of_the_first_that_failed "$(right 4 agrees 60000)"
for n in 3 4; do
    claim "ranks_that_leave_for_different_reasons_have_one_status_$n" "$(right $n leaves_too 60000)"
done
claim a_rank_that_leaves_ends_the_call_on_all_and_the_next_one_works "$(right 3 leaves 60000)"
claim a_look_sees_who_has_failed_and_waits_for_nobody "$(right 3 looks 60000)"
claim a_look_ends_within_the_time "$(right 2 looks_too_long 300)"
for n in 2 3 4; do
    claim "what_a_failed_call_leaves_is_not_taken_for_the_next_one_$n" "$(right $n leaves_much 60000)"
done
claim ranks_that_are_given_something_else_are_told "$(right 2 differs 60000)"
claim a_rank_that_hangs_is_an_error_within_the_time "$(right 3 hangs 300 any)"
claim a_rank_that_works_by_itself_is_waited_for "$(right 2 works_by_itself 1000)"
claim a_program_may_have_mpi_for_itself "$(
    output=$(on_ranks 2 "$build/tests/hosted" 2>&1) || printf '%s\n' "status $?" "$output"
)"
finish
