/* test_warm.c - many questions over many pictures: where chunks come from and how many threads work
 * changes no bit and no word. */
#include "fusion/session/session.h"

#include "base/heap.h"
#include "tests/check.h"
#include "tests/fusion/default_model.h"
#include "tests/fusion/options.h"

#include <unistd.h>

/* Under a sanitizer a question takes some twenty times as long; what it watches for shows with few
 * pictures as well. */
#define PICTURES (VLQA_SANITIZED ? 1 : 20) /* of assets/samples */
#define QUESTIONS 10                       /* of a picture */
#define ROWS 36                            /* of a picture, at most: keeps 1200 answers short */
#define N_ASKED (PICTURES * QUESTIONS)
#define TEXT 128

static const char *const questions[QUESTIONS] = {"What is the value of Sales?",
                                                 "What is the value of February?",
                                                 "Which one is the largest?",
                                                 "Which one is the smallest?",
                                                 "What is the title?",
                                                 "Is Eggs greater than Sales?",
                                                 "What is the difference between Eggs and Sales?",
                                                 "How many bars are there?",
                                                 "Which colour is the first?",
                                                 "Name the last one."};

/* Over the same four cells of a picture. */
static const enum reuse plans[] = {REUSE_INFOFLOW, REUSE_PROPHET, REUSE_EPIC, REUSE_NONE,
                                   REUSE_CACHEBLEND};
#define N_PLANS 5

enum source { COLD, RAM, DISK, N_SOURCES }; /* of the chunks */

struct said {
    char text[TEXT];
    float logits[VOCAB];
};

struct books { /* engines over one folder of records */
    struct vlqa_engine *engine[N_SOURCES];
    struct vlqa_session *session[N_SOURCES];
};

static int books_open(struct books *b, int threads, const char *dir)
{
    for (int i = 0; i < N_SOURCES; i++) {
        struct vlqa_engine_options eo = vlqa_engine_options_default();
        struct vlqa_session_options so = session_options();
        eo.model = MODEL;
        eo.threads = threads;
        eo.no_cache = i == COLD;
        eo.cache_dir = dir;
        eo.image_max_tokens = ROWS;
        eo.cache_ram_bytes = i == DISK; /* a byte: nothing stays but what is pinned */
        so.max_seq_len = 512;
        b->session[i] = NULL;
        if (vlqa_engine_open(&eo, &b->engine[i]) != VLQA_OK ||
            vlqa_session_open(b->engine[i], &so, &b->session[i]) != VLQA_OK) {
            CHECK_FAIL("%s %s", vlqa_engine_message(b->engine[i]), vlqa_message(b->session[i]));
            return 0;
        }
    }
    return 1;
}

static void books_close(struct books *b)
{
    for (int i = 0; i < N_SOURCES; i++) {
        vlqa_session_close(b->session[i]);
        vlqa_engine_close(b->engine[i]);
    }
}

static void show(struct books *b, int picture)
{
    char path[256];
    snprintf(path, sizeof path, "%s/assets/samples/%03d.png", VLQA_SOURCE_DIR, picture);
    if (access(path, F_OK) != 0) /* two pictures: the first */
        snprintf(path, sizeof path, "%s/assets/samples/%03da.png", VLQA_SOURCE_DIR, picture);
    for (int i = 0; i < N_SOURCES; i++) {
        CHECK(vlqa_session_clear(b->session[i]) == VLQA_OK);
        if (vlqa_add_image_file(b->session[i], path) != VLQA_OK)
            CHECK_FAIL("%s: %s", path, vlqa_message(b->session[i]));
    }
}

static struct vlqa_answer ask(struct vlqa_session *s, int question, struct said *out)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a = {0};
    o.halo = CHART_HALO;
    o.max_tokens = 3;
    o.ignore_eos = 1;
    set_reuse(&o, plans[question % N_PLANS]);
    o.chunker = VLQA_CHUNK_GRID;
    if (vlqa_ask(s, questions[question], &o, &a, sizeof a) != VLQA_OK) {
        CHECK_FAIL("%s: %s", questions[question], vlqa_message(s));
        return a;
    }
    snprintf(out->text, sizeof out->text, "%s", a.text);
    memcpy(out->logits, a.logits, sizeof out->logits);
    return a;
}

static void ask_all(struct books *b, int picture, int question, int first, struct said *expected)
{
    for (int i = 0; i < N_SOURCES; i++) {
        struct said said;
        struct vlqa_answer a = ask(b->session[i], question, &said);
        if (i == RAM) /* its records are written behind the answer, and DISK is to hit them */
            CHECK(vlqa_cache_flush(b->engine[i]) == VLQA_OK);
        if (first && i == COLD) *expected = said;
        if (strcmp(said.text, expected->text) != 0)
            CHECK_FAIL("picture %d, question %d, source %d: \"%s\", expected \"%s\"", picture,
                       question, i, said.text, expected->text);
        CHECK(memcmp(said.logits, expected->logits, sizeof said.logits) == 0);
        CHECK_EQ(a.chunks_computed, i == COLD || (i == RAM && first && question == 0) ? 4 : 0);
        CHECK_EQ(a.chunks_disk, i == DISK || (i == RAM && !first && question == 0) ? 4 : 0);
    }
}

TEST(chunks_from_anywhere_on_any_threads_give_the_same_answers)
{
    char dir[] = "/tmp/vlqa-test-XXXXXX", command[64];
    struct said *expected = heap_alloc((size_t)N_ASKED * sizeof *expected);
    REQUIRE(mkdtemp(dir));
    for (int threads = 1; threads <= 2; threads++) {
        struct books b;
        REQUIRE(books_open(&b, threads, dir));
        for (int i = 0; i < N_ASKED; i++) {
            if (i % QUESTIONS == 0) show(&b, i / QUESTIONS);
            ask_all(&b, i / QUESTIONS, i % QUESTIONS, threads == 1, &expected[i]);
        }
        books_close(&b);
    }
    heap_free(expected);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
