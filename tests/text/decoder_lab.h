/* decoder_lab.h - what tests of the decoder share: random weights, tokens of a pass, a sequence. */
#ifndef TESTS_TEXT_DECODER_LAB_H
#define TESTS_TEXT_DECODER_LAB_H

#include "base/heap.h"
#include "tests/check.h"
#include "text/decoder.h"

#define N 13     /* tokens of a pass */
#define VISUAL 4 /* of them, from token 2 on */
#define SLOTS 40
#define LAYERS 4
#define HEADS 6
#define KV_HEADS 2
#define HEAD_DIM 16

struct lab { /* a decoder of random weights, and room to run it */
    struct env env;
    struct device *device;
    struct queue *queue;
    struct st_files *files;
    struct decoder decoder;
    struct mat visual, deep[2];
    void *weights, *rows;
    struct device_room room;
    struct mat q[LAYERS]; /* traced; [N, HEADS * HEAD_DIM] */
};

static inline void keep_q(void *user, struct queue *q, const char *name, int layer, struct mat m)
{
    struct lab *lab = user;
    (void)q;
    if (strcmp(name, "text.q") != 0) return;
    for (int row = 0; row < m.rows; row++)
        memcpy(mat_at(lab->q[layer], row, 0), mat_at(m, row, 0), (size_t)m.cols * sizeof(float));
}

static const struct decoder_config shape = {.hidden = 56,
                                            .inner = 77,
                                            .layers = LAYERS,
                                            .heads = HEADS,
                                            .kv_heads = KV_HEADS,
                                            .head_dim = HEAD_DIM,
                                            .vocab = 320,
                                            .max_positions = 4096,
                                            .tied = 1,
                                            .eps = 1e-6f,
                                            .rope = {1e4, HEAD_DIM, {4, 2, 2}}};

static inline struct mat random_rows(struct arena *mem, enum dtype dtype, int rows, int cols)
{
    struct mat m = mat_of(arena_push(mem, mat_bytes(dtype, rows, cols)), dtype, rows, cols);
    uint32_t state = 1;
    for (int i = 0; i < rows * cols; i++) {
        float x = (float)((state = state * 1664525u + 1013904223u) >> 8) / (1 << 23) - 1;
        uint16_t h = f32_to_bf16(x);
        memcpy(mat_at(m, 0, i), dtype == DT_F32 ? (void *)&x : &h, dtype_size(dtype));
    }
    return m;
}

static inline int lab_open(struct lab *lab, enum dtype dtype)
{
    struct decoder_config c = shape;
    struct arena mem = {0};
    struct workspace dry = {0};
    struct weights w;
    size_t rows = 1 << 17;
    memset(lab, 0, sizeof *lab);
    c.compute = c.kv = dtype;
    if (device_open(&lab->env, VLQA_CPU_AUTO, &lab->device) != VLQA_OK ||
        queue_open(lab->device, &lab->env, &lab->queue) != VLQA_OK ||
        st_open_random(&lab->env, 7, &lab->files) != VLQA_OK)
        return 0;
    w = (struct weights){.pass = WEIGHTS_MEASURE,
                         .env = &lab->env,
                         .queue = lab->queue,
                         .files = lab->files,
                         .mem = &mem,
                         .compute = dtype};
    if (decoder_load(&w, &c, &lab->decoder) != VLQA_OK) return 0;
    lab->weights = heap_alloc(mem.used);
    mem = arena_over(lab->weights, mem.used);
    w.pass = WEIGHTS_FILL;
    if (decoder_load(&w, &c, &lab->decoder) != VLQA_OK) return 0;
    lab->rows = heap_alloc(rows);
    mem = arena_over(lab->rows, rows);
    lab->visual = random_rows(&mem, dtype, VISUAL, c.hidden);
    for (int i = 0; i < 2; i++)
        lab->deep[i] = random_rows(&mem, dtype, VISUAL, c.hidden);
    for (int i = 0; i < LAYERS; i++)
        lab->q[i] = random_rows(&mem, DT_F32, N, HEADS * HEAD_DIM);
    decoder_measure(lab->device, &c,
                    &(struct pass_size){.n = N, .ranks = 1, .n_query = N, .slots = SLOTS}, &dry);
    kv_place_measure(lab->device, LAYERS, KV_HEADS, HEAD_DIM, dtype, N, &dry);
    lab->queue->trace = keep_q;
    lab->queue->trace_user = lab;
    return device_room_open(&lab->env, lab->device, "lab", &dry, &lab->room) == VLQA_OK;
}

static inline void lab_close(struct lab *lab)
{
    queue_close(lab->queue);
    device_room_close(&lab->room);
    device_close(lab->device);
    st_close(lab->files);
    heap_free(lab->weights);
    heap_free(lab->rows);
}

struct state { /* a sequence, and a block of N tokens; filled with bytes that no token writes */
    struct kv kv;
    struct kv_block block;
    void *memory;
    size_t bytes;
};

