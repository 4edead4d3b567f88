/* test_parity.c - doing as released InfoFlow KV code does: tokens ranked as an independent reading
 * of it ranks them (tests/golden/make_parity_golden.py), and its defects one by one.
 *
 *   test_fusion_parity --write FILE    the tensors that the reading starts from */
#include "base/heap.h"
#include "base/safetensors.h"
#include "tests/device_memory.h"
#include "tests/fusion/sample_lab.h"

#define PICTURE CHART("february")
#define FILE_NAME VLQA_SOURCE_DIR "/tests/golden/parity.safetensors"
#define LAYERS 8
#define MOST 640 /* tokens */
#define KV_COLS 128
#define Q_COLS 256

static int run_open(struct run *r)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.dtype = VLQA_DTYPE_F32;
    eo.threads = 2;
    return run_start(r, eo, MOST);
}

static const char *const texts[] = {
    "The north sold Apples in March and Bananas in June. The south sold no fruit at all.",
    "February was cold: 27 thousand coats were sold, more than in any other month of the year.",
    "Prices rose by 3 in April. The value of all goods was 410, that of coats alone was 96."};

static struct vlqa_ask_options plan(enum vlqa_parity parity)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.max_tokens = 1;
    set_reuse(&o, REUSE_INFOFLOW);
    o.chunker = VLQA_CHUNK_GRID;
    o.chunk_text_tokens = 16;
    experimental(&o)->parity = parity;
    return o;
}

static void add_document(struct vlqa_session *s, enum vlqa_parity parity)
{
    CHECK(vlqa_session_clear(s) == VLQA_OK);
    if (parity == VLQA_PARITY_INFOFLOW_VLM) CHECK(vlqa_add_image_file(s, PICTURE) == VLQA_OK);
    for (int i = 0; parity == VLQA_PARITY_INFOFLOW_LLM && i < 3; i++)
        CHECK(vlqa_add_text(s, texts[i], strlen(texts[i])) == VLQA_OK);
}

static struct vlqa_answer ask(struct vlqa_session *s, struct vlqa_ask_options o)
{
    struct vlqa_answer answer = {0};
    if (vlqa_ask(s, QUESTION, &o, &answer, sizeof answer) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(s));
    return answer;
}

/* ---- what the passes of a question hold ---- */

struct pass_seen {
    int rows, deep;
    float cos_sin[64]; /* of its first token */
};

struct watch {
    const struct vlqa_session *s;
    int wanted, keys; /* which pass, and how many slots of its keys */
    int n;            /* passes so far */
    struct pass_seen pass[16];
    int q_rows[LAYERS];
    float q[LAYERS][64 * Q_COLS], k[LAYERS][MOST * KV_COLS];
};

/* A trace_fn. */
static void look(void *user, struct queue *q, const char *name, int layer, struct mat m)
{
    struct watch *w = user;
    struct pass_seen *p = &w->pass[w->n - (w->n > 0)];
    if (strcmp(name, "text.cos_sin") == 0 && w->n < 16) {
        p = &w->pass[w->n++];
        *p = (struct pass_seen){.rows = m.rows};
        device_floats(q, mat_rows(m, 0, 1), p->cos_sin);
    }
    p->deep += strcmp(name, "text.deep") == 0;
    if (strcmp(name, "text.q") != 0 || w->n != w->wanted + 1 || m.rows > 64) return;
    w->q_rows[layer] = m.rows;
    device_floats(q, m, w->q[layer]);
    device_floats(q, mat_rows(w->s->kv.k[layer], 0, w->keys), w->k[layer]);
}

static struct watch watched;

/* Once to have the chunks and the prefix, then with a selection round at what scores. */
static struct vlqa_answer ask_watched(struct vlqa_session *s, enum vlqa_parity parity)
{
    struct vlqa_answer a;
    add_document(s, parity);
    a = ask(s, plan(parity));
    memset(&watched, 0, sizeof watched);
    watched.s = s;
    watched.wanted = parity == VLQA_PARITY_INFOFLOW_VLM; /* behind that of the question */
    watched.keys = a.tokens_total + 1;
    s->queue->trace = look;
    s->queue->trace_user = &watched;
    a = ask(s, plan(parity));
    s->queue->trace = NULL;
    return a;
}

/* ---- the ranking ---- */

