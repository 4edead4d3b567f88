/* test_golden.c - every intermediate result against transformers, rung by rung, on the checkpoints
 * of tests/golden; and that well-known mistakes would be seen at the rung where they are made. */
#include "fusion/session/session.h"

#include "base/heap.h"
#include "kernels/backend.h"
#include "tests/check.h"
#include "tests/device_memory.h"

#define GOLDEN VLQA_SOURCE_DIR "/tests/golden/"
#define MAX_TENSORS 128
#define MAX_STEPS 64
#define MAX_VOCAB 512

static const char *const checkpoints[] = {"tied64", "sharded12", "tower72"};
#define N_CHECKPOINTS 3

/* The ladder. Bounds of float32: rel L2, or the largest difference; bfloat16: cosine 0.999. */
static const struct rung {
    int number;
    const char *name;
    double rel_l2, max_abs;
} ladder[] = {
    {5, "vit.patch_embed", 1e-6, 0}, {6, "vit.pos", 0, 1e-5},       {7, "vit.cos_sin", 0, 1e-6},
    {8, "vit.q", 1e-5, 0},           {8, "vit.k", 1e-5, 0},         {8, "vit.attn", 1e-5, 0},
    {8, "vit.mlp", 1e-5, 0},         {9, "vit.block", 1e-5, 0},     {10, "vit.merger", 1e-5, 0},
    {10, "vit.deepstack", 1e-5, 0},  {13, "text.cos_sin", 0, 2e-6}, {14, "text.q", 1e-5, 0},
    {14, "text.k", 1e-5, 0},         {14, "text.attn", 1e-5, 0},    {14, "text.mlp", 1e-5, 0},
    {14, "text.layer", 1e-5, 0},     {14, "text.deep", 1e-5, 0},    {14, "text.norm", 1e-5, 0},
    {15, "logits", 0, 1e-4},
};
#define N_RUNGS (int)(sizeof ladder / sizeof *ladder)
#define BF16_COSINE 0.999
#define BF16_MARGIN 0.25  /* between the best two logits: below it the other may win */
#define BF16_LOGPROB 0.05 /* mean difference; the reference is as far from float32 */

enum fault { /* what goes wrong on purpose */
             FAULT_NONE,
             FAULT_NO_DEEPSTACK,
             FAULT_CONTIGUOUS_MROPE,
             FAULT_COLUMNS_FIRST,
             FAULT_TANH_IN_MERGERS,
             FAULT_ERF_IN_BLOCKS
};

struct run { /* a case on a checkpoint, held against its file */
    const char *checkpoint, *name;
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    struct st_files *golden;
    int f32;
    enum fault fault;
    const char *red_expected;
    const struct backend_ops *real;
    struct backend_ops faulty;
    int patches, visual_tokens; /* of the images before the current one */
    int over;                   /* the prompt is through */
    int seen[MAX_TENSORS];      /* tokens of each golden tensor */
    const struct rung *first_red;
};

/* Golden tensors. */

static struct host_mat tensor_mat(const struct st_tensor *t)
{
    int rows = t->rank > 1 ? (int)t->dim[0] : 1, cols = (int)t->dim[t->rank - 1];
    return host_mat_of((void *)(uintptr_t)t->data, t->dtype, rows, cols);
}

/* A golden tensor as matrix; rows 0: not in the file. */
static struct host_mat golden_mat(const struct run *r, const char *name)
{
    const struct st_tensor *t = st_find(r->golden, name);
    return t ? tensor_mat(t) : host_mat_of(NULL, DT_F32, 0, 0);
}

/* Index among the file's tensors of name.layer, or name; -1: not kept in this file. */
static int golden_index(const struct run *r, const char *name, int layer)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%d", name, layer);
    for (int i = 0; i < st_count(r->golden); i++) {
        const char *have = st_at(r->golden, i)->name;
        if (strcmp(have, full) == 0 || (layer == 0 && strcmp(have, name) == 0)) return i;
    }
    return -1;
}

static float *floats(struct host_mat m)
{
    size_t n = (size_t)m.rows * (size_t)m.cols;
    float *out = heap_alloc(n * sizeof *out);
    for (int i = 0; i < m.rows; i++)
        for (int k = 0; k < m.cols; k++)
            out[(size_t)i * (size_t)m.cols + (size_t)k] = host_mat_get(m, i, k);
    return out;
}

/* Comparing. */

static const struct rung *rung_of(const char *name)
{
    for (int i = 0; i < N_RUNGS; i++)
        if (strcmp(ladder[i].name, name) == 0) return &ladder[i];
    return NULL;
}

