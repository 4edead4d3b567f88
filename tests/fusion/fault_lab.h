/* fault_lab.h - a question of several ranks, one of which has a fault in some phase. */
#ifndef TESTS_FUSION_FAULT_LAB_H
#define TESTS_FUSION_FAULT_LAB_H

#include "tests/fusion/ranks_lab.h"

#define RANKS 3 /* at most */

static struct fault {
    int rank;          /* that has it */
    const char *phase; /* NULL: none */
    int signal;        /* that it raises then; 0: it returns nonzero */
} fault;
static int this_rank;
static enum reuse asked = REUSE_INFOFLOW;
static const char *cache; /* a directory; NULL: no cache */

static const char words[] = "The note says: A means Apples and B means Bananas, sold in the north.";

static inline int progress(void *user, const char *phase, int64_t done, int64_t total)
{
    (void)user, (void)done, (void)total;
    if (!fault.phase || this_rank != fault.rank || strcmp(phase, fault.phase) != 0) return 0;
    if (!fault.signal) return 1;
    fault.phase = NULL; /* once: a process that was stopped goes on */
    return raise(fault.signal);
}

/* ---- a rank's calls ---- */

static inline vlqa_status open_engine(struct vlqa_ranks *ranks, struct vlqa_engine **out)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    this_rank = vlqa_ranks_rank(ranks);
    o.model = MODEL;
    o.threads = 1;
    o.ranks = ranks;
    o.cache_dir = cache;
    o.no_cache = !cache;
    o.progress = progress;
    return vlqa_engine_open(&o, out);
}

static inline vlqa_status open_session(struct vlqa_engine *engine, struct vlqa_session **out)
{
    struct vlqa_session_options o = session_options();
    o.max_seq_len = 640;
    o.progress = progress;
    return vlqa_session_open(engine, &o, out);
}

static inline vlqa_status add_documents(struct vlqa_session *s)
{
    TRY(vlqa_session_clear(s));
    TRY(vlqa_add_image_file(s, CHART("february")));
    TRY(vlqa_add_text(s, words, sizeof words - 1));
    return vlqa_add_image_file(s, CHART("cows"));
}

static inline struct vlqa_ask_options options_of_question(void)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.max_tokens = 6;
    o.ignore_eos = 1;
    o.halo = CHART_HALO;
    o.chunk_text_tokens = 8;
    set_reuse(&o, asked);
    return o;
}

static inline vlqa_status ask(struct vlqa_session *s, struct outcome *out)
{
    struct vlqa_ask_options o = options_of_question();
    struct vlqa_answer a;
    TRY(vlqa_ask(s, QUESTION, &o, &a, sizeof a));
    take_answer(&a, out);
    return VLQA_OK;
}

static inline void take_message(struct outcome *out, vlqa_status status, const char *message)
{
    out->status = status;
    snprintf(out->message, sizeof out->message, "%s", message);
}

/* One question, from the beginning. */
static inline void whole(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine *engine = NULL;
    struct vlqa_session *s = NULL;
    vlqa_status status = open_engine(ranks, &engine);
    take_message(out, status, vlqa_engine_message(engine));
    if (status == VLQA_OK) {
        status = open_session(engine, &s);
        if (status == VLQA_OK) status = add_documents(s);
        if (status == VLQA_OK) status = ask(s, out);
        take_message(out, status, vlqa_message(s));
    }
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

/* ---- what it is compared with ---- */

struct lab {
    char dir[64];
    struct outcome *cold, *rank; /* [1], [RANKS] */
};

static inline int lab_open(struct lab *lab)
{
    fault = (struct fault){0};
    cache = NULL;
    *lab = (struct lab){"/tmp/vlqa-ranks-XXXXXX", outcomes(1), outcomes(RANKS)};
    if (!mkdtemp(lab->dir) || !lab->cold || !lab->rank) return 0;
    on_ranks(0, whole, lab->cold);
    CHECK_STR(lab->cold->message, "");
    return lab->cold->n_tokens > 0;
}

static inline void lab_close(struct lab *lab)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", lab->dir);
    CHECK(system(command) == 0);
    munmap(lab->cold, sizeof *lab->cold);
    munmap(lab->rank, RANKS * sizeof *lab->rank);
}

#endif