/* Of two lists of n: the correlation of ranks; equal values share their mean rank. */
static double spearman(const float *a, const float *b, int n)
{
    double sum = 0, square[2] = {0, 0}, mean = (n - 1) / 2.0;
    for (int i = 0; i < n; i++) {
        double rank[2] = {0, 0};
        for (int j = 0; j < n; j++) {
            rank[0] += (a[j] < a[i]) + 0.5 * (a[j] == a[i] && j != i);
            rank[1] += (b[j] < b[i]) + 0.5 * (b[j] == b[i] && j != i);
        }
        sum += (rank[0] - mean) * (rank[1] - mean);
        for (int k = 0; k < 2; k++)
            square[k] += (rank[k] - mean) * (rank[k] - mean);
    }
    return sum / sqrt(square[0] * square[1]);
}

static const float *tensor(const struct st_files *files, const char *name, int n)
{
    const struct st_tensor *t = st_find(files, name);
    if (!t || t->dtype != DT_F32 || t->bytes != (size_t)n * sizeof(float)) {
        CHECK_FAIL("%s: not there, or not of %d numbers", name, n);
        return NULL;
    }
    return t->data;
}

/* The tensors that were ranked are those of this run, near enough. */
static void check_tensor(const struct st_files *files, const char *prefix, char what, int layer,
                         const float *value, int n)
{
    char name[32];
    const float *golden;
    snprintf(name, sizeof name, "%s.%c.%d", prefix, what, layer);
    golden = tensor(files, name, n);
    if (golden) CHECK(check_compare(value, golden, n).max_abs < 1e-2);
}

/* The token of the prompt that stands at each slot: chunks one after the other, line by line. */
static void rows_by_slot(const struct vlqa_answer *a, int *row)
{
    int slot = a->tokens_prefix;
    for (int i = 0; i < a->tokens_total; i++)
        row[i] = i;
    for (int c = 0; c < a->n_chunks; c++) {
        const struct vlqa_placed_chunk one_chunk = vlqa_chunk_at(a, c), *chunk = &one_chunk;
        for (int i = 0; chunk->image >= 0 && i < chunk->tokens; i++)
            row[slot++] =
                chunk->first_token + i / chunk->w * vlqa_image_at(a, 0).grid_w + i % chunk->w;
    }
}

static void check_ranking(enum vlqa_parity parity, const char *prefix, int first_layer)
{
    struct env env = {0};
    struct st_files *files;
    struct vlqa_answer a;
    struct run r;
    char name[32];
    const float *score, *chosen;
    float found[MOST];
    int rows, differ = 0, n = 0, row[MOST];
    REQUIRE(run_open(&r) && st_open_file(&env, FILE_NAME, &files) == VLQA_OK);
    a = ask_watched(r.session, parity);
    rows = parity == VLQA_PARITY_INFOFLOW_VLM ? a.tokens_total : a.tokens_prefix + a.tokens_context;
    for (int i = first_layer; i <= first_layer + 1; i++) {
        int keys = rows + (parity == VLQA_PARITY_INFOFLOW_VLM ? 1 : watched.q_rows[i]);
        check_tensor(files, prefix, 'q', i, watched.q[i], watched.q_rows[i] * Q_COLS);
        check_tensor(files, prefix, 'k', i, watched.k[i], keys * KV_COLS);
    }
    snprintf(name, sizeof name, "%s.score", prefix);
    score = tensor(files, name, rows);
    snprintf(name, sizeof name, "%s.chosen", prefix);
    chosen = tensor(files, name, rows);
    REQUIRE(score && chosen && a.token_score);
    rows_by_slot(&a, row);
    for (int i = 0; i < rows; i++)
        found[i] = a.token_score[row[i]];
    CHECK(spearman(found, score, rows) >= 0.99);
    for (int i = 0; i < rows; i++) {
        n += chosen[i] != 0;
        differ += (chosen[i] != 0) != (a.token_selected[row[i]] != 0);
    }
    CHECK_EQ(a.tokens_selected, n);
    CHECK(differ <= 2); /* two tokens may change places on another processor */
    st_close(files);
    run_close(&r);
}

TEST(the_ranking_for_images_is_that_of_another_reading)
{
    check_ranking(VLQA_PARITY_INFOFLOW_VLM, "vlm", 6);
}

TEST(the_ranking_for_texts_is_that_of_another_reading)
{
    check_ranking(VLQA_PARITY_INFOFLOW_LLM, "llm", 5);
}

/* ---- the defects ---- */

