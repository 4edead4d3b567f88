#!/usr/bin/env bash
# run.sh [OPTION]... - what the first minutes on a GPU have to run: tests first, then times. A stage that
# fails, hangs or finds its tools missing stops no other; each writes its result at once. docs/GPU.md says
# how to read them.
#
#   --device cuda|emu    a GPU [cuda], or the same stages on the emulation in tiny sizes
#   --programs FOLDER    where the target gpu_tests put programs [build-gpu]; emu: a build folder [build]
#   --out FOLDER         a new or empty folder for the results [one in /tmp]
#   --only STAGE,...     these stages alone
#   --seconds N          time for all stages [540]
#   --list               the names of the stages and their limits
#
# Exit code 0: nothing failed; 1: a stage failed or ran out of time; 2: it could not begin.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
self=$root/tests/gpu/run.sh

# NAME LIMIT: seconds that a stage may take
stages='machine 30
probes 20
operations 80
model 70
sanitizer 85
bench8b 110
bench2b 30
peers 110
ncu 45'

# ---- what stages share ----

have() { command -v "$1" >/dev/null 2>&1; }

skip() { # REASON: ends the stage
    echo "skip $stage: $1"
    echo "$1" >"$work/$stage.note"
    exit 77
}

# A program of the tests, wherever it is; nothing: there is none.
program() {
    local folder
    for folder in "$programs" "$programs/tests"; do
        [ ! -x "$folder/$1" ] || [ -d "$folder/$1" ] || { echo "$folder/$1" && return; }
    done
}

# test_of PROGRAM [ARGUMENT]...: runs one within the time of its own; counts for the stage
test_of() {
    local path log status line p=0 f=0 s=0 limit=$((${limit_of_test:-40} * slower)) name
    name=$*
    path=$(program "$1")
    shift
    log=$work/test.log
    if [ -z "$path" ]; then
        echo "FAIL $name: there is no such program in $programs"
        count 0 1 0
        return
    fi
    # So that it is this limit that ends a test that hangs, with all that it started.
    [ "$limit" -lt $((stage_end - SECONDS)) ] || limit=$((stage_end - SECONDS - 1))
    [ "$limit" -gt 1 ] || { echo "skip $name: no time left" && count 0 0 1 && return; }
    echo "== $name"
    # shellcheck disable=SC2086
    timeout -k 5 "$limit" ${checker:-} "$path" "$@" </dev/null >"$log" 2>&1
    status=$?
    cat "$log"
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
    [ -z "$line" ] || read -r p _ f _ s _ <<<"${line//,/}"
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        echo "FAIL $name: no end after $limit s" && f=$((f + 1))
    elif [ "$status" != 0 ] && [ "$f" = 0 ]; then
        echo "FAIL $name: exit code $status" && f=1
    elif [ "$status" = 0 ] && [ "$p" = 0 ]; then
        echo "FAIL $name: no test ran" && f=$((f + 1))
    fi
    count "$p" "$f" "$s"
}

passed=0 failed=0 skipped=0
count() { # at once, so that a stage that is stopped has what it had
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    echo "$passed $failed $skipped" >"$work/$stage.count"
}

counted() { [ "$failed" = 0 ]; }

quoted() { printf '"%s"' "$(printf %s "$*" | tr '\n\t' '  ' | sed 's/[\\"]/\\&/g')"; }

# add_json FILE ENTRY: to a list of JSON, which is whole after each entry
add_json() {
    printf '%s\n' "$2" >>"$work/$1.lines"
    { echo '[' && sed '$!s/$/,/' "$work/$1.lines" && echo ']'; } >"$work/$1.new"
    mv "$work/$1.new" "$out/$1"
}

# ---- the stages ----

