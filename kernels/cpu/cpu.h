/* cpu.h - what the files of the CPU backend share.
 *
 * cpu_ops.c, cpu_rows.c, cpu_matmul.c, cpu_attention.c, cpu_score.c, cpu_measures.c and
 * cpu_quantize.c are compiled once for each set with CPU_ISA naming it (plain, avx2, avx512, amx);
 * CPU(matmul) is then cpu_matmul_avx2. The sets differ in cpu_vec.h, and AMX in its products of
 * bf16 (cpu_matmul_amx.c, cpu_attention_amx.c), and nowhere else, so each of them follows the same
 * order of summation for every row. */
#ifndef KERNELS_CPU_CPU_H
#define KERNELS_CPU_CPU_H

#include "base/pool.h"
#include "kernels/backend.h"

#define CPU_PASTE2(name, isa) cpu_##name##_##isa
#define CPU_PASTE(name, isa) CPU_PASTE2(name, isa)
#define CPU(name) CPU_PASTE(name, CPU_ISA)

/* AMX multiplies tiles; a test compiles it over a C emulation of them. The name without a line is
 * that of clang 14. */
#if defined(__AMX_BF16__) || defined(__AMXBF16__) || defined(VLQA_AMX_EMULATED)
#define CPU_AMX 1
#else
#define CPU_AMX 0
#endif

struct cpu { /* impl of a queue on the CPU */
    int workers;
    uint8_t *work; /* [workers][CPU_WORK_BYTES] */
};

/* What one worker may need at a time; pages nobody touches cost nothing. */
#define CPU_WORK_BYTES ((size_t)1 << 20)

static inline void *cpu_work(const struct queue *q, int worker)
{
    const struct cpu *cpu = q->impl;
    assert(worker >= 0 && worker < cpu->workers);
    return cpu->work + (size_t)worker * CPU_WORK_BYTES;
}

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}

static inline int max_int(int a, int b)
{
    return a > b ? a : b;
}

/* The keys that a row sees, numbered in the order of their slots: key i is in slot i before `head`,
 * else in slot i + gap. Sums run in the order of these numbers, in tiles that begin at multiples of
 * their size, so where the slots lie does not matter to a single bit. */
struct visible {
    int keys, head, gap;
};

/* A span without a gap numbers its keys like a causal row, whichever way it is written. */
static inline struct visible visible_of(struct span s)
{
    int tail = max_int(s.tail_end - s.tail_begin, 0);
    struct visible v = {.keys = s.head_end + tail};
    if (tail > 0 && s.tail_begin > s.head_end) {
        v.head = s.head_end;
        v.gap = s.tail_begin - s.head_end;
    }
    return v;
}

static inline int visible_slot(struct visible v, int key)
{
    return key < v.head ? key : key + v.gap;
}

/* How many of n rows, from the first on, number their keys alike; *all is how, with as many keys as
 * the row that sees most. */
static inline int visible_run(const struct span *span, int n, struct visible *all)
{
    int rows = 1;
    *all = visible_of(span[0]);
    for (; rows < n; rows++) {
        struct visible v = visible_of(span[rows]);
        if (v.head != all->head || v.gap != all->gap) break;
        all->keys = max_int(all->keys, v.keys);
    }
    return rows;
}

/* Once for all sets: cpu_device.c. */
vlqa_status cpu_open(struct env *env, enum vlqa_cpu cpu, struct device **out);
/* The same over a table that device_open would not choose: for tests. */
vlqa_status cpu_open_over(struct env *env, const struct backend_ops *ops, struct device **out);
void cpu_close(struct device *d);
void *cpu_alloc(struct device *d, size_t bytes);
void cpu_release(struct device *d, void *block);
void cpu_forget(struct device *d, void *at, size_t bytes);
vlqa_status cpu_queue_open(struct queue *q);
void cpu_queue_close(struct queue *q);
void cpu_copy(struct queue *q, void *dst, const void *src, size_t bytes);
void cpu_clear(struct queue *q, void *dst, size_t bytes);
vlqa_status cpu_sync(struct queue *q);

/* cpu_place.c */
size_t cpu_place_work(const struct device *d, int n, int cols);
void cpu_place(struct queue *q, const struct place *p);

extern const struct backend_ops cpu_ops_plain, cpu_ops_avx2, cpu_ops_avx512, cpu_ops_amx;

#ifdef CPU_ISA
size_t CPU(attention_work)(const struct device *d, int n, int heads, int kv_heads, int dim,
                           int slots);
size_t CPU(score_work)(const struct device *d, int n, int heads, int slots);
void CPU(gather)(struct queue *q, struct mat dst, struct mat src, struct ints index);
void CPU(scatter)(struct queue *q, struct mat dst, struct ints index, struct mat src);
void CPU(embed)(struct queue *q, struct mat dst, struct weight src, struct ints index);
void CPU(add)(struct queue *q, struct mat dst, struct mat src, struct ints index);
void CPU(matmul)(struct queue *q, const struct products *p);
void CPU(rmsnorm)(struct queue *q, struct mat y, struct mat x, struct mat w, float eps);
void CPU(layernorm)(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b,
                    float eps);
void CPU(angles)(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse);
void CPU(rope)(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin);
void CPU(heads)(struct queue *q, const struct heads *h);
void CPU(blend)(struct queue *q, struct mat dst, struct mat src, struct ints index,
                struct mat part);
void CPU(swiglu)(struct queue *q, struct mat y, struct mat gate_up);
void CPU(attention)(struct queue *q, const struct attn *a);
void CPU(score)(struct queue *q, const struct score *s);
void CPU(entropy)(struct queue *q, struct mat out, struct mat logits, int top);
void CPU(cosine_distance)(struct queue *q, struct mat out, struct mat a, struct mat b);
void CPU(quantize)(struct queue *q, struct mat dst, struct mat src, int heads);
void CPU(dequantize)(struct queue *q, struct mat dst, struct mat src, int heads);
#endif

#endif