/* The question over stale chunks; one token at position T; the chosen tokens without DeepStack; the
 * last token in its place again. */
TEST(images_go_through_four_passes)
{
    float table[64], inverse[3 * 32];
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r));
    a = ask_watched(r.session, VLQA_PARITY_INFOFLOW_VLM);
    CHECK_EQ(a.tokens_selected, (int)(0.15 * a.tokens_total));
    CHECK_EQ(watched.n, 4);
    CHECK_EQ(watched.pass[0].rows, a.tokens_question + 1); /* and the end of the image */
    CHECK_EQ(watched.pass[1].rows, 1);
    CHECK_EQ(watched.pass[2].rows, a.tokens_selected);
    CHECK_EQ(watched.pass[2].deep, 0);
    CHECK_EQ(watched.pass[3].rows, 1);
    rope_inverse(&r.engine->decoder.config.rope, inverse);
    for (int i = 0; i < 32; i++) { /* t = h = w: whichever turns it */
        float turns = inverse[i] + inverse[32 + i] + inverse[64 + i];
        float angle = (float)a.tokens_total * turns;
        table[i] = (float)cos((double)angle);
        table[32 + i] = (float)sin((double)angle);
    }
    CHECK(memcmp(table, watched.pass[1].cos_sin, sizeof table) == 0);
    CHECK(memcmp(table, watched.pass[3].cos_sin, sizeof table) != 0);
    run_close(&r);
}

/* Any token may be chosen, those of the template and the first chunk too; and all of them repaired
 * are not full prefill: neither DeepStack nor the question is there again. */
TEST(all_rows_of_an_image_repaired_are_not_full_prefill)
{
    static float full[VOCAB];
    struct vlqa_ask_options o = plan(VLQA_PARITY_INFOFLOW_VLM);
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r));
    add_document(r.session, experimental(&o)->parity);
    o.recompute_ratio = 1;
    a = ask(r.session, o);
    CHECK_EQ(a.tokens_selected, a.tokens_total);
    memcpy(full, a.logits, sizeof full);
    experimental(&o)->parity = VLQA_PARITY_OFF;
    experimental(&o)->order = VLQA_ORDER_CHUNK;
    set_reuse(&o, REUSE_FULL);
    a = ask(r.session, o);
    CHECK(check_compare(full, a.logits, VOCAB).max_abs > 0.01);
    run_close(&r);
}

/* Released code stops there. */
TEST(whole_images_are_not_repaired)
{
    struct vlqa_ask_options o = plan(VLQA_PARITY_INFOFLOW_VLM);
    static float logits[VOCAB];
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r));
    add_document(r.session, experimental(&o)->parity);
    o.chunker = VLQA_CHUNK_IMAGE;
    a = ask(r.session, o);
    CHECK(a.tokens_selected == 0);
    memcpy(logits, a.logits, sizeof logits);
    experimental(&o)->parity = VLQA_PARITY_OFF;
    set_reuse(&o, REUSE_NONE);
    a = ask(r.session, o);
    CHECK(memcmp(logits, a.logits, sizeof logits) == 0);
    run_close(&r);
}

/* What texts do behind the choice is what everybody does: all tokens are full prefill. */
TEST(all_rows_of_texts_repaired_are_full_prefill_and_the_first_chunk_is_none_of_them)
{
    static float logits[VOCAB];
    struct vlqa_ask_options o = plan(VLQA_PARITY_INFOFLOW_LLM);
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r));
    add_document(r.session, experimental(&o)->parity);
    o.recompute_ratio = 1;
    a = ask(r.session, o);
    CHECK_EQ(a.tokens_selected, a.tokens_context - vlqa_chunk_at(&a, 0).tokens);
    for (int i = 0; i < vlqa_chunk_at(&a, 0).tokens; i++)
        CHECK_EQ(a.token_selected[vlqa_chunk_at(&a, 0).first_token + i], 0);
    memcpy(logits, a.logits, sizeof logits);
    experimental(&o)->parity = VLQA_PARITY_OFF;
    set_reuse(&o, REUSE_OFF);
    a = ask(r.session, o);
    CHECK(memcmp(logits, a.logits, sizeof logits) == 0);
    experimental(&o)->parity = VLQA_PARITY_INFOFLOW_LLM;
    set_reuse(&o, REUSE_INFOFLOW);
    o.recompute_ratio = 0; /* one token, for all that */
    CHECK_EQ(ask(r.session, o).tokens_selected, 1);
    run_close(&r);
}

