/* test_ranks_options.c - whatever a question is was_asked with, ranks answer it as one process
 * does. */
#include "tests/fusion/fault_lab.h"

#define SETTINGS 24 /* each of them is not as by default */

static void set_selection(int i, struct vlqa_engine_options *eo, struct vlqa_ask_options *o)
{
    struct vlqa_experimental *x = experimental(o);
    switch (i) {
    case 0:
        eo->kv_dtype = VLQA_DTYPE_INT8;
        x->variant = VLQA_VARIANT_CACHEBLEND;
        break;
    case 1:
        eo->kv_dtype = VLQA_DTYPE_INT4;
        x->geometry = VLQA_GEOMETRY_HLTP;
        break;
    case 2:
        x->reorder = VLQA_REORDER_DENSITY;
        break;
    case 3:
        eo->no_cache = 1;
        x->reorder = VLQA_REORDER_DENSITY;
        x->geometry = VLQA_GEOMETRY_TLTP;
        break;
    case 4:
        o->adaptive = 0.001f;
        o->recompute_ratio = 0.05f;
        break;
    case 5:
        o->adaptive = 1e-9f; /* to the end */
        o->recompute_ratio = 0.2f;
        break;
    case 6:
        x->query_draft = 3;
        x->score = VLQA_SCORE_COMBINED;
        break;
    case 7:
        x->parity = VLQA_PARITY_INFOFLOW_VLM;
        o->chunk_k = 3;
        break;
    case 8:
        x->parity = VLQA_PARITY_INFOFLOW_LLM;
        break;
    case 9:
        x->variant = VLQA_VARIANT_PROPHET;
        x->closing = 4;
        break;
    case 10:
        x->variant = VLQA_VARIANT_CACHEBLEND;
        x->taper = 0.5f;
        x->check_layers[0] = 14;
        o->recompute_ratio = 0.3f;
        break;
    }
}

static void set_rest(int i, struct vlqa_engine_options *eo, struct vlqa_ask_options *o)
{
    static const int32_t forced[] = {65, 66, 67};
    static const char *const stop[] = {"7k", "ange"};
    struct vlqa_experimental *x = experimental(o);
    switch (i) {
    case 11:
        x->order = VLQA_ORDER_CHUNK;
        break;
    case 12:
        x->variant = VLQA_VARIANT_EPIC;
        break;
    case 13:
        x->variant = VLQA_VARIANT_KVSHARE;
        x->refresh_every = 2;
        x->refresh_tokens = 20;
        break;
    case 14:
        eo->cache_ram_bytes = 1;
        break;
    case 15:
        eo->load_or_compute = 1;
        break;
    case 16:
        eo->dtype = VLQA_DTYPE_F32;
        o->temperature = 1.5f;
        o->repetition_penalty = 1.2f;
        break;
    case 17:
        o->recompute_ratio = 0;
        o->evidence_max = 0;
        break;
    case 18:
        o->text_chunker = VLQA_TEXT_PASSAGE;
        break;
    case 19:
        o->forced = forced;
        o->n_forced = 3;
        break;
    case 20:
        o->stop_text = stop;
        o->n_stop_text = 2;
        break;
    case 21:
        eo->image_min_tokens = 1;
        eo->image_max_tokens = 2; /* fewer than ranks */
        break;
    case 22:
        x->margin = 1e6; /* exact from the first token on */
        o->recompute_ratio = 0;
        break;
    case 23:
        x->margin = 0.5; /* from some token on */
        break;
    }
}

static int setting;
static int divided;

static void was_asked(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_ask_options o = options_of_question();
    struct vlqa_answer a;
    struct run r;
    eo.threads = 1;
    eo.ranks = ranks;
    vlqa_ranks_divide_weights(ranks, divided);
    set_selection(setting, &eo, &o);
    set_rest(setting, &eo, &o);
    if (!run_start(&r, eo, 640)) return;
    CHECK(add_documents(r.session) == VLQA_OK);
    CHECK(vlqa_ask(r.session, "Which one?", &o, &a, sizeof a) == VLQA_OK);
    CHECK(vlqa_session_clear(r.session) == VLQA_OK);
    CHECK(vlqa_add_image_file(r.session, CHART("cows")) == VLQA_OK); /* partly in the store */
    add_text(r.session, words);
    add_image(r.session, CHART("february"));
    add_image(r.session, CHART("february"));
    take_message(out, vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), vlqa_message(r.session));
    if (out->status == VLQA_OK) take_answer(&a, out);
    run_close(&r);
}

TEST(any_options_give_the_answer_of_one_process)
{
    struct outcome *alone = outcomes(1), *rank = outcomes(RANKS);
    REQUIRE(alone && rank);
    for (setting = 0; setting < SETTINGS; setting++) {
        memset(alone, 0, sizeof *alone);
        divided = 0;
        on_ranks(0, was_asked, alone);
        CHECK(alone->status == VLQA_OK && alone->n_tokens > 0);
        for (int n = 2; n <= RANKS; n++) {
            divided = (setting + n) % 2;
            memset(rank, 0, RANKS * sizeof *rank);
            on_ranks(n, was_asked, rank);
            for (int k = 0; k < n; k++)
                if (!same_outcome(alone, &rank[k]))
                    CHECK_FAIL("setting %d: rank %d of %d: \"%s\" %s, alone \"%s\"", setting, k, n,
                               rank[k].text, rank[k].message, alone->text);
        }
    }
    munmap(alone, sizeof *alone);
    munmap(rank, RANKS * sizeof *rank);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
