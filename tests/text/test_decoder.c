/* test_decoder.c - what a pass leaves besides its rows: counted attention, K without a place, and
 * the layers that it did not reach. */
#include "text/decoder.h"

#include "base/heap.h"
#include "tests/check.h"

#define N 13     /* rows of a pass */
#define VISUAL 4 /* of them, from row 2 on */
#define SLOTS 40
#define LAYERS 4
#define HEADS 6
#define KV_HEADS 2
#define HEAD_DIM 16

struct lab { /* a decoder of random weights, and room to run it */
    struct env env;
    struct backend *be;
    struct st_files *files;
    struct decoder decoder;
    struct mat visual, deep[2];
    void *weights, *rows, *block;
    struct arena scratch;
    struct mat q[LAYERS]; /* traced; [N, HEADS * HEAD_DIM] */
};

static void keep_q(void *user, const char *name, int layer, struct mat m)
{
    struct lab *lab = user;
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

static struct mat random_rows(struct arena *mem, enum dtype dtype, int rows, int cols)
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

static int lab_open(struct lab *lab, enum dtype dtype)
{
    struct decoder_config c = shape;
    struct arena mem = {0};
    size_t rows = 1 << 17;
    memset(lab, 0, sizeof *lab);
    c.compute = c.kv = dtype;
    if (backend_create(&lab->env, VLQA_CPU_AUTO, &lab->be) != VLQA_OK ||
        st_open_random(&lab->env, 7, &lab->files) != VLQA_OK ||
        decoder_load(&lab->env, lab->be, lab->files, &c, &mem, &lab->decoder) != VLQA_OK)
        return 0;
    lab->weights = heap_alloc(mem.used);
    mem = arena_over(lab->weights, mem.used);
    if (decoder_load(&lab->env, lab->be, lab->files, &c, &mem, &lab->decoder) != VLQA_OK) return 0;
    lab->rows = heap_alloc(rows);
    mem = arena_over(lab->rows, rows);
    lab->visual = random_rows(&mem, dtype, VISUAL, c.hidden);
    for (int i = 0; i < 2; i++)
        lab->deep[i] = random_rows(&mem, dtype, VISUAL, c.hidden);
    for (int i = 0; i < LAYERS; i++)
        lab->q[i] = random_rows(&mem, DT_F32, N, HEADS * HEAD_DIM);
    rows = decoder_scratch(&c, N) + decoder_tap_scratch(&c, N, SLOTS);
    lab->block = heap_alloc(rows);
    lab->scratch = arena_over(lab->block, rows);
    lab->be->trace = keep_q;
    lab->be->trace_user = lab;
    return 1;
}

static void lab_close(struct lab *lab)
{
    backend_free(lab->be);
    st_close(lab->files);
    heap_free(lab->weights);
    heap_free(lab->rows);
    heap_free(lab->block);
}

struct state { /* a sequence, and a block of N rows; filled with bytes that no row writes */
    struct kv kv;
    struct kv_block block;
    void *memory;
    size_t bytes;
};

static void state_open(struct state *s, enum dtype dtype)
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
    memcpy(s->block.k, rows.k, sizeof rows.k);
    memcpy(s->block.v, rows.v, sizeof rows.v);
    for (int i = 0; i < 2 * LAYERS; i++) /* gaps of the arena are not ours to look at */
        memset((i % 2 ? s->kv.v : s->kv.k)[i / 2].data, 0x3e,
               mat_bytes(dtype, SLOTS, KV_HEADS * HEAD_DIM));
}

static void state_close(struct state *s)
{
    heap_free(s->memory);
}

static int same_rows(struct mat a, int row_a, struct mat b, int row_b)
{
    return memcmp(mat_at(a, row_a, 0), mat_at(b, row_b, 0), (size_t)a.cols * dtype_size(a.dtype)) ==
           0;
}

static int same_layer(const struct state *a, const struct state *b, int layer)
{
    for (int slot = 0; slot < SLOTS; slot++)
        if (!same_rows(a->kv.k[layer], slot, b->kv.k[layer], slot) ||
            !same_rows(a->kv.v[layer], slot, b->kv.v[layer], slot))
            return 0;
    return 1;
}

