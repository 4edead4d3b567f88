/* cpu.h - what the files of the CPU backend share.
 *
 * cpu_ops.c, cpu_rows.c, cpu_matmul.c, cpu_attention.c and cpu_score.c are compiled once for each
 * set with CPU_ISA naming it (plain, avx2, avx512, amx); CPU(matmul) is then cpu_matmul_avx2. The
 * sets differ in cpu_vec.h and nowhere else, so each of them follows the same order of summation
 * for every row. */
#ifndef KERNELS_CPU_CPU_H
#define KERNELS_CPU_CPU_H

#include "base/pool.h"
#include "kernels/backend.h"

#define CPU_PASTE2(name, isa) cpu_##name##_##isa
#define CPU_PASTE(name, isa) CPU_PASTE2(name, isa)
#define CPU(name) CPU_PASTE(name, CPU_ISA)

struct cpu { /* impl of a CPU backend */
    int workers;
    uint8_t *work; /* [workers][CPU_WORK_BYTES] */
};

/* What one worker may need at a time; pages nobody touches cost nothing. */
#define CPU_WORK_BYTES ((size_t)1 << 20)

static inline void *cpu_work(const struct backend *be, int worker)
{
    const struct cpu *cpu = be->impl;
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

/* Once for all sets: cpu_backend.c. */
vlqa_status cpu_create(struct env *env, enum vlqa_cpu cpu, struct backend **out);
/* The same over a table that backend_create would not choose: for tests. */
vlqa_status cpu_create_over(struct env *env, const struct backend_ops *ops, struct backend **out);
void cpu_destroy(struct backend *be);
void *cpu_alloc(struct backend *be, size_t bytes);
void cpu_release(struct backend *be, void *block);
void cpu_copy(struct backend *be, void *dst, const void *src, size_t bytes);
vlqa_status cpu_sync(struct backend *be);

extern const struct backend_ops cpu_ops_plain, cpu_ops_avx2, cpu_ops_avx512, cpu_ops_amx;

#ifdef CPU_ISA
void CPU(gather)(struct backend *be, struct mat dst, struct mat src, const int32_t *index);
void CPU(scatter)(struct backend *be, struct mat dst, const int32_t *index, struct mat src);
void CPU(add)(struct backend *be, struct mat dst, struct mat src, const int32_t *src_index);
void CPU(matmul)(struct backend *be, struct mat y, struct mat x, struct mat w, const float *bias,
                 enum act act);
void CPU(rmsnorm)(struct backend *be, struct mat y, struct mat x, const float *w, int w_n,
                  float eps);
void CPU(layernorm)(struct backend *be, struct mat y, struct mat x, const float *w, const float *b,
                    float eps);
void CPU(rope)(struct backend *be, struct mat y, struct mat x, int heads, struct mat cos_sin);
void CPU(swiglu)(struct backend *be, struct mat y, struct mat gate_up);
void CPU(attention)(struct backend *be, const struct attn *a);
void CPU(score)(struct backend *be, const struct score *s);
void CPU(code)(struct backend *be, struct mat dst, struct mat src, int heads);
#endif

#endif
