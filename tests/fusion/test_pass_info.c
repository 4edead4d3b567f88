/* test_pass_info.c - what InfoKV asks of a pass: entropy and change of each token, naively. */
#include "fusion/session/session.h"

#include "tests/check.h"
#include "tests/fusion/default_model.h"
#include "tests/fusion/options.h"

struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
};

static int run_open(struct run *r)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = session_options();
    eo.model = MODEL;
    eo.dtype = VLQA_DTYPE_F32;
    eo.threads = 2;
    so.max_seq_len = 128;
    r->session = NULL;
    if (vlqa_engine_open(&eo, &r->engine) != VLQA_OK)
        CHECK_FAIL("engine: %s", vlqa_engine_message(r->engine));
    else if (vlqa_session_open(r->engine, &so, &r->session) != VLQA_OK)
        CHECK_FAIL("session: %s", vlqa_message(r->session));
    return !check_failures;
}

static void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
}

struct states { /* hidden states of the first tokens, behind each layer, and before the first */
    float x[KV_MAX_LAYERS][16][256];
    int n;
};

static void keep_states(void *user, struct queue *q, const char *name, int layer, struct mat m)
{
    struct states *s = user;
    static float values[512 * 256];
    if (m.cols != 256 || m.rows > 512) return;
    if (strcmp(name, "text.layer") != 0 && strcmp(name, "text.deep") != 0) return;
    CHECK_EQ(queue_read(q, values, m), VLQA_OK);
    s->n = m.rows < 16 ? m.rows : 16;
    memcpy(s->x[layer], values, (size_t)s->n * sizeof s->x[layer][0]);
}

static double distance(const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0;
    for (int e = 0; e < 256; e++) {
        dot += (double)a[e] * (double)b[e];
        aa += (double)a[e] * (double)a[e];
        bb += (double)b[e] * (double)b[e];
    }
    return 1 - dot / sqrt(aa * bb);
}

static double entropy_of_ten(const float *logits)
{
    static float x[VOCAB];
    double top[10], sum = 0, entropy = 0;
    memcpy(x, logits, sizeof x);
    for (int k = 0; k < 10; k++) {
        int best = 0;
        for (int i = 1; i < VOCAB; i++)
            if (x[i] > x[best]) best = i;
        top[k] = (double)x[best];
        x[best] = -INFINITY;
    }
    for (int k = 0; k < 10; k++)
        sum += exp(top[k] - top[0]);
    for (int k = 0; k < 10; k++)
        entropy -= exp(top[k] - top[0]) / sum * (top[k] - top[0] - log(sum));
    return entropy;
}

/* Tokens [0, n) of a text, with what the pass says of them. */
static void pass_over(struct run *r, const int32_t *token, int n, float *logits,
                      const struct pass_info *info)
{
    struct vlqa_session *s = r->session;
    int32_t slot[64], text[64];
    struct pos pos[64];
    struct span span[64];
    struct pass pass = {.kv = &s->kv, .logits = logits, .info = info};
    for (int i = 0; i < n; i++) {
        slot[i] = i;
        text[i] = -1;
        pos[i] = (struct pos){i, i, i};
        span[i] = (struct span){0, 0, i + 1};
    }
    pass.tokens = (struct tokens){
        .n = n, .token = token, .visual_row = text, .pos = pos, .slot = slot, .span = span};
    decoder_forward(s->queue, &r->engine->decoder, &pass, &s->scratch);
    CHECK_EQ(queue_sync(s->queue), VLQA_OK);
}

TEST(a_pass_tells_entropy_and_change)
{
    enum { N = 40, STRIDE = 64 };
    static float entropy[N], change[KV_MAX_LAYERS][STRIDE], logits[VOCAB];
    static struct states states;
    struct pass_info info = {10, entropy, change[0], STRIDE};
    int32_t token[N];
    struct run r;
    REQUIRE(run_open(&r));
    for (int i = 0; i < N; i++)
        token[i] = 300 + 17 * i;
    r.session->queue->trace = keep_states;
    r.session->queue->trace_user = &states;
    pass_over(&r, token, N, NULL, &info);
    r.session->queue->trace = NULL;
    CHECK_EQ(states.n, 16);
    for (int layer = 1; layer < r.session->kv.layers; layer++)
        for (int i = 0; i < 16; i++)
            CHECK(fabs(distance(states.x[layer - 1][i], states.x[layer][i]) -
                       (double)change[layer][i]) < 1e-5);
    for (int i = 0; i < N; i += 13) {
        pass_over(&r, token, i + 1, logits, NULL);
        CHECK(fabs(entropy_of_ten(logits) - (double)entropy[i]) < 1e-4);
    }
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