static void red(struct run *r, const struct rung *rung, int layer, const char *what)
{
    if (!r->first_red) r->first_red = rung;
    if (r->fault == FAULT_NONE)
        CHECK_FAIL("%s, %s, %s: rung %d, %s.%d: %s", r->checkpoint, r->name,
                   r->f32 ? "f32" : "bf16", rung->number, rung->name, layer, what);
}

static void compare(struct run *r, struct queue *q, const struct rung *rung, int layer,
                    struct mat found, struct host_mat expected)
{
    long n = (long)found.rows * found.cols;
    float *f = heap_alloc((size_t)n * sizeof *f), *e = floats(expected);
    struct check_diff d;
    double bound, value;
    char what[256];
    device_floats(q, found, f);
    d = check_compare(f, e, n);
    bound = !r->f32 ? BF16_COSINE : rung->rel_l2 > 0 ? rung->rel_l2 : rung->max_abs;
    value = !r->f32 ? d.cosine : rung->rel_l2 > 0 ? d.rel_l2 : d.max_abs;
    if (r->f32 ? !(value <= bound) : !(value >= bound) || d.not_finite) {
        snprintf(
            what, sizeof what,
            "max abs %.3g at token %ld column %ld (%g, expected %g), rel L2 %.3g, cosine %.6f, "
            "%ld not finite",
            d.max_abs, d.first_bad / found.cols, d.first_bad % found.cols, (double)f[d.first_bad],
            (double)e[d.first_bad], d.rel_l2, d.cosine, d.not_finite);
        red(r, rung, layer, what);
    }
    heap_free(f);
    heap_free(e);
}

/* Mistakes that are made in a result before it goes on. */

static void contiguous_mrope(const struct run *r, struct host_mat cos_sin)
{
    const struct rope_config *c = &r->engine->decoder.config.rope;
    struct host_mat position = golden_mat(r, "position_ids");
    int half = c->dim / 2;
    for (int row = 0; row < cos_sin.rows; row++) {
        float *to = host_mat_at(cos_sin, row, 0);
        for (int i = 0; i < half; i++) {
            int axis = i < c->section[0] ? 0 : i < c->section[0] + c->section[1] ? 1 : 2;
            double angle = (double)host_mat_get(position, axis, row) *
                           pow(c->theta, -2.0 * (double)i / (double)c->dim);
            to[i] = (float)cos(angle);
            to[half + i] = (float)sin(angle);
        }
    }
}

static void columns_first(struct host_mat cos_sin)
{
    int quarter = cos_sin.cols / 4;
    for (int row = 0; row < cos_sin.rows; row++) {
        float *at = host_mat_at(cos_sin, row, 0);
        for (int i = 0; i < cos_sin.cols; i++) {
            int other = i + quarter;
            if (i / quarter % 2) continue;
            float kept = at[i];
            at[i] = at[other];
            at[other] = kept;
        }
    }
}

static int spoil(const struct run *r, const char *name, struct host_mat m)
{
    if (r->fault == FAULT_NO_DEEPSTACK && strcmp(name, "vit.deepstack") == 0)
        memset(m.data, 0, mat_bytes(m.dtype, m.rows, m.cols));
    else if (r->fault == FAULT_CONTIGUOUS_MROPE && strcmp(name, "text.cos_sin") == 0)
        contiguous_mrope(r, m);
    else if (r->fault == FAULT_COLUMNS_FIRST && strcmp(name, "vit.cos_sin") == 0)
        columns_first(m);
    else
        return 0;
    return 1;
}

static void spoil_on_device(const struct run *r, struct queue *q, const char *name, struct mat m)
{
    size_t bytes = mat_bytes(m.dtype, m.rows, m.cols);
    void *copy;
    if (r->fault == FAULT_NONE) return;
    copy = heap_alloc(bytes);
    CHECK_EQ(queue_read(q, copy, m), VLQA_OK);
    if (spoil(r, name, host_mat_of(copy, m.dtype, m.rows, m.cols))) device_write(q, m, copy);
    heap_free(copy);
}

static void spoiled_matmul(struct queue *q, const struct products *p)
{
    const struct run *r = q->trace_user;
    struct products spoiled = *p;
    if (r->fault == FAULT_TANH_IN_MERGERS && p->act == ACT_GELU_ERF)
        spoiled.act = ACT_GELU_TANH;
    else if (r->fault == FAULT_ERF_IN_BLOCKS && p->act == ACT_GELU_TANH)
        spoiled.act = ACT_GELU_ERF;
    r->real->matmul(q, &spoiled);
}

