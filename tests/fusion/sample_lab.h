/* sample_lab.h - the default model over charts: what tests of questions and chunks share. */
#ifndef TESTS_FUSION_SAMPLE_LAB_H
#define TESTS_FUSION_SAMPLE_LAB_H

#include "fusion/session/session.h"
#include "tests/check.h"
#include "tests/fusion/default_model.h"
#include "tests/fusion/options.h"

#define QUESTION "What is the value of February?"

struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
};

static inline struct vlqa_session *session_of(struct vlqa_engine *engine, int max_seq_len)
{
    struct vlqa_session_options so = session_options();
    struct vlqa_session *session;
    so.max_seq_len = max_seq_len;
    if (vlqa_session_open(engine, &so, &session) != VLQA_OK)
        CHECK_FAIL("session: %s", vlqa_message(session));
    return session;
}

/* An engine for MODEL with these options, and a session. */
static inline int run_start(struct run *r, struct vlqa_engine_options eo, int max_seq_len)
{
    eo.model = MODEL;
    r->session = NULL;
    if (vlqa_engine_open(&eo, &r->engine) != VLQA_OK)
        CHECK_FAIL("engine: %s", vlqa_engine_message(r->engine));
    else
        r->session = session_of(r->engine, max_seq_len);
    return !check_failures;
}

static inline void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
}

static inline void add_image(struct vlqa_session *s, const char *path)
{
    CHECK(vlqa_add_image_file(s, path) == VLQA_OK);
}

static inline void add_text(struct vlqa_session *s, const char *text)
{
    CHECK(vlqa_add_text(s, text, strlen(text)) == VLQA_OK);
}

#endif
