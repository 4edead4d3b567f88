/* tokenizer_lab.h - what tests of the tokenizer share: texts in, ids out, files. */
#ifndef TESTS_TEXT_TOKENIZER_LAB_H
#define TESTS_TEXT_TOKENIZER_LAB_H

#include "base/heap.h"
#include "tests/check.h"
#include "text/tokenizer.h"

#include <sys/stat.h>

static struct env env;

/* Ids of a text, with scratch of exactly tokenizer_scratch. */
struct ids {
    int32_t *id;
    int n;
    vlqa_status status;
};

static inline struct ids encode(const struct tokenizer *t, const char *text, size_t bytes,
                                int special)
{
    size_t scratch_bytes = tokenizer_scratch(bytes);
    void *memory = heap_alloc(scratch_bytes);
    struct arena scratch = arena_over(memory, scratch_bytes);
    int cap = (int)bytes * 3 + 1;
    struct ids out = {malloc((size_t)cap * sizeof(int32_t)), 0, VLQA_OK};
    out.status = (special ? tokenizer_encode_special
                          : tokenizer_encode)(&env, t, text, bytes, &scratch, out.id, cap, &out.n);
    CHECK_EQ(scratch.used, 0);
    arena_rewind(&scratch, 0);
    heap_free(memory);
    return out;
}

static inline void check_ids(const struct tokenizer *t, const char *text, size_t bytes, int special,
                             const int32_t *expected, int n)
{
    struct ids found = encode(t, text, bytes, special);
    int at = 0;
    if (found.status != VLQA_OK) CHECK_FAIL("%.60s: %s", text, env.message);
    while (at < n && at < found.n && found.id[at] == expected[at])
        at++;
    if (found.n != n || at < n)
        CHECK_FAIL("\"%.*s\": %d ids, expected %d; first difference at %d", (int)bytes, text,
                   found.n, n, at);
    free(found.id);
}

/* Repeats of a part, bytes long at most. */
static inline char *repeat(const char *part, size_t bytes, size_t *got)
{
    size_t length = strlen(part);
    char *text = malloc(bytes + length);
    for (*got = 0; *got + length <= bytes; *got += length)
        memcpy(text + *got, part, length);
    return text;
}

/* ---- files of a tokenizer; each test program has a folder of its own ---- */

static inline void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(data, 1, bytes, out) != bytes) CHECK_FAIL("cannot write %s", path);
    if (out) fclose(out);
}

/* Makes dir, without such files in it. */
static inline void remove_files(const char *dir)
{
    static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt",
                                        "tokenizer_config.json"};
    char path[1024];
    mkdir(dir, 0777);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        remove(path);
    }
}

#endif