stage_machine() {
    local mark
    {
        date -u
        uname -a
        echo "commit $(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)"
        nproc
        grep -m1 'model name' /proc/cpuinfo
        grep -m1 MemTotal /proc/meminfo
        for tool in nvidia-smi nvcc ncu compute-sanitizer python3; do
            echo "$tool: $(command -v $tool || echo missing)"
        done
        ! have nvidia-smi || nvidia-smi -q -d CLOCK,POWER,MEMORY,PERFORMANCE 2>&1
        ! have nvidia-smi || nvidia-smi 2>&1
        ! have python3 || python3 -c '
import sys
from importlib import metadata
print(sys.version)
for name in ("torch", "transformers"):
    try:
        print(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        print(name, "missing")' 2>&1
    } >"$out/env.txt"
    [ "$device" = cuda ] || skip 'an emulation has no ceilings'
    [ -n "$(program test_cuda_machine)" ] || { echo "no test_cuda_machine in $programs" && return 1; }
    mark=$work/machine.json
    "$(program test_cuda_machine)" >"$mark" || { cat "$mark" && return 1; }
    cat "$mark"
    cat "$mark" >>"$out/env.txt"
    count 1 0 0
}

stage_probes() {
    local log=$work/probes.log
    limit_of_test=18 test_of test_cuda_probes | tee "$log"
    # test_of counted in a subshell
    read -r passed failed skipped <"$work/probes.count"
    {
        echo '{'
        sed -nE 's/^probe ([a-z0-9_]+) (.*)$/ "\1": \2,/p' "$log" | sed -E 's/: (-?(inf|nan)),/: null,/'
        printf ' "passed": %s, "failed": %s, "skipped": %s\n}\n' "$passed" "$failed" "$skipped"
    } >"$out/probes.json"
    counted
}

kernels() { # NAME FILTER
    if [ -n "$(program test_kernels)" ]; then
        test_of test_kernels "$1" "$2"
    else
        test_of "test_kernels_$1" "$2"
    fi
}

stage_operations() {
    local name
    limit_of_test=25
    if [ "$device" = emu ]; then # the others are in the suite and take minutes
        for name in device quantize; do kernels $name _on_emu; done
        kernels ops definitions_on_emu
        test_of test_cuda_mma_gemv definition
        counted
        return
    fi
    for name in mma_gemv mma_gemm mma_attention wgmma_attention mma_score; do test_of test_cuda_$name; done
    for name in device ops heads measures quantize matmul attention placement score random; do
        kernels $name _on_cuda
    done
    counted
}

stage_model() {
    limit_of_test=40
    if [ "$device" = emu ]; then
        test_of test_cuda_engine repairing
        counted
        return
    fi
    test_of test_cuda_engine
    test_of test_emu_golden
    test_of test_emu_default_model
    counted
}

stage_sanitizer() {
    local tool name
    [ "$device" = cuda ] || skip 'an emulation is watched by other sanitizers'
    have compute-sanitizer || skip 'there is no compute-sanitizer'
    limit_of_test=18
    for tool in memcheck racecheck synccheck; do
        checker="compute-sanitizer --tool $tool --error-exitcode 9"
        echo "==== $tool"
        test_of test_cuda_probes copies blocks bits
        for name in gemv attention score; do test_of test_cuda_mma_$name definition; done
        [ $tool != memcheck ] || kernels ops _on_cuda
    done
    counted
}

# bench NAME LIMIT OPTION...: an entry of bench.json
bench() {
    local name=$1 limit=$(($2 * slower)) status begin=$SECONDS log=$work/bench.log said
    shift 2
    # A measurement may take what the stage has left, not more.
    [ $((stage_end - SECONDS)) -gt 3 ] || { echo "skip $name: no time left" && count 0 0 1 && return; }
    [ "$limit" -le $((stage_end - SECONDS - 1)) ] || limit=$((stage_end - SECONDS - 1))
    timeout -k 5 "$limit" "$(program "$bench_program")" bench --device "$bench_device" --json "$@" \
        </dev/null >"$log" 2>"$log.err"
    status=$?
    said=$(tail -n 1 "$log")
    if [ "$status" = 0 ] && [ -n "$said" ]; then
        count 1 0 0
        echo "ok   $name: $((SECONDS - begin)) s"
    else
        count 0 1 0
        said=null
        [ "$status" != 124 ] || echo "no end after $limit s" >>"$log.err"
        echo "FAIL $name: exit code $status, $(tail -n 1 "$log.err")"
    fi
    add_json bench.json "{\"shape\": $(quoted "$shape"), \"what\": $(quoted "$name"), \"exit\": $status, \"error\": $(quoted "$(tail -n 2 "$log.err")"), \"result\": $said}"
}

# What is short comes first: a slow kernel costs the measurements behind it and no other.
bench_shape() { # SHAPE
    shape=$1
    bench_program=vlqa bench_device=cuda
    if [ "$device" = emu ]; then
        bench_program=vlqa_emu bench_device=cpu # its CPU is the emulation
        shape=default
        [ -n "$(program $bench_program)" ] || { echo "no $bench_program in $programs" && return 1; }
        bench 'prefill 40, decode' 20 --shape default --image 0x0 --prompt-tokens 40 --decode 4 -c 256
        bench 'prefill 40, decode by single launches' 20 --shape default --image 0x0 --prompt-tokens 40 \
            --decode 4 -c 256 --single-launches
        counted
        return
    fi
    [ -n "$(program $bench_program)" ] || { echo "no $bench_program in $programs" && return 1; }
    set -- --shape "$shape"
    bench 'prefill 512, decode' 25 "$@" --image 0x0 --prompt-tokens 512 --decode 32 --repeat 3
    bench 'prefill 1024, decode' 25 "$@" --image 0x0 --prompt-tokens 1024 --decode 64 --repeat 3
    # The same kernels as before, which one by one may have gaps that they have not as a graph.
    bench 'prefill 1024, decode by single launches' 25 "$@" --image 0x0 --prompt-tokens 1024 --decode 64 \
        --repeat 3 --single-launches
    bench 'prefill 4096' 30 "$@" --image 0x0 --prompt-tokens 4096 --decode 2 --repeat 3
    bench 'tower 1024' 20 "$@" --image 1024x1024 --prompt-tokens 1 --decode 1 --repeat 3
    [ "$stage" = bench8b ] || { counted; return; }
    bench 'tower 2048' 25 "$@" --image 2048x2048 --prompt-tokens 1 --decode 1 --repeat 2
    bench 'reuse of 4096 tokens, repair 15 %' 30 "$@" --image 2048x2048 --prompt-tokens 1 --reuse
    bench 'reuse of 4096 tokens, repair 5 %' 30 "$@" --image 2048x2048 --prompt-tokens 1 --reuse \
        --recompute-ratio 0.05
    bench 'prefill 8192, decode' 30 "$@" --image 0x0 --prompt-tokens 8192 --decode 32
    bench 'prefill 32768, decode' 50 "$@" --image 0x0 --prompt-tokens 32768 --decode 16 -c 33792
    counted
}

stage_bench8b() { bench_shape 8b; }
stage_bench2b() { bench_shape 2b; }

stage_peers() {
    have python3 || skip 'there is no python3'
    python3 -c 'import importlib.util as i, sys; sys.exit(not (i.find_spec("torch") and i.find_spec("transformers")))' ||
        skip 'python3 has no torch or no transformers'
    local shape=8b on=cuda
    [ "$device" = cuda ] || shape=small on=cpu
    python3 "$root/tests/gpu/peers.py" --shape $shape --device $on --out "$out/peers.json" || return 1
    count 1 0 0
}

stage_ncu() {
    [ "$device" = cuda ] || skip 'an emulation has no counters'
    have ncu || skip 'there is no ncu'
    [ -n "$(program vlqa)" ] || { echo "no vlqa in $programs" && return 1; }
    local skipped_launches
    # Behind the weights: some layers of prefill, then of decoding.
    for skipped_launches in 450 2400; do
        if timeout -k 5 20 ncu --clock-control none --launch-skip $skipped_launches --launch-count 24 \
            --section SpeedOfLight --section Occupancy --section LaunchStats \
            "$(program vlqa)" bench --device cuda --shape 2b --image 0x0 --prompt-tokens 1024 --decode 8 \
            --single-launches </dev/null >"$work/ncu.log" 2>&1; then
            count 1 0 0
        else
            count 0 1 0
            echo "FAIL ncu behind $skipped_launches launches: $(tail -n 1 "$work/ncu.log")"
        fi
        cat "$work/ncu.log" >>"$out/ncu.txt"
    done
    counted
}

# ---- running them ----

usage() {
    echo "run.sh: $1" >&2
    exit 2
}

# Before and behind each stage, so that whoever is stopped leaves what was found.
write_summary() {
    {
        printf '{"device": %s, "commit": %s, "seconds": %s,\n "machine": ' "$(quoted "$device")" \
            "$(quoted "$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)")" "$SECONDS"
        if [ -s "$work/machine.json" ]; then cat "$work/machine.json"; else echo null; fi
        echo ', "stages": ['
        sed '$!s/$/,/' "$work/summary.lines"
        echo ']}'
    } >"$work/summary.new"
    mv "$work/summary.new" "$out/summary.json"
}

