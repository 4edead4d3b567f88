#!/bin/sh
# check_run.sh BUILD - run.sh ends as it should: on the emulation, and where programs are missing, hang, fail
# or say nothing.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir "$work/none" "$work/odd" "$work/full"
touch "$work/full/summary.json"

# ended CODE COMMAND...: findings if it ends otherwise; what it says is in $work/said
ended() {
    code=$1
    shift
    "$@" >"$work/said" 2>&1 </dev/null
    found=$?
    [ "$found" = "$code" ] || { cat "$work/said" && echo "exit code $found, expected $code"; }
}

says() { # TEXT
    grep -qF -- "$1" "$work/said" || { cat "$work/said" && echo "it does not say: $1"; }
}

fake() { # NAME LINE...: a program
    name=$1
    shift
    { echo '#!/bin/sh' && printf '%s\n' "$@"; } >"$work/odd/$name"
    chmod +x "$work/odd/$name"
}

run() { # OPTION...
    ended "$1" "$here/run.sh" --programs "$work/odd" --out "$work/$2" --device "$3" --seconds "$4" --only "$5"
}

claim an_unknown_stage_is_refused "$(ended 2 "$here/run.sh" --only probes,nothing; says 'there is no stage nothing')"
claim an_unknown_option_is_refused "$(ended 2 "$here/run.sh" --fast; says '--fast is no option')"
claim a_missing_folder_is_refused "$(ended 2 "$here/run.sh" --programs "$work/nowhere"; says 'build the target gpu_tests')"
claim results_are_not_mixed "$(ended 2 "$here/run.sh" --programs "$work/none" --out "$work/full"; says 'is not empty')"
claim missing_programs_fail_each_stage "$(
    ended 1 "$here/run.sh" --programs "$work/none" --out "$work/missing" --only probes,operations,model,bench8b
    says '0 passed, 20 failed, 0 skipped'
    for stage in probes operations model bench8b; do
        grep -q "\"stage\": \"$stage\", \"state\": \"failed\"" "$work/missing/summary.json" || echo "no $stage"
    done)"

fake test_cuda_probes 'echo "probe answer 42"' 'echo "probe odd nan"' 'echo "3 passed, 0 failed, 1 skipped"'
fake test_cuda_engine 'kill -SEGV $$'
claim answers_of_probes_are_kept "$(
    run 0 answers cuda 60 probes
    grep -q '"answer": 42' "$work/answers/probes.json" || cat "$work/answers/probes.json"
    grep -q '"odd": null' "$work/answers/probes.json" || cat "$work/answers/probes.json"
    says '3 passed, 0 failed, 1 skipped')"
claim a_crash_is_a_failure_and_stops_nothing "$(
    fake vlqa_emu 'echo "{\"shape\": \"default\"}"'
    run 1 crash emu 60 model,bench8b
    says '2 passed, 1 failed, 0 skipped'
    grep -q '"exit": 0' "$work/crash/bench.json" || cat "$work/crash/bench.json")"
fake test_cuda_probes 'sleep 1000' 'echo "1 passed, 0 failed, 0 skipped"'
claim what_hangs_is_ended "$(
    run 1 hang cuda 7 probes,operations
    says 'no time left'
    grep -q '"failed": 1' "$work/hang/summary.json" || cat "$work/hang/summary.json")"
fake test_cuda_engine 'echo "0 passed, 0 failed, 3 skipped"'
claim skips_alone_are_no_success "$(run 1 skips emu 60 model; says '0 passed, 1 failed, 3 skipped')"
chmod a-w "$work/odd"
claim the_stages_run_on_the_emulation "$(
    ended 0 "$here/run.sh" --device emu --programs "$build" --out "$work/emu" \
        --only machine,probes,operations,model,sanitizer,bench8b,bench2b,ncu
    says ' 0 failed'
    for file in summary.json env.txt probes.json tests.log bench.json; do
        [ -s "$work/emu/$file" ] || echo "there is no $file"
    done
    for file in summary probes bench; do
        ! command -v python3 >/dev/null || python3 -m json.tool "$work/emu/$file.json" >/dev/null || echo "$file"
    done)"
tail -n 30 "$work/said"
finish
