/* test_decoder.c - what a pass does besides its tokens: attention that is counted, layers that it
 * does not reach, tokens that leave. */
#include "tests/text/decoder_lab.h"

/* ---- probe ---- */

static struct mat sums(float *slot)
{
    return mat_of(slot, DT_F32, 1, SLOTS);
}

/* The sum over the named layers of the score operation, from traced q and the KV of the pass. */
static void count_by_hand(struct lab *lab, const struct state *s, const struct page *p,
                          const struct probe *probe, const struct probe_count *count, float *slot)
{
    float *work = heap_alloc(k_score_work(lab->device, probe->n_query, HEADS, SLOTS));
    const struct span *seen = probe->span ? probe->span : p->span + probe->first;
    for (int i = 0; i < LAYERS; i++) {
        struct score score = {.q = mat_rows(lab->q[i], probe->first, probe->n_query),
                              .k = s->kv.k[i],
                              .v = s->kv.v[i],
                              .span = {seen, seen, probe->n_query},
                              .heads = HEADS,
                              .kv_heads = KV_HEADS,
                              .scale = 0.25f, /* 1 / sqrt(HEAD_DIM) */
                              .value = count->value,
                              .over_heads = count->over_heads,
                              .over_rows = count->over_rows,
                              .out = mat_of(slot, DT_F32, 1, SLOTS),
                              .work = work};
        if (!probe->layer[i]) continue;
        k_score(lab->queue, &score);
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
        struct probe probe = {.layer = layers[at],
                              .first = first[at],
                              .n_query = rows[at],
                              .n = 1,
                              .count = {{.value = (enum score_value)(i / 4 % 3),
                                         .over_heads = (enum score_heads)(i / 4 % 3),
                                         .over_rows = (enum score_rows)(i / 12 % 2),
                                         .sum = sums(found)}}};
        struct lab lab;
        struct state s;
        struct page p;
        struct pass pass;
        REQUIRE(lab_open(&lab, dtypes[i / 24]));
        state_open(&s, dtypes[i / 24]);
        page_fill_causal(&p);
        pass = pass_of(&lab, &p, &s);
        pass.probe = &probe;
        if (i / 12 % 2) probe.span = early;
        for (int k = 0; k < SLOTS; k++)
            found[k] = expected[k] = (float)k; /* added to, not overwritten */
        run(&lab, &pass);
        count_by_hand(&lab, &s, &p, &probe, &probe.count[0], expected);
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
    const struct probe probe = {.layer = layers,
                                .first = 2,
                                .n_query = 7,
                                .n = 3,
                                .count = {{.value = SCORE_ENTROPY, .sum = sums(sum[0])},
                                          {.sum = mat_of(by_layer, DT_F32, LAYERS, SLOTS)},
                                          {.over_rows = SCORE_ROWS_L2, .sum = sums(sum[1])}}};
    struct lab lab;
    struct state s;
    struct page p;
    struct pass pass;
    REQUIRE(lab_open(&lab, DT_F32));
    state_open(&s, DT_F32);
    page_fill_causal(&p);
    pass = pass_of(&lab, &p, &s);
    pass.probe = &probe;
    run(&lab, &pass);
    for (int i = 0; i < LAYERS; i++)
        for (int k = 0; k < SLOTS; k++)
            joined[k] += by_layer[i][k];
    for (int i = 0; i < 3; i++) {
        memset(expected, 0, sizeof expected);
        count_by_hand(&lab, &s, &p, &probe, &probe.count[i], expected);
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
    static float plain[320], probed[320];
    float slot[SLOTS] = {0};
    const struct probe probe = {
        .layer = layers, .first = 1, .n_query = 8, .n = 1, .count = {{.sum = sums(slot)}}};
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
    pass.logits = probed;
    pass.probe = &probe;
    run(&lab, &pass);
    CHECK(memcmp(plain, probed, sizeof plain) == 0);
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

/* Depths that leave the last token to the end and let others leave at every layer. */
static void depths_fill(int32_t *depth, int variant)
{
    for (int i = 0; i < N; i++)
        depth[i] = i == N - 1 ? LAYERS : (i * (variant + 3) + variant) % (LAYERS + 1);
}

/* Where the KV of all tokens is there already, tokens that leave early change nothing for the
 * others: all write what was there, and see what they saw. */
TEST(rows_that_leave_take_nothing_along)
{
    static const uint8_t layers[LAYERS] = {1, 0, 1, 1};
    static float logits[2][320];
    for (int i = 0; i < 2 * 4; i++) {
        float slot[2][SLOTS] = {{0}};
        int32_t depth[N];
        struct probe probe = {.layer = layers,
                              .first = N - 1,
                              .n_query = 1,
                              .n = 1,
                              .count = {{.sum = sums(slot[0])}}};
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
        pass.probe = &probe;
        run(&lab, &pass);
        kv_copy(&again.kv, &whole.kv);
        depths_fill(depth, i % 4);
        pass.tokens.depth = depth;
        pass.kv = &again.kv;
        pass.logits = logits[1];
        probe.count[0].sum = sums(slot[1]);
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
        page_fill(&p, 0, 3); /* tokens see themselves alone: those that left are not missed */
        pass = pass_of(&lab, &p, &whole);
        run(&lab, &pass);
        depths_fill(depth, variant);
        pass.tokens.depth = depth;
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
    pass.tokens.capture_row = in_order;
    run(&lab, &pass);
    for (int i = 0; i < N; i++)
        depth[i] = LAYERS - 1;
    pass.tokens.depth = depth;
    pass.kv = &part.kv;
    pass.capture = &part.block;
    pass.tokens.capture_row = in_order;
    run(&lab, &pass);
    for (int layer = 0; layer < LAYERS; layer++) {
        CHECK(same_layer(&whole, &part, layer));
        for (int i = 0; i < N; i++)
            CHECK(same_block_rows(whole.block.k[layer], i, part.block.k[layer], i) &&
                  same_block_rows(whole.block.v[layer], i, part.block.v[layer], i));
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
    struct tokens tokens = {.n = 2, .span = span};
    struct decoder_config c = shape;
    CHECK_EQ(decoder_flops(&c, &tokens, 0), LAYERS * (2 * (kv + rest) + 4 * 96 * (3 + 7)));
    CHECK_EQ(decoder_flops(&c, &tokens, 1), 2 * (kv + rest) + 4 * 96 * (3 + 7));
    tokens.depth = depth;
    CHECK_EQ(decoder_flops(&c, &tokens, 0),
             2 * (kv + rest + 4 * 96 * 3) + kv + LAYERS * (kv + rest + 4 * 96 * 7));
    CHECK_EQ(decoder_flops(&c, &tokens, 2), 2 * (2 * (kv + rest) + 4 * 96 * (3 + 7)));
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
