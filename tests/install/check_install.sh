#!/bin/sh
# check_install.sh BUILD COMPILER - what is installed can be used: by hand, pkg-config and CMake.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1 cc=$2
. "$here/../check.sh"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# fails COMMAND...: its output when it fails, nothing when it does well
fails() {
    output=$("$@" 2>&1) || printf '%s: status %s\n%s\n' "$*" $? "$output"
}

opens() { # PROGRAM: it runs and opens the installed model
    LD_LIBRARY_PATH=$lib fails "$1" "$root/share/vlqa/default-model"
}

compile() { # PROGRAM PKG-CONFIG-OPTION SED-SCRIPT
    flags=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config $2 --cflags --libs vlqa | sed "$3")
    # shellcheck disable=SC2086
    fails "$cc" -std=c11 -Wall -Wextra -Werror "$here/consumer.c" $flags -o "$1"
}

claim it_installs "$(fails cmake --install "$build" --prefix "$root")"
lib=$(dirname "$(find "$root" -name 'libvlqa.so')")

claim modules_are_installed "$(
    for module in "$build"/libvlqa-*.so; do
        [ ! -e "$module" ] || [ -e "$lib/${module##*/}" ] || echo "${module##*/} is missing"
    done
)"
claim only_the_api_is_exported \
    "$(nm -D --defined-only "$lib/libvlqa.so" | awk '$3 !~ /^vlqa_/ { print $3 " is exported" }')"
claim the_whole_api_is_exported "$(
    sed -n 's/^VLQA_API.*[ *]\(vlqa_[a-z_]*\)(.*/\1/p' "$root/include/vlqa.h" | while read -r name; do
        nm -D --defined-only "$lib/libvlqa.so" | grep -q " $name\$" || echo "$name is missing"
    done
)"
claim soname_has_a_version \
    "$(readelf -d "$lib/libvlqa.so" | grep -q 'soname: \[libvlqa\.so\.0\]' || echo 'it has none')"

claim manual_and_completion_are_installed "$(
    for file in man/man1/vlqa.1 bash-completion/completions/vlqa zsh/site-functions/_vlqa; do
        [ -s "$root/share/$file" ] || echo "$file is missing"
    done
)"
# lonely OPTION...: what pkg-config says where no other package is known
lonely() {
    PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_PATH='' pkg-config "$@" vlqa 2>&1 | sed 's/ *$//'
}

paths="$(cd "$root/include" && pwd -P) $lib"

claim pkg_config_asks_shared_for_nothing_else "$(
    for flag in $(lonely --cflags --libs); do
        case $flag in
        -lvlqa) ;;
        -[IL]*) case " $paths " in *" $(cd "${flag#-?}" && pwd -P) "*) ;; *) echo "$flag leaks" ;; esac ;;
        *) echo "$flag leaks" ;;
        esac
    done
    [ "$(lonely --libs | grep -c -- -lvlqa)" = 1 ] || echo '-lvlqa is missing'
    lonely --cflags | grep -q -- -I || echo '-I is missing'
)"
claim pkg_config_names_what_static_needs "$(
    for name in cjson sodium xxhash turbojpeg pcre2-8 utf8proc m; do
        lonely --static --libs | grep -qE -- "-l$name( |\$)" || echo "-l$name is missing"
    done
    lonely --static --cflags | grep -oE -- '-D[^ ]*'
)"
claim pkg_config_builds_shared "$(compile "$root/shared" '' '')"
claim pkg_config_shared_runs "$(opens "$root/shared")"
claim a_library_that_was_moved_finds_its_model \
    "$(LD_LIBRARY_PATH=$lib fails "$root/shared" | sed -n '/no model at/p; /status/p')"
claim pkg_config_builds_static "$(compile "$root/static" --static 's/-lvlqa/-l:libvlqa.a/')"
claim pkg_config_static_runs "$(opens "$root/static")"
claim static_needs_no_libvlqa \
    "$(readelf -d "$root/static" | grep 'NEEDED.*libvlqa')"

claim cmake_builds_both "$(
    fails cmake -S "$here" -B "$root/cmake" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$root"
    fails cmake --build "$root/cmake"
)"
claim cmake_shared_runs "$(opens "$root/cmake/consumer_shared")"
claim cmake_static_runs "$(opens "$root/cmake/consumer_static")"

if [ -x "$root/bin/vlqa" ]; then
    answer=$("$root/bin/vlqa" --model "$root/share/vlqa/default-model" \
        --image "$here/../../assets/samples/031.png" --question 'What is the title?' 2>&1)
    claim installed_program_answers \
        "$([ "$answer" = 'Downloads per month (2027)' ] || echo "it says: $answer")"
fi
finish