/* Behind its K and V of the last layer only the token whose logits are wanted goes on. */
static int leaves_early(const struct run *r, const char *name, int layer)
{
    return layer == r->session->kv.layers - 1 &&
           (strcmp(name, "text.attn") == 0 || strcmp(name, "text.mlp") == 0 ||
            strcmp(name, "text.layer") == 0 || strcmp(name, "text.q") == 0);
}

/* Called with every result in the order of computation. */
static void on_trace(void *user, struct queue *q, const char *name, int layer, struct mat m)
{
    struct run *r = user;
    const struct rung *rung = rung_of(name);
    int index = r->over ? -1 : golden_index(r, name, layer);
    int visual = strcmp(name, "vit.merger") == 0 || strcmp(name, "vit.deepstack") == 0;
    if (index >= 0 && rung) {
        struct host_mat golden = tensor_mat(st_at(r->golden, index));
        int late = leaves_early(r, name, layer) ? golden.rows - m.rows : 0;
        int begin = visual ? r->visual_tokens : strncmp(name, "vit.", 4) == 0 ? r->patches : late;
        r->seen[index] += late + m.rows;
        if (m.cols != golden.cols || begin + m.rows > golden.rows)
            red(r, rung, layer, "another shape");
        else
            compare(r, q, rung, layer, m, host_mat_rows(golden, begin, m.rows));
    }
    spoil_on_device(r, q, name, m);
    if (strcmp(name, "vit.merger") == 0) { /* the last result of an image */
        r->visual_tokens += m.rows;
        r->patches += m.rows * 4;
    }
    if (strcmp(name, "logits") == 0) r->over = 1;
}

/* Every golden tensor of the ladder was met, with all its tokens. */
static void check_coverage(const struct run *r)
{
    int met = 0;
    for (int i = 0; i < st_count(r->golden); i++) {
        const struct st_tensor *t = st_at(r->golden, i);
        if (strncmp(t->name, "vit.", 4) != 0 && strncmp(t->name, "text.", 5) != 0 &&
            strcmp(t->name, "logits") != 0)
            continue;
        if (r->seen[i] != tensor_mat(t).rows)
            CHECK_FAIL("%s, %s: %s: %d of %d tokens were computed", r->checkpoint, r->name, t->name,
                       r->seen[i], tensor_mat(t).rows);
        met++;
    }
    CHECK(met >= 5);
}

/* Running. */

static int run_open(struct run *r, const char *checkpoint, enum vlqa_cpu cpu, int f32)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    char path[512];
    memset(r, 0, sizeof *r);
    snprintf(path, sizeof path, GOLDEN "%s", checkpoint);
    eo.no_cache = 1; /* the tower is to run every time */
    eo.model = path;
    eo.cpu = cpu;
    eo.dtype = f32 ? VLQA_DTYPE_F32 : VLQA_DTYPE_BF16;
    eo.threads = 1;
    so.max_seq_len = 256;
    r->checkpoint = checkpoint;
    r->f32 = f32;
    if (vlqa_engine_open(&eo, &r->engine) != VLQA_OK) {
        CHECK_FAIL("%s: %s", checkpoint, vlqa_engine_message(r->engine));
        return 0;
    }
    if (vlqa_session_open(r->engine, &so, &r->session) != VLQA_OK) {
        CHECK_FAIL("%s: %s", checkpoint, vlqa_message(r->session));
        return 0;
    }
    return 1;
}

static void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
}

/* Puts the run before the first image of a case. */
static int run_begin(struct run *r, const struct json *row)
{
    struct env env = {0};
    struct queue *q = r->session->queue;
    char path[512];
    r->name = json_text(json_get(row, "case"));
    snprintf(path, sizeof path, GOLDEN "cases/%s-%s-%s.safetensors", r->checkpoint, r->name,
             r->f32 ? "fp32" : "bf16");
    if (st_open_file(&env, path, &r->golden) != VLQA_OK || st_count(r->golden) > MAX_TENSORS) {
        CHECK_FAIL("%s: %s", path, env.message);
        return 0;
    }
    r->patches = r->visual_tokens = r->over = 0;
    r->first_red = NULL;
    memset(r->seen, 0, sizeof r->seen);
    r->real = q->op;
    r->faulty = *q->op;
    r->faulty.matmul = spoiled_matmul;
    q->op = &r->faulty;
    q->trace = on_trace;
    q->trace_user = r;
    return vlqa_session_clear(r->session) == VLQA_OK;
}

static void run_end(struct run *r)
{
    r->session->queue->op = r->real;
    r->session->queue->trace = NULL;
    st_close(r->golden);
}

