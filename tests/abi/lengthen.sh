#!/bin/sh
# lengthen.sh FROM TO - a public header of a later version: one more field at the end of each struct.
set -eu
awk '/^struct vlqa_[a-z_]+ \{/ { inside = 1 }
     /^\};/ { if (inside) print "    uint64_t abi_more;"; inside = 0 }
     { print }' "$1" >"$2"
