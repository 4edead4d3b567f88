/* ops.h - times every operation of kernels/ops.h in the shapes of a model, and the machine's limits
 * beside them. */
#ifndef EVAL_BENCH_OPS_H
#define EVAL_BENCH_OPS_H

#include "base/env.h"

#define OPS_MAX_ROWS 16
#define OPS_MAX_SAMPLES 100

struct ops_options {
    const char *shape; /* of fusion/engine/shape.h */
    uint64_t seed;     /* of weights and inputs */
    int threads;       /* 0: one a core */
    enum vlqa_cpu cpu;
    enum vlqa_dtype dtype, kv_dtype;
    enum vlqa_weights weights; /* of the decoder's matrices, as an engine would hold them */
    const char *filter;        /* part of "OPERATION PART"; NULL: all */
    int n_rows;                /* 0: those that suit each operation, 1 to 1,024 or 4,096 */
    int row[OPS_MAX_ROWS];     /* from 1 */
    int samples;               /* of each time, 1 to OPS_MAX_SAMPLES */
    int64_t rotation;   /* bytes of weights that are gone through before one is used again; 0:
                         * four times the largest cache */
    const char *onednn; /* path of its library; NULL: by its usual name, "": none */
};

enum ops_peer { PEER_F32, PEER_BF16, N_PEERS }; /* number formats in which oneDNN is asked */

struct ops_machine { /* measured by the same threads */
    const char *cpu; /* instruction set, of static duration */
    const char *dtype;
    const char *weights; /* of the decoder: "bf16", "int8", "int4" */
    int threads;
    double flops;     /* a second in products of that dtype, from registers */
    double flops_f32; /* in f32; the same where the set has no products of bf16 */
    double bytes;     /* a second, read from memory */
    int64_t rotation; /* bytes of weights that are gone through before one is used again */
    char onednn[64];  /* "3.2.0, OpenMP"; "": none */
};

struct ops_result {
    const char *op, *part; /* "matmul", "text.q" */
    const char *shape;     /* "2048x2048" */
    int rows;
    double ms;               /* of a call: the fastest sample, as limits are of the fastest run */
    double flops, bytes;     /* of a call; flops 0: not counted */
    double peer_ms[N_PEERS]; /* oneDNN's; NaN: not measured */
};

struct ops_watch {
    void (*machine)(void *user, const struct ops_machine *machine); /* before the first result */
    int (*result)(void *user, const struct ops_result *result);     /* nonzero: cancel */
    void *user;
};

/* VLQA_EUSAGE: an unknown shape, or a filter that nothing has. VLQA_EIO: oneDNN's library of that
 * path cannot be used. VLQA_ECANCELLED. */
vlqa_status ops_time(struct env *env, const struct ops_options *options,
                     const struct ops_watch *watch);

#endif