/* The messages of a case; the text after the last image, or "", is the question. */
static const char *add_turns(struct run *r, const struct json *row)
{
    const char *question = "";
    vlqa_status status = VLQA_OK;
    const struct json *turn = json_first(json_get(row, "turns"));
    for (; turn; turn = json_next(turn)) {
        int user = strcmp(json_text(json_get(turn, "role")), "user") == 0;
        const struct json *item = json_first(json_get(turn, "items"));
        for (; item; item = json_next(item)) {
            const char *text = json_text(json_get(item, "text"));
            char path[512];
            if (!text) {
                snprintf(path, sizeof path, GOLDEN "images/%s", json_text(json_get(item, "image")));
                status = vlqa_add_image_file(r->session, path);
            } else if (!user) {
                status = vlqa_set_system(r->session, text, strlen(text));
            } else if (!json_next(item)) {
                question = text;
            } else {
                status = vlqa_add_text(r->session, text, strlen(text));
            }
            if (status != VLQA_OK) CHECK_FAIL("%s: %s", r->name, vlqa_message(r->session));
        }
    }
    return question;
}

static int run_ask(struct run *r, const struct json *row, int steps, struct vlqa_answer *answer)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    const char *question = add_turns(r, row);
    o.max_tokens = steps;
    o.ignore_eos = 1;
    if (vlqa_ask(r->session, question, &o, answer, sizeof *answer) == VLQA_OK) return 1;
    CHECK_FAIL("%s: %s", r->name, vlqa_message(r->session));
    return 0;
}

/* What the continuation is held to. */

static void check_ids(const struct run *r, const char *name, const int32_t *id, int n)
{
    struct host_mat golden = golden_mat(r, name);
    CHECK_EQ(n, golden.cols);
    for (int i = 0; i < n && i < golden.cols; i++)
        if (id[i] != (int32_t)host_mat_get(golden, 0, i)) {
            CHECK_FAIL("%s, %s: %s %d is %d, expected %d", r->checkpoint, r->name, name, i, id[i],
                       (int)host_mat_get(golden, 0, i));
            return;
        }
}

static int argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static double logprob(const float *x, int n, int id)
{
    double sum = 0, top = (double)x[argmax(x, n)];
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - top);
    return (double)x[id] - top - log(sum);
}

/* The token of token `id` behind a prompt of n tokens that ends at position `next`. */
static void forward_token(struct run *r, int32_t id, int step, int n, int next, float *logits)
{
    struct vlqa_session *s = r->session;
    int32_t slot = n + step, text = -1;
    struct span span = {0, 0, slot + 1};
    struct pos pos = {next + step, next + step, next + step};
    struct pass pass = {
        .tokens =
            {.n = 1, .token = &id, .visual_row = &text, .pos = &pos, .slot = &slot, .span = &span},
        .kv = &s->kv,
        .logits = logits};
    decoder_forward(s->queue, &r->engine->decoder, &pass, &s->scratch);
    CHECK_EQ(queue_sync(s->queue), VLQA_OK);
}

/* The reference's tokens are fed whatever ours would have been: each step is judged by itself. */
static void check_steps(struct run *r, const struct vlqa_answer *answer, int delta)
{
    struct host_mat ids = golden_mat(r, "greedy"), margins = golden_mat(r, "greedy_margin");
    struct host_mat logprobs = golden_mat(r, "greedy_logprob");
    static float logits[MAX_VOCAB];
    double error = 0;
    int n = answer->tokens_total;
    REQUIRE(answer->n_logits <= MAX_VOCAB);
    memcpy(logits, answer->logits, (size_t)answer->n_logits * sizeof *logits);
    for (int i = 0; i < ids.cols; i++) {
        int32_t id = (int32_t)host_mat_get(ids, 0, i);
        int best = argmax(logits, answer->n_logits);
        int sure = r->f32 || (double)host_mat_get(margins, 0, i) >= BF16_MARGIN;
        if (sure && best != id)
            CHECK_FAIL("%s, %s: step %d: %d, expected %d", r->checkpoint, r->name, i, best, id);
        error += fabs(logprob(logits, answer->n_logits, id) - (double)host_mat_get(logprobs, 0, i));
        forward_token(r, id, i, n, n + delta, logits);
    }
    error /= ids.cols;
    if (!(error <= (r->f32 ? 1e-4 : BF16_LOGPROB)))
        CHECK_FAIL("%s, %s: rung 16: log-probabilities differ by %g on average", r->checkpoint,
                   r->name, error);
}

