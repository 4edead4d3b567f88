#!/bin/sh
# check_module.sh MODULE ARCHS LOG... - the module of CUDA as nvcc has made it: each kernel for each
# architecture, nothing spilled to memory, one symbol exported, and no library needed but those of the compiler;
# with cuobjdump, also that kernels for tensor cores have their instructions.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../check.sh"
module=$1 archs=$2
shift 2

missing() { # architectures for which a file with kernels was not compiled
    for log; do
        grep -q 'Compiling entry function' "$log" || continue
        for arch in $archs; do
            grep -q "Compiling entry function .* for 'sm_$arch'" "$log" || echo "$log: no sm_$arch"
        done
    done
}

kernels=$(cat "$@" | grep -c "Compiling entry function .* for 'sm_80'")
claim there_are_kernels "$([ "$kernels" -ge 15 ] || echo "$kernels kernels")"
claim each_architecture_is_compiled "$(missing "$@")"
claim nothing_is_spilled "$(grep -nE '[1-9][0-9]* bytes spill' "$@")"
claim one_symbol_is_exported "$(nm -D --defined-only "$module" | awk '{ print $3 }' |
    grep -vx vlqa_cuda_module)"
claim libraries_of_the_compiler_are_enough "$(objdump -p "$module" | awk '$1 == "NEEDED" { print $2 }' |
    grep -vE '^(libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+|ld-linux-x86-64)\.so')"

# What has no products (mma) or copies none of their operands (LDGSTS of 16 bytes), of the kernels of mma_*.cuh that
# multiply.
plain_instructions() {
    cuobjdump -sass -arch sm_80 "$module" | awk '
        /Function :/ { name = $3; is_one = name ~ /_ZN3mma.*(attendI|multiply_|score_slots|sum_segments)/; n += is_one }
        is_one { all[name] = 1 }
        /HMMA\.16816\.F32\.BF16/ { products[name] = 1 }
        /LDGSTS.*\.128/ { copies[name] = 1 }
        END {
            for (name in all) if (!products[name] || !copies[name]) print name
            if (n < 15) print n + 0 " kernels"
        }'
}
if command -v cuobjdump >/dev/null; then
    claim tensor_cores_and_wide_copies_are_used "$(plain_instructions)"
else
    skip tensor_cores_and_wide_copies_are_used 'there is no cuobjdump'
fi
finish
