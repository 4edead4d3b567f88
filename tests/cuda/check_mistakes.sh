#!/bin/sh
# check_mistakes.sh CXX - the tests of kernels on tensor cores find mistakes: one at a time is planted.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
root=$here/../..
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/kernels/cuda"
fixed=''
setarch "$(uname -m)" -R true 2>/dev/null && fixed="setarch $(uname -m) -R"

# mistake NAME FILE SED PROGRAM TESTS [COMPILER OPTION...]: with the change in the file of kernels/cuda the
# tests of the program fail
mistake() {
    name=$1 file=$2 change=$3 program=$4 tests=$5
    shift 5
    rm -f "$tree"/kernels/cuda/*
    sed -E "$change" "$root/kernels/cuda/$file" >"$tree/kernels/cuda/$file"
    if cmp -s "$root/kernels/cuda/$file" "$tree/kernels/cuda/$file"; then
        claim "finds_$name" "nothing in $file changed"
    elif ! "$cxx" -x c++ -std=c++17 -w -O0 -fno-strict-aliasing -D_GNU_SOURCE "$@" -I"$tree" -I"$root" \
        -I"$here" "$here/$program.cu" -o "$tree/test"; then
        claim "finds_$name" 'does not compile'
    else
        claim "finds_$name" "$($fixed "$tree/test" "$tests" >/dev/null 2>&1 && echo 'the tests pass')"
    fi
}

cxx=$1
keys=mma_keys.cuh attention=test_mma_attention score=test_mma_score gemv=test_mma_gemv
queue=cuda_queue.cu copies=test_queue
mistake no_barrier_behind_a_copy $keys 's/cp_wait<1>\(\);$/cp_wait<1>(); if (0)/' $attention numberings
mistake no_barrier_before_reuse $keys 's/__syncthreads\(\); (.. all have read the stage)/\1/' \
    $attention numberings -fsanitize=thread
mistake a_wait_for_too_few_copies $keys 's/cp_wait<1>/cp_wait<2>/' $attention numberings
mistake queries_overwritten_early mma_attention.cuh 's/__syncthreads\(\); (.. all have read the q)/\1/' \
    $attention numberings
mistake misaligned_rows $keys 's/WIDE : WIDE \+ 8/WIDE + 4 : WIDE + 8/' $attention numberings
mistake a_key_too_many $keys 's/% 4 \* 2 \+ c >= seen/% 4 * 2 + c > seen/' $attention numberings
mistake a_wrong_fragment $keys 's/lane \/ 16 \* 8 \+ lane % 8, step/lane \/ 8 % 2 * 8 + lane % 8, step/' \
    $attention numberings
mistake a_tail_that_is_not_zero $keys 's/WIDE > D\)/WIDE > D + 8)/' $attention definition
mistake values_without_zeros $keys 's/bool fill = .*/bool fill = false;/' $attention nan
mistake blocks_that_overlap mma_attention.cuh 's/1 - blockIdx.x\) \* PAIRS/1 - blockIdx.x) * (PAIRS - 8)/' \
    $attention definition
mistake a_gap_that_is_ignored $keys 's/key < n.head \? key : key \+ n.gap/key/' $attention place
mistake keys_numbered_alike $keys 's/ && pair\[pairs\].gap == all->gap//' $attention place
mistake a_segment_forgotten mma_attention.cuh 's/segment \* SEGMENT < keys; segment\+\+/(segment + 1) * SEGMENT < keys; segment++/' \
    $attention cut
mistake rows_that_are_not_there mma_score.cuh 's/row < rows \&\& sees/sees/' $score one
mistake keys_of_another_head mma_score.cuh 's/s.key\[head \/ a.group % 2\]/s.key[(head \/ a.group + 1) % 2]/' \
    $score one
mistake softmax_of_another_head mma_score.cuh 's/s.pair\[head % 2\]\[j/s.pair[0][j/' $score one
mistake a_ring_that_waits_for_too_few mma_gemv.cuh 's/cp_wait<RING - 2>/cp_wait<RING - 1>/' $gemv definition
mistake a_ring_without_a_barrier mma_gemv.cuh 's/ptx::syncwarp\(\); (.. all lanes)/\1/' $gemv definition \
    -fsanitize=thread
mistake the_first_product_of_a_list_alone mma_gemv.cuh 's/at >= list.first\[i\]/false/' $gemv list
mistake inputs_behind_the_last_one mma_gemv.cuh 's/bool fill = at >= bytes/bool fill = false/' $gemv definition
mistake the_scale_of_another_output mma_gemv.cuh 's/scale\[c \/ 2\]/scale[c % 2]/' $gemv definition
mistake an_upload_used_before_it_is_there $queue 's/cudaStreamWaitEvent\(c->stream, r->crossed\[i\], 0\)/cudaSuccess/' \
    $copies order
mistake a_slot_filled_before_it_is_read $queue 's/"upload", cudaStreamWaitEvent\(r->stream, r->moved\[i\], 0\)/"", cudaSuccess/' \
    $copies order
mistake staging_overwritten_on_its_way $queue 's/"upload", cudaEventSynchronize\(r->crossed\[i\]\)/"", cudaSuccess/' \
    $copies order
mistake a_download_before_its_work $queue 's/"download", cudaStreamWaitEvent\(r->stream, r->moved\[i\], 0\)/"", cudaSuccess/' \
    $copies order
mistake a_download_delivered_early $queue 's/"download", cudaEventSynchronize\(c->out.crossed\[i\]\)/"", cudaSuccess/' \
    $copies order
mistake a_download_never_delivered $queue 's/\(void\)deliver\(q.*;/;/' $copies order
list=launch_list.cuh
mistake a_graph_of_other_arguments $list 's/used == list->used_before &&.*/used == list->used_before;/' $copies again
mistake a_graph_without_an_order $list 's/l->append\(l, (.*)\);/(last = nullptr, l->append(l, \1));/' $copies again
mistake a_graph_that_is_kept_too_long $queue 's/if \(!again\) list_drop_graph\(list\);//' $copies again
mistake a_graph_after_one_was_refused $queue 's/ && !c->no_graphs//' $copies each_call
mistake a_list_that_waits_for_too_long cuda.cuh 's/if \(c->list.used\) cuda_launch_list\(q\);//' $copies listed
mistake a_list_that_is_too_long $list 's/LIST_BYTES - list->used >= 8 \* MOST_LISTED/true/' $copies longer
mistake lists_that_differ_in_nothing $list 's/__builtin_clear_padding\(&value\);//' $copies between
gemm=mma_gemm.cuh
mistake tiles_that_wait_for_too_few $gemm 's/cp_wait<GEMM_RING - 2>/cp_wait<GEMM_RING - 1>/' test_mma_gemm definition
mistake tiles_without_a_barrier $gemm 's/__syncthreads\(\); (.. all copies)/\1/' test_mma_gemm few -fsanitize=thread
mistake rows_of_another_warp $gemm 's/warp \/ 2 \* \(ROWS/(warp + 1) \/ 2 * (ROWS/' test_mma_gemm few
plans=lt_plans.cuh
mistake a_proof_that_compares_nothing $plans 's/if \(__float_as_uint.*\) found/if (false) found/' test_lt_plans chosen
mistake a_proof_without_single_rows $plans 's/n\[\] = \{1, /n[] = {most, /' test_lt_plans chosen
mistake sums_that_are_not_proved $plans 's/made \&\& proof_passes\(t\)/made/' test_lt_plans add_as_sums
mistake a_proof_of_the_first_rows_alone $plans 's/rows - n\[i\], n\[i\]/0, n[i]/' test_lt_plans chosen
mistake calls_of_more_rows_than_were_tried $plans 's/\? rows - first : most/? rows - first : rows/' \
    test_lt_plans alone
finish