/* rope_delta of a case is kept with its float32 tensors. */
static int delta_of(const struct run *r)
{
    struct run other = {0};
    struct env env = {0};
    char path[512];
    int delta = 0;
    snprintf(path, sizeof path, GOLDEN "cases/%s-%s-fp32.safetensors", r->checkpoint, r->name);
    if (st_open_file(&env, path, &other.golden) != VLQA_OK)
        CHECK_FAIL("%s", env.message);
    else
        delta = (int)host_mat_get(golden_mat(&other, "rope_delta"), 0, 0);
    st_close(other.golden);
    return delta;
}

static void check_case(struct run *r, const struct json *row)
{
    struct vlqa_answer answer;
    if (!run_begin(r, row)) return;
    if (run_ask(r, row, r->f32 ? MAX_STEPS : 1, &answer)) {
        check_coverage(r);
        if (r->f32) {
            check_ids(r, "input_ids", answer.prompt_token, answer.tokens_total);
            check_ids(r, "greedy", answer.token, answer.n_tokens);
        }
        check_steps(r, &answer, delta_of(r));
    }
    run_end(r);
}

/* The tokens of cases.json of a checkpoint; fn is called with each. */
static int each_case(struct run *r, const char *only, void (*fn)(struct run *, const struct json *))
{
    struct env env = {0};
    struct json_doc *doc;
    int n = 0;
    if (json_read(&env, GOLDEN "cases.json", 1 << 20, &doc) != VLQA_OK) {
        CHECK_FAIL("%s", env.message);
        return 0;
    }
    for (const struct json *row = json_first(json_get(json_root(doc), "cases")); row;
         row = json_next(row)) {
        if (strcmp(json_text(json_get(row, "checkpoint")), r->checkpoint) != 0) continue;
        if (only && strcmp(json_text(json_get(row, "case")), only) != 0) continue;
        fn(r, row);
        n++;
    }
    json_free(doc);
    return n;
}

static void check_all(int f32)
{
    static const enum vlqa_cpu cpus[] = {VLQA_CPU_PLAIN, VLQA_CPU_AVX2, VLQA_CPU_AVX512,
                                         VLQA_CPU_AMX};
    for (int i = 0; i < N_CHECKPOINTS * 4; i++) {
        struct run r;
        if (!device_has_cpu(cpus[i % 4])) continue;
        if (run_open(&r, checkpoints[i / 4], cpus[i % 4], f32))
            CHECK_EQ(each_case(&r, NULL, check_case), 4);
        run_close(&r);
    }
}

TEST(every_result_in_float32_is_that_of_transformers)
{
    check_all(1);
}

TEST(every_result_in_bfloat16_is_close_to_that_of_transformers)
{
    check_all(0);
}

/* Mistakes: seen at the rung where they are made, and still seen in the logits. */

static void check_fault(struct run *r, const struct json *row)
{
    struct vlqa_answer answer;
    if (!run_begin(r, row)) return;
    if (run_ask(r, row, 1, &answer)) {
        struct host_mat expected = golden_mat(r, "logits");
        double most = 0;
        CHECK_STR(r->first_red ? r->first_red->name : "nothing", r->red_expected);
        for (int i = 0; i < expected.cols; i++)
            most =
                fmax(most, fabs((double)answer.logits[i] - (double)host_mat_get(expected, 0, i)));
        CHECK(most > 2e-3);
    }
    run_end(r);
}

static void check_mistake(enum fault fault, const char *red_expected)
{
    for (int i = 0; i < N_CHECKPOINTS; i++) {
        struct run r;
        if (run_open(&r, checkpoints[i], VLQA_CPU_AUTO, 1)) {
            r.fault = fault;
            r.red_expected = red_expected;
            CHECK_EQ(each_case(&r, "image", check_fault), 1);
        }
        run_close(&r);
    }
}

TEST(missing_deepstack_is_seen)
{
    check_mistake(FAULT_NO_DEEPSTACK, "text.deep");
}

TEST(contiguous_mrope_is_seen)
{
    check_mistake(FAULT_CONTIGUOUS_MROPE, "text.k");
}

TEST(vision_rotation_by_columns_first_is_seen)
{
    check_mistake(FAULT_COLUMNS_FIRST, "vit.q");
}

TEST(tanh_gelu_in_mergers_is_seen)
{
    check_mistake(FAULT_TANH_IN_MERGERS, "vit.deepstack");
}

TEST(erf_gelu_in_blocks_is_seen)
{
    check_mistake(FAULT_ERF_IN_BLOCKS, "vit.mlp");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