static inline void state_open(struct state *s, enum dtype dtype)
{
    struct arena dry = {0}, mem;
    struct kv rows;
    kv_layout(&s->kv, LAYERS, KV_HEADS, HEAD_DIM, SLOTS, dtype, &dry);
    kv_layout(&rows, LAYERS, KV_HEADS, HEAD_DIM, N, dtype, &dry);
    s->bytes = dry.used;
    s->memory = heap_alloc(s->bytes);
    memset(s->memory, 0x3e, s->bytes);
    mem = arena_over(s->memory, s->bytes);
    kv_layout(&s->kv, LAYERS, KV_HEADS, HEAD_DIM, SLOTS, dtype, &mem);
    kv_layout(&rows, LAYERS, KV_HEADS, HEAD_DIM, N, dtype, &mem);
    s->block = (struct kv_block){.layers = LAYERS, .rows = N};
    for (int i = 0; i < LAYERS; i++) {
        s->block.k[i] = host_mat_of(rows.k[i].data, dtype, N, KV_HEADS * HEAD_DIM);
        s->block.v[i] = host_mat_of(rows.v[i].data, dtype, N, KV_HEADS * HEAD_DIM);
    }
    for (int i = 0; i < 2 * LAYERS; i++) /* gaps of the arena are not ours to look at */
        memset((i % 2 ? s->kv.v : s->kv.k)[i / 2].data, 0x3e,
               mat_bytes(dtype, SLOTS, KV_HEADS * HEAD_DIM));
}

static inline void kv_copy(struct kv *to, const struct kv *from)
{
    for (int i = 0; i < LAYERS; i++) {
        size_t bytes = mat_bytes(from->k[i].dtype, SLOTS, from->k[i].cols);
        memcpy(to->k[i].data, from->k[i].data, bytes);
        memcpy(to->v[i].data, from->v[i].data, bytes);
    }
}

static inline void state_close(struct state *s)
{
    heap_free(s->memory);
}

static inline int same_rows(struct mat a, int row_a, struct mat b, int row_b)
{
    return memcmp(mat_at(a, row_a, 0), mat_at(b, row_b, 0), (size_t)a.cols * dtype_size(a.dtype)) ==
           0;
}

static inline int same_block_rows(struct host_mat a, int row_a, struct host_mat b, int row_b)
{
    return memcmp(host_mat_at(a, row_a, 0), host_mat_at(b, row_b, 0),
                  mat_bytes(a.dtype, 1, a.cols)) == 0;
}

/* A device of the CPU: its memory is the test's. */
static inline double value_at(struct mat m, int row, int col)
{
    return (double)host_mat_get(host_mat_of(mat_at(m, row, 0), m.dtype, 1, m.cols), 0, col);
}

static inline int same_layer(const struct state *a, const struct state *b, int layer)
{
    for (int slot = 0; slot < SLOTS; slot++)
        if (!same_rows(a->kv.k[layer], slot, b->kv.k[layer], slot) ||
            !same_rows(a->kv.v[layer], slot, b->kv.v[layer], slot))
            return 0;
    return 1;
}

struct page { /* tokens of a pass: words around a picture, in slots that are not in order */
    int32_t token[N], visual_row[N], slot[N];
    struct pos pos[N];
    struct span span[N];
};

static inline void page_fill(struct page *p, int first, int step)
{
    for (int i = 0; i < N; i++) {
        int cell = i - 2, visual = cell >= 0 && cell < VISUAL;
        p->token[i] = visual ? -1 : 3 * i + 5;
        p->visual_row[i] = visual ? cell : -1;
        p->slot[i] = (first + i * step) % SLOTS;
        p->pos[i] = (struct pos){first + i, first + i + cell % 2, first + 2 * i};
        p->span[i] = (struct span){0, p->slot[i], p->slot[i] + 1}; /* itself alone */
    }
}

static inline struct pass pass_of(struct lab *lab, const struct page *p, struct state *s)
{
    struct pass pass = {.kv = &s->kv};
    pass.tokens = (struct tokens){.n = N,
                                  .token = p->token,
                                  .visual_row = p->visual_row,
                                  .visual = lab->visual,
                                  .deep = {lab->deep[0], lab->deep[1]},
                                  .n_deep = 2,
                                  .pos = p->pos,
                                  .slot = p->slot,
                                  .span = p->span};
    return pass;
}

/* Tokens in slots 0, 1, ... seeing all before them. */
static inline void page_fill_causal(struct page *p)
{
    page_fill(p, 0, 1);
    for (int i = 0; i < N; i++)
        p->span[i] = (struct span){0, 0, i + 1};
}

static inline void run(struct lab *lab, const struct pass *pass)
{
    decoder_forward(lab->queue, &lab->decoder, pass, &lab->room.ws);
    CHECK_EQ(lab->room.ws.device.used + lab->room.ws.host.used, 0);
    CHECK_EQ(queue_sync(lab->queue), VLQA_OK);
}

static const enum dtype dtypes[] = {DT_F32, DT_BF16};
static const int32_t in_order[N] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

#endif
