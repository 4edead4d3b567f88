#!/usr/bin/env bash
# Trains the default model on a GPU for some minutes, on a machine that reaches nothing and forgets
# everything: what it needs is carried there in a folder, what it made comes back in pieces.
#
#   gpu.sh --pack          here: fonts and the atlas of text into $CARRY, once; says what would travel
#   gpu.sh --minutes 9     there: goes on from the pieces in $CARRY or from $INIT, trains, and writes
#                          pieces, checksums and the log to $OUT
#   gpu.sh --take DIR      here: the pieces of a run that came back, for the next call
#   gpu.sh --export DIR    here: the model of the pieces in $CARRY, in the Hugging Face layout
#   gpu.sh --rehearse      all of that on the CPU with a tiny model (6.5 minutes on a busy machine)
#
# Needed there: python3 with torch (2.6 or later, with CUDA), numpy, pillow, tokenizers, safetensors;
# fonts and the words of Faker and wordfreq come from $CARRY. A run without torch or without a GPU ends at once and says
# so: then train.py trains on a CPU here, or torch has to be in the machine's image, for its wheels
# are far larger than what can be carried.
#
# From the environment: CARRY (.gpu in the top folder; let git ignore it), OUT (where results go),
# RUN (/tmp/vlqa-run, the run's own folder: a second call on the same machine goes on from it with the
# optimizer), TOTAL (minutes of the whole schedule, 13), SIZE (small), STAGES (continue), ROWS (batch),
# RATE (peak), INIT (a model to begin with, assets/default-model; "none": from nothing), TOKENIZER (its
# folder, default INIT), LIMIT (MiB that may travel, 64), BACK and GO (MiB of a checkpoint that comes
# back, 62, and goes there, 30), WORKERS, PYTHON. With --pack: FONTS (MiB of fonts, 6), FACES (300) and
# PHRASES (60000) of the atlas.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3}
CARRY=${CARRY:-$top/.gpu} OUT=${OUT:-$top/.gpu-out} RUN=${RUN:-/tmp/vlqa-run}
TOTAL=${TOTAL:-13} SIZE=${SIZE:-small} STAGES=${STAGES:-continue} INIT=${INIT:-$here/../default-model}
TOKENIZER=${TOKENIZER:-$INIT} LIMIT=${LIMIT:-64}
more=()

say() { echo "gpu.sh: $*"; }

pack() {
    mkdir -p "$CARRY"
    "$python" "$here/carry.py" words --to "$CARRY/site"
    "$python" "$here/carry.py" fonts --to "$CARRY/fonts" --most "${FONTS:-6}"
    "$python" "$here/atlas.py" --tokenizer "$TOKENIZER" --out "$CARRY/atlas.npz" \
        --faces "${FACES:-300}" --phrases "${PHRASES:-60000}"
    travels
}

# What would travel: what git tracks or does not ignore, and $CARRY.
travels() {
    local tree carried
    tree=$(cd "$top" && git ls-files -coz --exclude-standard | xargs -0 -r ls -ld 2>/dev/null |
        awk '{n += $5} END {print int(n / 1048576) + 1}')
    carried=$(du -sm "$CARRY" | cut -f1)
    say "$tree MiB of the working tree and $carried MiB of $CARRY travel, of $LIMIT"
    if [ $((tree + carried)) -gt "$LIMIT" ]; then
        say "too much: move assets/default-model/*.safetensors aside (pieces in $CARRY stand for it)"
        return 1
    fi
}

look() {
    "$python" - "$@" <<'CHECK'
import importlib.util, sys
lost = [n for n in ("torch", "numpy", "PIL", "tokenizers", "safetensors") if not importlib.util.find_spec(n)]
if lost:
    sys.exit(f"gpu.sh: python3 here has no {', '.join(lost)}: it must be in the machine's image, or, "
             "torch excepted, travel as a wheel. On a CPU run train.py instead.")
import torch
if "--cpu" not in sys.argv and not torch.cuda.is_available():
    sys.exit("gpu.sh: torch sees no GPU here. On a CPU run train.py instead.")
where = "the CPU" if "--cpu" in sys.argv else torch.cuda.get_device_name()
print(f"gpu.sh: torch {torch.__version__} on {where}")
CHECK
}