log_of() { # the file that a stage's words go to
    case $1 in
    sanitizer) echo "$out/sanitizer.log" ;;
    *) echo "$out/tests.log" ;;
    esac
}

run_stage() { # NAME LIMIT
    local name=$1 limit=$(($2 * slower)) left=$((seconds - SECONDS)) status state begin=$SECONDS p=0 f=0 s=0 note=''
    printf '== %s\n' "$name"
    if [ "$left" -lt 5 ]; then
        status=77
        echo "no time left" >"$work/$name.note"
    else
        [ "$limit" -le "$left" ] || limit=$left
        printf '\n== stage %s\n' "$name" >>"$(log_of "$name")"
        RUN_STAGE=$name RUN_LIMIT=$limit timeout -k 5 "$limit" bash "$self" </dev/null \
            >>"$(log_of "$name")" 2>&1
        status=$?
    fi
    [ ! -s "$work/$name.count" ] || read -r p f s <"$work/$name.count"
    [ ! -s "$work/$name.note" ] || note=$(head -n 1 "$work/$name.note")
    case $status in
    0) state=passed ;;
    77) state=skipped s=$((s + 1)) ;;
    124 | 137) state=timeout note="no end after $limit s" ;;
    *) state=failed ;;
    esac
    [ $state != failed ] && [ $state != timeout ] || [ "$f" -gt 0 ] || f=1
    [ -n "$note" ] || [ "$state" = passed ] ||
        note=$(grep -E '^FAIL' "$(log_of "$name")" | tail -n 1)
    [ -n "$note" ] || [ "$state" = passed ] || note=$(tail -n 1 "$(log_of "$name")")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '{"stage": "%s", "state": "%s", "seconds": %s, "passed": %s, "failed": %s, "skipped": %s, "note": %s}\n' \
        "$name" "$state" $((SECONDS - begin)) "$p" "$f" "$s" "$(quoted "$note")" >>"$work/summary.lines"
    printf '%-11s %-8s %5s s %6s %6s %7s  %s\n' "$name" "$state" $((SECONDS - begin)) "$p" "$f" "$s" \
        "$note" >>"$work/table"
    write_summary
}

