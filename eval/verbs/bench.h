/* bench.h - what the measurements of bench share. */
#ifndef EVAL_BENCH_H
#define EVAL_BENCH_H

#include "eval/bench/ops.h"
#include "eval/cli/cli.h"
#include "eval/cli/report.h"

struct bench_rows {
    int n, row[OPS_MAX_ROWS];
};

struct bench_args {
    struct cli_args common;
    int shape, prompt_tokens, decode, repeat, max_seq_len, reuse, ops, single_launches;
    const char *filter, *onednn;
    struct bench_rows rows;
    double ratio; /* of --reuse */
    struct arg_size image;
    uint64_t seed;
};

/* What is measured. The first of them are milliseconds. */
enum measure {
    M_DECODE_IMAGE,
    M_VISION,
    M_PREFILL,
    M_FIRST_TOKEN,
    M_DECODE,
    M_TOTAL,
    M_PATCH_RATE, /* each second */
    M_PROMPT_RATE,
    M_TOKEN_RATE,
    N_MEASURES
};

#define MAX_REPEAT 100

struct bench {
    struct cli cli;
    struct bench_args args;
    struct vlqa_engine *engine;
    struct vlqa_engine_options engine_options; /* what it was opened with */
    struct vlqa_session *session;
    struct vlqa_model_info info;
    struct vlqa_image_info image; /* zero without one */
    uint8_t *rgb;                 /* [height, width, 3] */
    char *question;               /* [rows + 1] */
    double open_ms;
    double sample[N_MEASURES][MAX_REPEAT];
    double median[N_MEASURES]; /* NaN: not measured */
    int prompt_tokens, tokens;
    int64_t peak_bytes;
};

/* Another image and another question each time, so that nothing can be remembered. */
void bench_input(struct bench *b, int image, int question);
int bench_add_image(struct bench *b);
int bench_failed(struct bench *b, vlqa_status status);
extern const char *const bench_shapes[];

/* "1,16,1024" */
int bench_read_rows(const char *text, void *field);
/* --ops: every operation by itself. */
int bench_ops(struct bench *b);
/* --reuse: the same questions cold, over repaired chunks, and behind rows that are held. */
int bench_reuse(struct bench *b);
/* --ranks: one process, a full prefill by all, and chunks of which each rank computes one. */
int bench_ranks(struct bench *b);

#endif
