#!/usr/bin/env bash
# check_commands.sh PROGRAM - every command block of README and docs, run and compared with what is
# shown.
#
# A block says behind its ``` what it is:
#   console       "$ COMMAND" lines, each followed by what it prints: run and compared
#   sh            commands: run, or, where a test cannot run them, checked to exist
#   sh measured, sh elsewhere
#                 commands with data or a network that are not here: every option must exist
#   c             every vlqa_ name must be one of the headers
#   text          no commands
# A line "..." stands for any lines, "..." in a line for any text. Numbers under "ms" are not compared; others with a decimal point may differ by 5 %, because
# instruction sets round differently.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
program=$1
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A working directory as in a clone, where commands may write.
mkdir -p "$work/clone/docs" "$work/clone/build" "$work/blocks" "$work/home"
ln -s "$root/assets" "$root/tests" "$root/include" "$root/bootstrap.sh" "$root/.ci" "$work/clone"
ln -s "$program" "$work/clone/build/vlqa"
ln -s "$program" "$work/vlqa"
export HOME="$work/home" XDG_CACHE_HOME="$work/home/cache" PATH="$work:$PATH"
unset MAKEFLAGS

# blocks FILE: NAME:LINE.info and NAME:LINE.body of each block
blocks() {
    awk -v out="$work/blocks/$(echo "$1" | tr / _)" '
        /^ *```/ && !inside { inside = 1; file = out ":" NR; print substr($0, index($0, "```") + 3) > (file ".info"); printf "" > (file ".body"); next }
        /^ *```/ { inside = 0; close(file ".body"); next }
        inside { print > (file ".body") }' "$root/$1"
}

# same SHOWN FOUND: the first difference
same() {
    awk '
        function is_number(x) { return x ~ /^[-+]?[0-9,]+(\.[0-9]+)?$/ }
        function close_to(x, y) { return x ~ /\./ && y ~ /\./ && (x - y) ^ 2 <= (0.05 * x) ^ 2 }
        # The parts of the line x between "..." stand in y, one behind the other.
        function has_parts(x, y,   part, n, i, at) {
            n = split(x, part, "[.][.][.]")
            if (index(y, part[1]) != 1) return 0
            for (i = 1; i <= n; i++) {
                at = index(y, part[i])
                if (part[i] != "" && !at) return 0
                if (part[i] != "") y = substr(y, at + length(part[i]))
            }
            return part[n] == "" || y == ""
        }
        function alike(x, y,   s, f, n, i) {
            if (index(x, "...")) return has_parts(x, y)
            n = split(x, s)
            if (split(y, f) != n) return 0
            for (i = 1; i <= n; i++)
                if (s[i] != f[i] &&
                    !(is_number(s[i]) && is_number(f[i]) && (i == ms || close_to(s[i], f[i])))) return 0
            for (i = 1; i <= n; i++) if (f[i] == "ms") ms = i
            return 1
        }
        FNR == NR { shown[++lines] = $0; next }
        { found[++have] = $0 }
        END {
            i = j = 1
            while (i <= lines) {
                if (shown[i] == "...") {
                    i++
                    if (i > lines) exit
                    while (j <= have && !alike(shown[i], found[j])) j++
                }
                if (j > have || !alike(shown[i], found[j])) {
                    print "shown: " shown[i] "\nfound: " (j > have ? "nothing" : found[j])
                    exit
                }
                i++; j++
            }
            if (j <= have) print "not shown: " found[j]
        }' "$1" "$2"
}

# console BODY: runs each "$ " command in turn
console() {
    rm -f "$work"/step.*
    awk -v out="$work/step" '
        /^\$ / { n++; in_command = 1; printf "" > (out "." n ".shown"); $0 = substr($0, 3) }
        in_command { print > (out "." n ".command"); in_command = /\\$/; next }
        { print > (out "." n ".shown") }' "$1"
    for command in $(find "$work" -maxdepth 1 -name 'step.*.command' | sort -V); do
        shown=${command%.command}.shown
        (cd "$work/clone" && bash "$command" </dev/null >"$work/found" 2>&1) ||
            echo "$(head -n 1 "$command"): exit code $?"
        same "$shown" "$work/found"
    done
}

known=$(
    for verb in ask eval study bench inspect 'cache ls' 'cache rm' 'cache stat' 'cache verify' 'cache warm'; do
        # shellcheck disable=SC2086
        { "$program" $verb --help-all 2>/dev/null || "$program" $verb --help; }
    done | grep -oE -- '--[a-z][a-z-]+'
)

# options BODY: those of vlqa that do not exist
options() {
    tr '\n' ' ' <"$1" | sed 's/\\ / /g' | grep -oE 'vlqa [^|;&]*' | grep -oE -- ' --[a-z][a-z-]+' | sort -u |
        while read -r option; do
            echo "$known" | grep -qxFe "$option" || echo "$option is no option of vlqa"
        done
}

# commands BODY: what CI runs itself must be there, the rest is run
commands() {
    while read -r line; do
        set -- $line
        case ${1:-} in
        '' | '#'*) ;;
        ./bootstrap.sh | .ci/run | tests/run.sh | tests/fuzz/*.sh)
            [ -x "$root/$1" ] || echo "$1 is no program"
            ;;
        build/tests/*)
            [ -e "$root/tests/$(echo "${1#build/tests/test_}" | sed 's,_,/test_,').c" ] || echo "$1: no such test"
            ;;
        *) (cd "$work/clone" && bash -c "$line" </dev/null >"$work/found" 2>&1) || { echo "$line"; cat "$work/found"; } ;;
        esac
    done <"$1"
}

names() {
    grep -oE '\bvlqa_[a-z_]+' "$1" | sort -u | while read -r name; do
        grep -qrE "\b$name\b" "$root/include" || echo "$name is in no header"
    done
}

for file in README.md docs/CLI.md docs/CONTRIBUTING.md docs/DESIGN.md docs/EVALUATION.md docs/GLOSSARY.md \
    docs/MODEL.md docs/RESULTS.md assets/default-model/MODEL_CARD.md assets/train/README.md; do
    blocks "$file"
done
found=0
for info in $(find "$work/blocks" -name '*.info' | sort -V); do
    body=${info%.info}.body
    name=$(basename "$body" .body)
    found=$((found + 1))
    case $(cat "$info") in
    console) claim "$name" "$(console "$body")" ;;
    sh) claim "$name" "$(commands "$body")" ;;
    'sh measured' | 'sh elsewhere') claim "$name" "$(options "$body")" ;;
    c) claim "$name" "$(names "$body")" ;;
    text) ;;
    *) claim "$name" 'says not what it is: console, sh, sh measured, sh elsewhere, c or text' ;;
    esac
done
claim blocks_are_found "$([ "$found" -ge 20 ] || echo "only $found")"
finish