struct page { /* rows of a pass: words around a picture, in slots that are not in order */
    int32_t token[N], visual_row[N], slot[N];
    struct pos pos[N];
    struct span span[N];
};

static void page_fill(struct page *p, int first, int step)
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

static struct pass pass_of(struct lab *lab, const struct page *p, struct state *s)
{
    struct pass pass = {.kv = &s->kv};
    pass.rows = (struct rows){.n = N,
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

/* Rows in slots 0, 1, ... seeing all before them. */
static void page_fill_causal(struct page *p)
{
    page_fill(p, 0, 1);
    for (int i = 0; i < N; i++)
        p->span[i] = (struct span){0, 0, i + 1};
}

static void run(struct lab *lab, const struct pass *pass)
{
    decoder_forward(lab->be, &lab->decoder, pass, &lab->scratch);
    CHECK_EQ(lab->scratch.used, 0);
}

static const enum dtype dtypes[] = {DT_F32, DT_BF16};

/* ---- tap ---- */

/* The sum over the named layers of the score operation, from traced q and the KV of the pass. */
static void count_by_hand(struct lab *lab, const struct state *s, const struct page *p,
                          const struct tap *tap, const struct tap_count *count, float *slot)
{
    float out[SLOTS];
    float *work = heap_alloc(k_score_work(tap->rows, HEADS));
    for (int i = 0; i < LAYERS; i++) {
        struct score score = {.q = mat_rows(lab->q[i], tap->first, tap->rows),
                              .k = s->kv.k[i],
                              .v = s->kv.v[i],
                              .span = tap->span ? tap->span : p->span + tap->first,
                              .heads = HEADS,
                              .kv_heads = KV_HEADS,
                              .scale = 0.25f, /* 1 / sqrt(HEAD_DIM) */
                              .value = count->value,
                              .over_heads = count->over_heads,
                              .over_rows = count->over_rows,
                              .out = mat_of(out, DT_F32, 1, SLOTS),
                              .work = work};
        if (!tap->layer[i]) continue;
        k_score(lab->be, &score);
        for (int k = 0; k < SLOTS; k++)
            slot[k] += out[k];
    }
    heap_free(work);
}

TEST(a_tap_counts_the_named_rows_and_layers)
{
    static const uint8_t layers[][LAYERS] = {{1, 1, 1, 1}, {0, 1, 0, 1}, {0, 0, 0, 1}, {0}};
    static const int first[] = {0, 4, N - 1, 2}, rows[] = {N, 5, 1, 3};
    static struct span early[N];
    for (int i = 0; i < N; i++)
        early[i] = (struct span){3 + i / 4, 0, 0};
    for (int i = 0; i < 2 * 2 * 3 * 4; i++) {
        int at = i % 4;
        float found[SLOTS], expected[SLOTS];
        struct tap tap = {.layer = layers[at],
                          .first = first[at],
                          .rows = rows[at],
                          .n = 1,
                          .count = {{.value = (enum score_value)(i / 4 % 3),
                                     .over_heads = (enum score_heads)(i / 4 % 3),
                                     .over_rows = (enum score_rows)(i / 12 % 2),
                                     .slot = found}}};
        struct lab lab;
        struct state s;
        struct page p;
        struct pass pass;
        REQUIRE(lab_open(&lab, dtypes[i / 24]));
        state_open(&s, dtypes[i / 24]);
        page_fill_causal(&p);
        pass = pass_of(&lab, &p, &s);
        pass.tap = &tap;
        if (i / 12 % 2) tap.span = early;
        for (int k = 0; k < SLOTS; k++)
            found[k] = expected[k] = (float)k; /* added to, not overwritten */
        run(&lab, &pass);
        count_by_hand(&lab, &s, &p, &tap, &tap.count[0], expected);
        CHECK(memcmp(found, expected, sizeof found) == 0);
        CHECK_EQ(found[0] > 0, at < 3); /* else nothing was counted at all */
        CHECK(found[N] == N && found[SLOTS - 1] == SLOTS - 1);
        state_close(&s);
        lab_close(&lab);
    }
}

/* Several counts of one pass, one of them with room for each layer of its own. */
TEST(a_tap_counts_several_things_at_once)
{
    static const uint8_t layers[LAYERS] = {1, 0, 1, 1};
    static float by_layer[LAYERS][SLOTS], sum[2][SLOTS], expected[SLOTS], joined[SLOTS];
    const struct tap tap = {.layer = layers,
                            .first = 2,
                            .rows = 7,
                            .n = 3,
                            .count = {{.value = SCORE_ENTROPY, .slot = sum[0]},
                                      {.slot = by_layer[0], .layer_step = SLOTS},
                                      {.over_rows = SCORE_ROWS_L2, .slot = sum[1]}}};
    struct lab lab;
    struct state s;
    struct page p;
    struct pass pass;
    REQUIRE(lab_open(&lab, DT_F32));
    state_open(&s, DT_F32);
    page_fill_causal(&p);
    pass = pass_of(&lab, &p, &s);
    pass.tap = &tap;
    run(&lab, &pass);
    for (int i = 0; i < LAYERS; i++)
        for (int k = 0; k < SLOTS; k++)
            joined[k] += by_layer[i][k];
    for (int i = 0; i < 3; i++) {
        memset(expected, 0, sizeof expected);
        count_by_hand(&lab, &s, &p, &tap, &tap.count[i], expected);
        CHECK(expected[0] > 0);
        CHECK(memcmp(i == 1 ? joined : sum[i / 2], expected, sizeof expected) == 0);
    }
    CHECK(by_layer[0][0] > 0 && by_layer[1][0] == 0 && by_layer[3][0] > 0);
    state_close(&s);
    lab_close(&lab);
}

TEST(a_tap_changes_nothing_else)
{
    static const uint8_t layers[LAYERS] = {1, 0, 1, 1};
    static float plain[320], tapped[320];
    float slot[SLOTS] = {0};
    const struct tap tap = {
        .layer = layers, .first = 1, .rows = 8, .n = 1, .count = {{.slot = slot}}};
    struct lab lab;
    struct state a, b;
    struct page p;
    struct pass pass;
    REQUIRE(lab_open(&lab, DT_BF16));
    state_open(&a, DT_BF16);
    state_open(&b, DT_BF16);
    page_fill_causal(&p);
    pass = pass_of(&lab, &p, &a);
    pass.logits = plain;
    run(&lab, &pass);
    pass.kv = &b.kv;
    pass.logits = tapped;
    pass.tap = &tap;
    run(&lab, &pass);
    CHECK(memcmp(plain, tapped, sizeof plain) == 0);
    for (int i = 0; i < LAYERS; i++)
        CHECK(same_layer(&a, &b, i));
    state_close(&a);
    state_close(&b);
    lab_close(&lab);
}

/* ---- layer_end ---- */

TEST(a_pass_that_stops_early_leaves_later_layers_alone)
{
    for (int i = 0; i < 2; i++)
        for (int end = 1; end <= LAYERS; end++) {
            struct lab lab;
            struct state whole, part, untouched;
            struct page p;
            struct pass pass;
            REQUIRE(lab_open(&lab, dtypes[i]));
            state_open(&whole, dtypes[i]);
            state_open(&part, dtypes[i]);
            state_open(&untouched, dtypes[i]);
            page_fill_causal(&p);
            pass = pass_of(&lab, &p, &whole);
            run(&lab, &pass);
            pass.kv = &part.kv;
            pass.layer_end = end;
            run(&lab, &pass);
            for (int layer = 0; layer < LAYERS; layer++) {
                CHECK(same_layer(&part, layer < end ? &whole : &untouched, layer));
                CHECK(!same_layer(&whole, &untouched, layer));
            }
            state_close(&whole);
            state_close(&part);
            state_close(&untouched);
            lab_close(&lab);
        }
}

/* ---- depth ---- */

/* Depths that leave the last row to the end and let others leave at every layer. */
static void depths_fill(int32_t *depth, int variant)
{
    for (int i = 0; i < N; i++)
        depth[i] = i == N - 1 ? LAYERS : (i * (variant + 3) + variant) % (LAYERS + 1);
}

/* Where the KV of all rows is there already, rows that leave early change nothing for the others:
 * all write what was there, and see what they saw. */
TEST(rows_that_leave_take_nothing_along)
{
    static const uint8_t layers[LAYERS] = {1, 0, 1, 1};
    static float logits[2][320];
    for (int i = 0; i < 2 * 4; i++) {
        float slot[2][SLOTS] = {{0}};
        int32_t depth[N];
        struct tap tap = {
            .layer = layers, .first = N - 1, .rows = 1, .n = 1, .count = {{.slot = slot[0]}}};
        struct lab lab;
        struct state whole, again;
        struct page p;
        struct pass pass;
        REQUIRE(lab_open(&lab, dtypes[i / 4]));
        state_open(&whole, dtypes[i / 4]);
        state_open(&again, dtypes[i / 4]);
        page_fill_causal(&p);
        pass = pass_of(&lab, &p, &whole);
        pass.logits = logits[0];
        pass.tap = &tap;
        run(&lab, &pass);
        memcpy(again.memory, whole.memory, whole.bytes);
        depths_fill(depth, i % 4);
        pass.rows.depth = depth;
        pass.kv = &again.kv;
        pass.logits = logits[1];
        tap.count[0].slot = slot[1];
        run(&lab, &pass);
        CHECK(memcmp(logits[0], logits[1], sizeof logits[0]) == 0);
        CHECK(memcmp(slot[0], slot[1], sizeof slot[0]) == 0);
        for (int layer = 0; layer < LAYERS; layer++)
            CHECK(same_layer(&whole, &again, layer));
        state_close(&whole);
        state_close(&again);
        lab_close(&lab);
    }
}

TEST(a_row_writes_one_layer_behind_its_depth_and_none_after)
{
    for (int variant = 0; variant < 4; variant++) {
        int32_t depth[N];
        struct lab lab;
        struct state whole, part, untouched;
        struct page p;
        struct pass pass;
        REQUIRE(lab_open(&lab, DT_F32));
        state_open(&whole, DT_F32);
        state_open(&part, DT_F32);
        state_open(&untouched, DT_F32);
        page_fill(&p, 0, 3); /* rows see themselves alone: those that left are not missed */
        pass = pass_of(&lab, &p, &whole);
        run(&lab, &pass);
        depths_fill(depth, variant);
        pass.rows.depth = depth;
        pass.kv = &part.kv;
        run(&lab, &pass);
        for (int layer = 0; layer < LAYERS; layer++)
            for (int i = 0; i < N; i++) {
                const struct state *like = layer <= depth[i] ? &whole : &untouched;
                int slot = p.slot[i];
                CHECK(same_rows(part.kv.k[layer], slot, like->kv.k[layer], slot) &&
                      same_rows(part.kv.v[layer], slot, like->kv.v[layer], slot));
            }
        state_close(&whole);
        state_close(&part);
        state_close(&untouched);
        lab_close(&lab);
    }
}

TEST(a_pass_that_all_rows_leave_ends_there)
{
    int32_t depth[N];
    struct lab lab;
    struct state whole, part;
    struct page p;
    struct pass pass;
    REQUIRE(lab_open(&lab, DT_BF16));
    state_open(&whole, DT_BF16);
    state_open(&part, DT_BF16);
    page_fill_causal(&p);
    pass = pass_of(&lab, &p, &whole);
    pass.capture = &whole.block;
    run(&lab, &pass);
    for (int i = 0; i < N; i++)
        depth[i] = LAYERS - 1;
    pass.rows.depth = depth;
    pass.kv = &part.kv;
    pass.capture = &part.block;
    run(&lab, &pass);
    for (int layer = 0; layer < LAYERS; layer++) {
        CHECK(same_layer(&whole, &part, layer));
        for (int i = 0; i < N; i++)
            CHECK(same_rows(whole.block.k[layer], i, part.block.k[layer], i) &&
                  same_rows(whole.block.v[layer], i, part.block.v[layer], i));
    }
    state_close(&whole);
    state_close(&part);
    lab_close(&lab);
}

/* Two for each product: 2 * 56 * (96 + 96) of q and o, 2 * 56 * 64 of k and v, 2 * 56 * 231 of the
 * MLP, 4 * 96 for each slot that is seen. */
TEST(operations_are_counted_layer_by_layer)
{
    static const struct span span[] = {{3, 0, 0}, {2, 4, 9}};
    const double kv = 7168, rest = 21504 + 25872;
    int32_t depth[] = {2, LAYERS};
    struct rows rows = {.n = 2, .span = span};
    struct decoder_config c = shape;
    CHECK_EQ(decoder_flops(&c, &rows, 0), LAYERS * (2 * (kv + rest) + 4 * 96 * (3 + 7)));
    CHECK_EQ(decoder_flops(&c, &rows, 1), 2 * (kv + rest) + 4 * 96 * (3 + 7));
    rows.depth = depth;
    CHECK_EQ(decoder_flops(&c, &rows, 0),
             2 * (kv + rest + 4 * 96 * 3) + kv + LAYERS * (kv + rest + 4 * 96 * 7));
    CHECK_EQ(decoder_flops(&c, &rows, 2), 2 * (2 * (kv + rest) + 4 * 96 * (3 + 7)));
}

/* ---- capture and placing ---- */

static void place(struct lab *lab, struct state *s, const struct kv_block *block,
                  const struct page *p)
{
    float table[N * HEAD_DIM];
    struct mat cos_sin = mat_of(table, DT_F32, N, HEAD_DIM);
    CHECK(kv_place_scratch(KV_HEADS, HEAD_DIM, N) <= lab->scratch.cap);
    position_table(&shape.rope, p->pos, N, cos_sin);
    kv_place(lab->be, &s->kv, KV_HEADS, p->slot, block, cos_sin, &lab->scratch);
    CHECK_EQ(lab->scratch.used, 0);
}

TEST(placing_what_a_pass_captured_writes_what_the_pass_wrote)
{
    for (int i = 0; i < 2; i++) {
        struct lab lab;
        struct state a, b;
        struct page p;
        struct pass pass;
        REQUIRE(lab_open(&lab, dtypes[i]));
        state_open(&a, dtypes[i]);
        state_open(&b, dtypes[i]);
        page_fill_causal(&p);
        pass = pass_of(&lab, &p, &a);
        pass.capture = &a.block;
        run(&lab, &pass);
        place(&lab, &b, &a.block, &p);
        for (int layer = 0; layer < LAYERS; layer++)
            CHECK(same_layer(&a, &b, layer));
        state_close(&a);
        state_close(&b);
        lab_close(&lab);
    }
}

/* Rows that see themselves alone do not depend on their place: only the rotation of K does. So what
 * was captured at one place gives every layer's bits at any other, in slots of any order. */
TEST(a_captured_row_fits_any_other_position_and_slot)
{
    static const struct {
        int first, step;
    } places[] = {{0, 1}, {5, 3}, {1000, 7}, {3900, 39}};
    for (int i = 0; i < 2; i++)
        for (int at = 1; at < 4; at++) {
            struct lab lab;
            struct state made, direct, placed;
            struct page p, q;
            struct pass pass;
            REQUIRE(lab_open(&lab, dtypes[i]));
            state_open(&made, dtypes[i]);
            state_open(&direct, dtypes[i]);
            state_open(&placed, dtypes[i]);
            page_fill(&p, places[0].first, places[0].step);
            page_fill(&q, places[at].first, places[at].step);
            pass = pass_of(&lab, &p, &made);
            pass.capture = &made.block;
            run(&lab, &pass);
            pass = pass_of(&lab, &q, &direct);
            run(&lab, &pass);
            place(&lab, &placed, &made.block, &q);
            for (int layer = 0; layer < LAYERS; layer++) {
                CHECK(same_layer(&direct, &placed, layer)); /* slots between them untouched, too */
                CHECK(!same_rows(made.kv.k[layer], p.slot[3], placed.kv.k[layer], q.slot[3]));
                CHECK(same_rows(made.kv.v[layer], p.slot[3], placed.kv.v[layer], q.slot[3]));
            }
            state_close(&made);
            state_close(&direct);
            state_close(&placed);
            lab_close(&lab);
        }
}

/* ---- packed blocks ---- */

#define KV_COLS (KV_HEADS * HEAD_DIM)

struct packed { /* a block of codes, and what they read as by hand */
    struct kv_block block, values;
    void *memory;
};

static struct packed packed_open(void)
{
    struct packed b = {.block = {LAYERS, N}, .values = {LAYERS, N}};
    size_t wide = (size_t)packed_cols(KV_COLS, KV_HEADS) * N, one = sizeof(float) * KV_COLS * N;
    char *at = b.memory = heap_alloc_zero(2 * LAYERS * (wide + one));
    for (int i = 0; i < 2 * LAYERS; i++) {
        struct mat *value = i % 2 ? b.values.v : b.values.k;
        value[i / 2] = mat_of(at, DT_F32, N, KV_COLS);
        at += one;
    }
    for (int i = 0; i < 2 * LAYERS; i++, at += wide) {
        struct mat *code = i % 2 ? b.block.v : b.block.k;
        code[i / 2] = mat_of(at, DT_I8, N, packed_cols(KV_COLS, KV_HEADS));
    }
    return b;
}

static void read_by_hand(struct mat code, struct mat value)
{
    for (int row = 0; row < N; row++)
        for (int c = 0; c < KV_COLS; c++) {
            float scale, x;
            memcpy(&scale, mat_at(code, row, KV_COLS + 4 * (c / HEAD_DIM)), sizeof scale);
            x = (float)((double)scale * *(int8_t *)mat_at(code, row, c));
            memcpy(mat_at(value, row, c), &x, sizeof x);
        }
}

/* The largest distance between a and b, relative to the largest magnitude of the row and head. */
static double farthest(const struct mat a, const struct mat b)
{
    double worst = 0;
    for (int slot = 0; slot < SLOTS; slot++)
        for (int h = 0; h < KV_HEADS; h++) {
            double most = 0, off = 0;
            for (int c = h * HEAD_DIM; c < (h + 1) * HEAD_DIM; c++) {
                double x = (double)mat_get(a, slot, c);
                most = fmax(most, fabs(x));
                off = fmax(off, fabs(x - (double)mat_get(b, slot, c)));
            }
            worst = fmax(worst, off / most);
        }
    return worst;
}

TEST(a_packed_capture_is_placed_as_what_its_codes_read_as)
{
    for (int i = 0; i < 2; i++) {
        struct packed b = packed_open();
        struct lab lab;
        struct state made, placed, by_hand;
        struct page p;
        struct pass pass;
        REQUIRE(lab_open(&lab, dtypes[i]));
        state_open(&made, dtypes[i]);
        state_open(&placed, dtypes[i]);
        state_open(&by_hand, dtypes[i]);
        page_fill_causal(&p);
        pass = pass_of(&lab, &p, &made);
        pass.capture = &b.block;
        run(&lab, &pass);
        for (int layer = 0; layer < LAYERS; layer++) {
            read_by_hand(b.block.k[layer], b.values.k[layer]);
            read_by_hand(b.block.v[layer], b.values.v[layer]);
        }
        place(&lab, &placed, &b.block, &p);
        place(&lab, &by_hand, &b.values, &p);
        for (int layer = 0; layer < LAYERS; layer++) {
            CHECK(same_layer(&placed, &by_hand, layer));
            /* V is off by half a step; a rotation mixes two of K that are */
            CHECK(farthest(made.kv.v[layer], placed.kv.v[layer]) < (i ? 0.008 : 0.00394));
            CHECK(farthest(made.kv.k[layer], placed.kv.k[layer]) < (i ? 0.016 : 0.0079));
            CHECK(farthest(made.kv.v[layer], placed.kv.v[layer]) > 0.001);
        }
        state_close(&made);
        state_close(&placed);
        state_close(&by_hand);
        lab_close(&lab);
        heap_free(b.memory);
    }
}

TEST(capturing_changes_nothing_else)
{
    struct packed packed = packed_open();
    struct lab lab;
    struct state a, b;
    struct page p;
    struct pass pass;
    REQUIRE(lab_open(&lab, DT_BF16));
    state_open(&a, DT_BF16);
    state_open(&b, DT_BF16);
    page_fill_causal(&p);
    pass = pass_of(&lab, &p, &a);
    run(&lab, &pass);
    pass.kv = &b.kv;
    for (int i = 0; i < 2; i++) {
        pass.capture = i ? &packed.block : &b.block;
        run(&lab, &pass);
        for (int layer = 0; layer < LAYERS; layer++)
            CHECK(same_layer(&a, &b, layer));
    }
    state_close(&a);
    state_close(&b);
    lab_close(&lab);
    heap_free(packed.memory);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
