/* fixture.h - damaged copies of a model directory, and a small model to play with, for tests. */
#ifndef TESTS_FUSION_FIXTURE_H
#define TESTS_FUSION_FIXTURE_H

#include "include/vlqa.h"
#include "tests/fusion/options.h"

#define FIXTURE_GOLDEN VLQA_SOURCE_DIR "/tests/golden/"
#define FIXTURE_TIED FIXTURE_GOLDEN "tied64"
#define FIXTURE_VOCAB 320 /* of tied64 */
#define FIXTURE_PICTURE FIXTURE_GOLDEN "images/down.png"
#define FIXTURE_QUESTION "What is in the chart?"

struct fixture { /* a directory of links to the files of a model, in which some are replaced */
    char dir[256];
};

/* Nonzero: done. What the functions below cannot do is a broken test: they abort. */
int fixture_open(struct fixture *f, const char *model);
void fixture_close(struct fixture *f);
/* The path of a file in the directory; valid until the next call. */
const char *fixture_path(const struct fixture *f, const char *file);
void fixture_remove(const struct fixture *f, const char *file);
void fixture_write(const struct fixture *f, const char *file, const void *data, size_t bytes);
/* The whole file and its size; one NUL behind it. free() it. */
char *fixture_read(const struct fixture *f, const char *file, size_t *bytes);
/* Puts `to` where `from` stands; it must stand there exactly once. */
void fixture_replace(const struct fixture *f, const char *file, const char *from, const char *to);
/* The same, everywhere, in a text file or the header of a safetensors file. */
void fixture_replace_all(const struct fixture *f, const char *file, const char *from,
                         const char *to);
void fixture_rename_tensors(const struct fixture *f, const char *file, const char *from,
                            const char *to);
/* Appends a tensor to a safetensors file; shape as in "[2,3]". */
void fixture_add_tensor(const struct fixture *f, const char *file, const char *name,
                        const char *dtype, const char *shape, const void *data, size_t bytes);

/* An engine of tied64 with one session. Set options and threads before run_open. */
struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    struct vlqa_session_options so;
    int threads, no_cache;
};

struct run run_new(void);    /* one thread, default options */
int run_open(struct run *r); /* nonzero: open; else the reason is on stderr */
void run_close(struct run *r);
/* Options of exactly so many tokens: the model's end of turn does not end them. */
struct vlqa_ask_options run_ask(int max_tokens);
vlqa_status run_text(struct vlqa_session *s, const char *text);
/* The logits of the first token. Nonzero: there; else the reason is on stderr. */
int run_logits(struct vlqa_session *s, const char *question, float logits[FIXTURE_VOCAB]);
/* Logits of FIXTURE_QUESTION in a fresh session with FIXTURE_PICTURE in it; and whether a session
 * that has been through something and has that picture in it still gives them, to the bit. */
const float *run_undisturbed(void);
int run_is_undisturbed(struct vlqa_session *s);

/* The tokens of an answer's prompt as text: <|im_start|> and <|im_end|> by name, other control
 * tokens as nothing. Returns its bytes; out is cut at cap and ends with NUL. */
size_t run_prompt(const struct run *r, const struct vlqa_answer *a, char *out, size_t cap);

/* Opens with one thread; the engine also when that failed, for its message. */
vlqa_status fixture_engine(const char *model, enum vlqa_dtype dtype, struct vlqa_engine **out);

#endif