# Trains for $1 minutes of this call, start and export included.
train() {
    look "${more[@]}"
    export PYTHONPATH=$CARRY/site${PYTHONPATH:+:$PYTHONPATH} # for Faker and wordfreq
    mkdir -p "$RUN" "$OUT"
    local from=(--tokenizer "$TOKENIZER")
    [ "$INIT" = none ] || from+=(--init "$INIT")
    if [ -e "$RUN/checkpoint.pt" ]; then
        from=(--resume)
        say "going on in $RUN"
    elif [ -e "$CARRY/SHA256SUMS" ]; then
        "$python" "$here/carry.py" join --out "$RUN" --to "$CARRY"
        from=(--resume)
    fi
    [ -d "$CARRY/library" ] && more+=(--library "$CARRY/library/*")
    [ -n "${ROWS:-}" ] && more+=(--rows "$ROWS")
    [ -n "${RATE:-}" ] && more+=(--rate "$RATE")
    [ -n "${WORKERS:-}" ] && more+=(--workers "$WORKERS")
    local begun=$SECONDS status=0
    "$python" -u "$here/train.py" --out "$RUN" --size "$SIZE" --stages "$STAGES" "${from[@]}" \
        --fonts "$CARRY/fonts" --atlas "$CARRY/atlas.npz" --minutes "$TOTAL" \
        --stop-after "$(awk "BEGIN {print $1 - 0.5}")" --save-every 2 --test-every 3 \
        "${more[@]}" 2>&1 | tee "$OUT/train.out" || status=$?
    say "trained for $((SECONDS - begun)) seconds"
    [ -e "$RUN/checkpoint.pt" ] || { say "no checkpoint was written"; return 1; }
    "$python" "$here/carry.py" split --out "$RUN" --to "$OUT" --most "${BACK:-62}"
    gzip -c "$RUN/log.jsonl" >"$OUT/log.jsonl.gz"
    return "$status"
}

take() {
    local at
    at=$(mktemp -d)
    rm -f "$CARRY"/checkpoint.* "$CARRY/SHA256SUMS"
    "$python" "$here/carry.py" join --out "$at" --to "$1"
    "$python" "$here/carry.py" split --out "$at" --to "$CARRY" --most "${GO:-30}"
    rm -r "$at"
    say "the next call goes on from these pieces"
    travels
}

write() {
    "$python" "$here/carry.py" join --out "$1" --to "$CARRY"
    "$python" "$here/export.py" --out "$1"
}

rehearse() {
    local at
    at=$(mktemp -d)
    export PYTHON=$python INIT=none TOKENIZER=$TOKENIZER CARRY=$at/carry SIZE=tiny TOTAL=1.5 FONTS=2 FACES=30 PHRASES=2000 WORKERS=1 ROWS=1024 LIMIT=999
    "$0" --pack
    # the first call begins; the second goes on where it is; the third on another machine, from pieces
    OUT=$at/out1 RUN=$at/run1 "$0" --cpu --tiny --minutes 1
    OUT=$at/out1 RUN=$at/run1 "$0" --cpu --tiny --minutes 0.8
    "$0" --take "$at/out1"
    OUT=$at/out2 RUN=$at/run2 "$0" --cpu --tiny --minutes 2
    ls -l "$at/out2" "$at/run2"
    "$0" --take "$at/out2"
    "$0" --export "$at/model"
    ls "$at/model"
    rm -r "$at"
    say "rehearsed"
}

minutes=
while [ $# -gt 0 ]; do
    case $1 in
    --pack) pack; exit ;;
    --take) take "$2"; exit ;;
    --export) write "$2"; exit ;;
    --rehearse) rehearse; exit ;;
    --minutes) minutes=$2; shift ;;
    --tiny | --cpu | --compile) more+=("$1") ;;
    *) sed -n '2,23p' "$0"; exit 1 ;;
    esac
    shift
done
[ -n "$minutes" ] || { sed -n '2,23p' "$0"; exit 1; }
train "$minutes"
