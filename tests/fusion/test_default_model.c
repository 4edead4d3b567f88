/* test_default_model.c - the shipped model against what transformers computes of it in fp32: prompt
 * ids, grids, first logits and greedy answer of 202 questions about the samples. */
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "tests/check.h"
#include "tests/fusion/default_model.h"

#include <stdio.h>

/* Of the prompts one in so many is asked: they differ in numbers, hardly in what code they run, and
 * with sanitizers, or on an emulated GPU, all of them would take minutes. */
#ifndef STRIDE
#define STRIDE (VLQA_SANITIZED ? 12 : 1)
#endif

static void check_ids(const char *what, int line, const struct json *list, const int32_t *id, int n)
{
    const struct json *value = json_first(list);
    int same = json_count(list) == n;
    for (int i = 0; same && i < n; i++, value = json_next(value))
        same = (int)json_number(value) == id[i];
    if (!same) CHECK_FAIL("line %d: %s differ (%d, expected %d)", line, what, n, json_count(list));
}

static void check_logits(int line, const struct json *top, const float *logits)
{
    for (const struct json *pair = json_first(top); pair; pair = json_next(pair)) {
        int id = (int)json_number(json_first(pair));
        double expected = json_number(json_next(json_first(pair)));
        double error = fabs((double)logits[id] - expected);
        if (!(error <= 1e-3)) /* the file has four decimals */
            CHECK_FAIL("line %d: logit %d is %g, expected %g", line, id, (double)logits[id],
                       expected);
    }
}

/* Images in their order and then texts, as the reference was given them. */
static vlqa_status add_document(struct vlqa_session *session, const struct json *row)
{
    const struct json *name = json_first(json_get(row, "image"));
    const struct json *grid = json_first(json_get(row, "grids"));
    const struct json *text = json_first(json_get(row, "texts"));
    vlqa_status status = vlqa_session_clear(session);
    for (; !status && name; name = json_next(name), grid = json_next(grid)) {
        struct vlqa_image_info image = {0};
        char path[512];
        snprintf(path, sizeof path, "%s/assets/%s", VLQA_SOURCE_DIR, json_text(name));
        status = vlqa_add_image_file(session, path);
        if (!status) status = vlqa_last_image(session, &image, sizeof image);
        CHECK_EQ(image.grid_h, json_number(json_next(json_first(grid))));
        CHECK_EQ(image.grid_w, json_number(json_next(json_next(json_first(grid)))));
    }
    for (; !status && text; text = json_next(text))
        status = vlqa_add_text(session, json_text(text), strlen(json_text(text)));
    return status;
}

static void check_row(struct vlqa_session *session, const struct json *row, int line)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer;
    o.max_tokens = 64;
    if (add_document(session, row) != VLQA_OK ||
        vlqa_ask(session, json_text(json_get(row, "question")), &o, &answer, sizeof answer) !=
            VLQA_OK) {
        CHECK_FAIL("line %d: %s", line, vlqa_message(session));
        return;
    }
    check_ids("prompt ids", line, json_get(row, "prompt_ids"), answer.prompt_token,
              answer.tokens_total);
    check_ids("answer ids", line, json_get(row, "answer_ids"), answer.token, answer.n_tokens);
    CHECK_STR(answer.text, json_text(json_get(row, "model_answer")));
    check_logits(line, json_get(row, "first_logits_top8"), answer.logits);
}

TEST(f32_agrees_with_transformers_on_every_prompt)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_engine *engine;
    struct vlqa_session *session = NULL;
    struct env env = {0};
    void *data;
    size_t bytes;
    int lines = 0;
    eo.model = MODEL;
    eo.dtype = VLQA_DTYPE_F32;
    eo.resize = VLQA_RESIZE_PILLOW; /* as the reference */
    REQUIRE(vlqa_engine_open(&eo, &engine) == VLQA_OK);
    REQUIRE(vlqa_session_open(engine, NULL, &session) == VLQA_OK);
    REQUIRE(file_read(&env, MODEL "/check.jsonl", 1 << 24, &data, &bytes) == VLQA_OK);
    for (char *at = data, *end; (end = strchr(at, '\n')); at = end + 1) {
        struct json_doc *doc;
        if (lines++ % STRIDE) continue;
        REQUIRE(json_parse(&env, "check.jsonl", at, (size_t)(end - at), 1 << 24, &doc) == VLQA_OK);
        check_row(session, json_root(doc), lines);
        json_free(doc);
    }
    CHECK_EQ(lines, 202);
    heap_free(data);
    vlqa_session_close(session);
    vlqa_engine_close(engine);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
