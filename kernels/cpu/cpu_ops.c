/* cpu_ops.c - the table of operations of one instruction set. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_pack.h"

#define CPU_TEXT2(isa) #isa
#define CPU_TEXT(isa) CPU_TEXT2(isa)

extern const struct backend_ops CPU(ops);
const struct backend_ops CPU(ops) = {
    .name = CPU_TEXT(CPU_ISA),
    .shares_host = 1,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .alloc_host = cpu_alloc,
    .release = cpu_release,
    .release_host = cpu_release,
    .forget = cpu_forget,
    .weight_block = cpu_weight_block,
    .weight_pack = cpu_weight_pack,
    .attention_work = CPU(attention_work),
    .score_work = CPU(score_work),
    .place_work = cpu_place_work,
    .queue_open = cpu_queue_open,
    .queue_close = cpu_queue_close,
    .upload = cpu_copy,
    .download = cpu_copy,
    .clear = cpu_clear,
    .sync = cpu_sync,
    .gather = CPU(gather),
    .scatter = CPU(scatter),
    .embed = CPU(embed),
    .add = CPU(add),
    .matmul = CPU(matmul),
    .rmsnorm = CPU(rmsnorm),
    .layernorm = CPU(layernorm),
    .angles = CPU(angles),
    .rope = CPU(rope),
    .heads = CPU(heads),
    .blend = CPU(blend),
    .swiglu = CPU(swiglu),
    .attention = CPU(attention),
    .score = CPU(score),
    .entropy = CPU(entropy),
    .cosine_distance = CPU(cosine_distance),
    .quantize = CPU(quantize),
    .dequantize = CPU(dequantize),
    .place = cpu_place,
};
