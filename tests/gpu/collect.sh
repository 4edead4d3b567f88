#!/bin/sh
# collect.sh OUT LIMIT_MB PROGRAM... - programs without symbols, and the libraries that they need beside
# those of every Linux, in one folder that is carried to a machine with a GPU.
set -eu
out=$1 limit=$2
shift 2
mkdir -p "$out/lib"
for program; do
    strip -o "$out/${program##*/}.new" "$program"
    mv "$out/${program##*/}.new" "$out/${program##*/}"
    ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// && $1 !~ /^(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\./ { print $3 }'
done | sort -u | while read -r library; do
    cp -fL "$library" "$out/lib/"
done
kb=$(du -sk "$out" | cut -f1)
echo "$out: $# programs, $((kb / 1024)) MB"
[ "$kb" -le $((limit * 1024)) ] || { echo "$out: expected at most $limit MB" >&2; exit 1; }