/* What the repair left in the session is not taken for exact by the next question. */
TEST(the_next_question_is_not_disturbed)
{
    static float before[VOCAB];
    struct vlqa_ask_options o = plan(VLQA_PARITY_OFF);
    struct run r;
    REQUIRE(run_open(&r));
    for (int p = VLQA_PARITY_INFOFLOW_VLM; p <= VLQA_PARITY_INFOFLOW_LLM; p++) {
        add_document(r.session, (enum vlqa_parity)p);
        set_reuse(&o, REUSE_OFF);
        memcpy(before, ask(r.session, o).logits, sizeof before);
        ask(r.session, plan((enum vlqa_parity)p));
        CHECK(memcmp(before, ask(r.session, o).logits, sizeof before) == 0);
    }
    run_close(&r);
}

TEST(options_that_released_code_has_not_are_refused)
{
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r));
    add_document(r.session, VLQA_PARITY_INFOFLOW_VLM);
    for (int i = 0; i < 7; i++) {
        struct vlqa_ask_options o = plan(VLQA_PARITY_INFOFLOW_VLM);
        if (i == 0) set_reuse(&o, REUSE_OFF);
        if (i == 1) o.adaptive = 1;
        if (i == 2) experimental(&o)->query_draft = 1;
        if (i == 3) experimental(&o)->geometry = VLQA_GEOMETRY_HLTP;
        if (i == 4) experimental(&o)->reorder = VLQA_REORDER_DENSITY;
        if (i == 5) experimental(&o)->parity = (enum vlqa_parity)3;
        if (i == 6) set_reuse(&o, REUSE_PROPHET);
        CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
        CHECK_HAS(vlqa_message(r.session),
                  i == 5 ? "expected 0..2" : "parity is for reuse infoflow");
    }
    run_close(&r);
}

/* ---- writing the tensors ---- */

struct part {
    char name[32];
    int rows, cols;
    const float *data;
};

static int write_parts(const char *path, const struct part *part, int n)
{
    char header[4096] = "{";
    size_t used = 1, at = 0;
    uint64_t length;
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < n; i++) {
        size_t bytes = (size_t)part[i].rows * (size_t)part[i].cols * sizeof(float);
        used += (size_t)snprintf(
            header + used, sizeof header - used,
            "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[%zu,"
            "%zu]}",
            i ? "," : "", part[i].name, part[i].rows, part[i].cols, at, at + bytes);
        at += bytes;
    }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    length = used;
    if (!f) return 1;
    fwrite(&length, sizeof length, 1, f);
    fwrite(header, 1, used, f);
    for (int i = 0; i < n; i++)
        fwrite(part[i].data, sizeof(float), (size_t)part[i].rows * (size_t)part[i].cols, f);
    return fclose(f) != 0;
}

static int write_tensors(const char *path)
{
    static struct watch kept[2];
    struct part part[16];
    struct run r;
    float counts[3];
    int n = 0;
    if (!run_open(&r)) return 1;
    for (int which = 0; which < 2; which++) {
        struct vlqa_answer a =
            ask_watched(r.session, which ? VLQA_PARITY_INFOFLOW_LLM : VLQA_PARITY_INFOFLOW_VLM);
        int keys = a.tokens_prefix + a.tokens_context;
        kept[which] = watched;
        counts[0] = (float)a.tokens_prefix;
        counts[1] = (float)a.tokens_context;
        counts[2] = (float)vlqa_chunk_at(&a, 0).tokens;
        for (int i = which ? 5 : 6; i <= (which ? 6 : 7); i++) {
            struct part q = {"", watched.q_rows[i], Q_COLS, kept[which].q[i]};
            struct part k = {"", which ? keys + watched.q_rows[i] : a.tokens_total + 1, KV_COLS,
                             kept[which].k[i]};
            snprintf(q.name, sizeof q.name, "%s.q.%d", which ? "llm" : "vlm", i);
            snprintf(k.name, sizeof k.name, "%s.k.%d", which ? "llm" : "vlm", i);
            part[n++] = q;
            part[n++] = k;
        }
    }
    part[n++] = (struct part){"llm.counts", 1, 3, counts};
    run_close(&r);
    return write_parts(path, part, n);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write") == 0) return write_tensors(argv[2]);
    return check_main(argc, argv);
}