close() {
    printf '\n%-11s %-8s %7s %6s %6s %7s\n' stage state time passed failed skipped
    cat "$work/table"
    if have python3; then
        PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/gpu/table.py" "$out" || echo "no table of times"
    fi
    echo "results: $out"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

if [ -n "${RUN_STAGE:-}" ]; then # in the shell of one stage
    device=$RUN_DEVICE programs=$RUN_PROGRAMS out=$RUN_OUT work=$RUN_WORK
    slower=$RUN_SLOWER stage=$RUN_STAGE stage_end=$((SECONDS + RUN_LIMIT))
    cd "$root" || exit 1
    "stage_$stage"
    exit
fi

device=cuda programs='' out='' only='' seconds=''
while [ $# -gt 0 ]; do
    case $1 in
    --list) echo "$stages" && exit 0 ;;
    --device | --programs | --out | --only | --seconds)
        [ $# -ge 2 ] || usage "$1 wants a value"
        printf -v "${1#--}" %s "$2"
        shift 2
        ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$self" && exit 0 ;;
    *) usage "$1 is no option; --help names them" ;;
    esac
done
[ "$device" = cuda ] || [ "$device" = emu ] || usage "--device is $device, expected cuda or emu"
slower=1 # limits on the emulation only end what hangs
[ "$device" = cuda ] || slower=20
[ -n "$seconds" ] || seconds=$((540 * slower))
case $seconds in '' | *[!0-9]*) usage "--seconds is $seconds, expected a number" ;; esac
for name in ${only//,/ }; do
    grep -q "^$name " <<<"$stages" || usage "there is no stage $name; --list names them"
done
[ -n "$programs" ] || { [ $device = cuda ] && programs=$root/build-gpu || programs=$root/build; }
[ -d "$programs" ] || usage "there is no folder $programs: build the target gpu_tests, or name --programs"
programs=$(cd "$programs" && pwd)
if [ -n "$out" ]; then
    mkdir -p "$out" 2>/dev/null || usage "$out cannot be made"
    [ -z "$(ls -A "$out")" ] || usage "$out is not empty: results are not mixed"
else
    out=$(mktemp -d "${TMPDIR:-/tmp}/vlqa-gpu.XXXXXX") || usage "there is no room for results; name --out"
fi
out=$(cd "$out" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/vlqa-run.XXXXXX") || usage "there is no room for temporary files"
trap 'rm -rf "$work"' EXIT
trap 'echo "stopped"; close; exit 1' INT TERM
[ ! -d "$programs/lib" ] || export LD_LIBRARY_PATH="$programs/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# Where the loader knows no cuBLASLt, that which comes with torch, as the folder nvidia/*/lib.
if [ $device = cuda ] && have python3; then
    lt=$(python3 -c '
import importlib.util, pathlib
spec = importlib.util.find_spec("nvidia")
print(*[f.parent for p in spec.submodule_search_locations
        for f in pathlib.Path(p).glob("*/lib/libcublasLt.so.*")][:1])' 2>/dev/null)
    [ -z "$lt" ] || export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$lt"
fi
# Kernels are loaded before the first is timed.
[ $device = emu ] || export VLQA_TEST_DEVICE=cuda CUDA_MODULE_LOADING=EAGER
export RUN_DEVICE=$device RUN_PROGRAMS=$programs RUN_OUT=$out RUN_WORK=$work RUN_SLOWER=$slower PYTHONDONTWRITEBYTECODE=1
touch "$work/summary.lines" "$work/table"
(: >"$out/env.txt") 2>/dev/null || usage "$out cannot be written to"
while read -r name limit; do
    [ -z "$only" ] || [[ ,$only, == *,$name,* ]] || continue
    run_stage "$name" "$limit"
done <<<"$stages"
close
