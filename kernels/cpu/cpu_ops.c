/* cpu_ops.c - the table of operations of one instruction set. */
#include "kernels/cpu/cpu.h"

#define CPU_TEXT2(isa) #isa
#define CPU_TEXT(isa) CPU_TEXT2(isa)

extern const struct backend_ops CPU(ops);
const struct backend_ops CPU(ops) = {
    .name = CPU_TEXT(CPU_ISA),
    .destroy = cpu_destroy,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_copy,
    .download = cpu_copy,
    .sync = cpu_sync,
    .gather = CPU(gather),
    .scatter = CPU(scatter),
    .add = CPU(add),
    .matmul = CPU(matmul),
    .rmsnorm = CPU(rmsnorm),
    .layernorm = CPU(layernorm),
    .rope = CPU(rope),
    .swiglu = CPU(swiglu),
    .attention = CPU(attention),
    .score = CPU(score),
    .code = CPU(code),
};
