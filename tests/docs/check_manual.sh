#!/usr/bin/env bash
# check_manual.sh PROGRAM - manual page and completion have the options that the tables have.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

verbs=$("$program" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')
subs=$("$program" cache --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
all=$(for verb in $verbs; do echo "$verb"; done; for sub in $subs; do echo "cache $sub"; done)

table() { # VERB: its options, as --help-all or else --help lists them
    # shellcheck disable=SC2086
    { "$program" $1 --help-all 2>/dev/null || "$program" $1 --help; } |
        sed -nE 's/^  (-., |    )--([a-z-]+).*/--\2/p' | sort
}

# differ WHAT LIST: a finding for each verb whose options are not those of its table
differ() {
    echo "$all" | while read -r verb; do
        diff <(table "$verb") <("$2" "$verb") >diff.txt || sed "s/^/$1, $verb: /" diff.txt
    done
}

of_manual() {
    "$program" manual | awk -v name="VLQA ${1^^}" '
        /^\.SH / { inside = substr($0, 5) == name }
        inside && wanted { gsub(/\\f.|\\/, ""); sub(/^-., /, ""); print $1 }
        { wanted = $0 == ".TP" }' | sort
}

# reply WORD...: what bash offers for the last word
reply() {
    "$program" completion bash >script
    # shellcheck disable=SC2016
    bash -c '. ./script; COMP_WORDS=(vlqa "$@") COMP_CWORD=$#; _vlqa; printf "%s\n" "${COMPREPLY[@]}"' _ "$@"
}

of_bash() {
    # shellcheck disable=SC2086
    reply $1 -- | sed "/^$/d" | sort
}

of_zsh() { # from its text: zsh itself is no package that tests need
    "$program" completion zsh | awk -v name="    '$1')" '
        index($0, name " _arguments") == 1 { inside = 1; next }
        /^    \x27.*\) _arguments/ { inside = 0 }
        inside && match($0, /--[a-z-]+/) { print substr($0, RSTART, RLENGTH) }' | sort
}

claim verbs_are_found "$([ "$(echo "$all" | wc -l)" -ge 12 ] || echo "$all")"
claim manual_has_every_option "$(differ manual of_manual)"
claim bash_completes_every_option "$(differ bash of_bash)"
claim zsh_completes_every_option "$(differ zsh of_zsh)"

expect() { # FOUND EXPECTED
    [ "$1" = "$2" ] || printf 'found:\n%s\nexpected:\n%s\n' "$1" "$2"
}
touch 'a chart.png' other.txt
mkdir model
claim bash_completes_verbs "$(expect "$(reply ev)" eval)"
claim bash_completes_verbs_of_verbs "$(expect "$(reply cache v)" verify)"
claim bash_completes_choices "$(expect "$(reply ask --kv-dtype '' | tr '\n' ' ')" 'auto bf16 f32 int8 int4 ')"
claim bash_completes_files "$(expect "$(reply --image 'a ch')" 'a chart.png')"
claim bash_completes_folders "$(expect "$(reply -m '')" model)"
claim bash_completes_words_and_files "$(expect "$(reply eval --prompt o)" 'other.txt'
    expect "$(reply eval --prompt qw)" qwen)"
claim bash_completes_the_word_of_a_verb "$(expect "$(reply completion z)" zsh)"
claim bash_completes_behind_an_equals_sign "$(expect "$(reply ask --image = 'a ch')" 'a chart.png'
    expect "$(reply ask --dtype = | tr '\n' ' ')" 'auto bf16 f32 ')"
claim bash_offers_nothing_for_numbers "$(expect "$(reply ask --max-tokens '')" '')"
claim bash_completes_the_short_form "$(expect "$(reply --cache-r)" --cache-ram)"

if command -v zsh >/dev/null; then
    claim zsh_reads_it "$("$program" completion zsh >_vlqa && zsh -n _vlqa 2>&1)"
else
    skip zsh_reads_it 'no zsh'
fi
if command -v groff >/dev/null; then
    claim groff_has_no_warning "$("$program" manual | groff -man -Tutf8 -ww -z 2>&1)"
    claim manual_shows_examples "$("$program" manual | MANWIDTH=80 groff -man -Tascii -P-cbou 2>/dev/null |
        grep -q 'vlqa --image chart.png -p "Which year was best?"' || echo 'the example is not there')"
else
    skip groff_has_no_warning 'no groff'
    skip manual_shows_examples 'no groff'
fi
finish
