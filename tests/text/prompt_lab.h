/* prompt_lab.h - what tests of the prompt share: a tokenizer, turns, and memory for one prompt. */
#ifndef TESTS_TEXT_PROMPT_LAB_H
#define TESTS_TEXT_PROMPT_LAB_H

#include "base/heap.h"
#include "base/json.h"
#include "tests/check.h"
#include "text/prompt.h"

#include <sys/stat.h>

#define SHARED VLQA_SOURCE_DIR "/../shared"
#define STARTER SHARED "/starter-model"
#define CAP 1024
#define USER(...) TURN(PROMPT_USER, __VA_ARGS__)

static struct env env;
static struct tokenizer *bytes_tokenizer;

/* A tokenizer, its control tokens and memory for one prompt at a time. */
struct desk {
    const struct tokenizer *t;
    struct prompt_tokens pt;
    void *memory, *work;
    struct arena mem, scratch;
    struct prompt p;
};

static inline struct desk desk_open(const struct tokenizer *t)
{
    struct desk d = {.t = t};
    size_t mem_bytes = 4 * (CAP * sizeof(int32_t) + 256);
    if (prompt_tokens_find(&env, t, NULL, NULL, &d.pt) != VLQA_OK) CHECK_FAIL("%s", env.message);
    d.memory = heap_alloc(mem_bytes);
    d.mem = arena_over(d.memory, mem_bytes);
    return d;
}

static inline void desk_close(struct desk *d)
{
    arena_rewind(&d->mem, 0);
    heap_free(d->memory);
    prompt_tokens_free(&d->pt);
}

/* What rendering these turns takes: their texts and, for each, what the template adds at most. */
static inline size_t prompt_scratch(const struct prompt_turn *turn, int n_turns)
{
    struct arena dry = {0};
    size_t bytes = 32;
    int items = 0;
    for (int i = 0; i < n_turns; i++) {
        bytes += 32;
        items += turn[i].n_items;
        for (int j = 0; j < turn[i].n_items; j++)
            bytes += turn[i].item[j].text ? turn[i].item[j].bytes : 0;
    }
    prompt_measure(bytes, items, &dry);
    return dry.peak;
}

/* With exactly that. */
static inline vlqa_status build(struct desk *d, const struct prompt_turn *turn, int n_turns,
                                int cap)
{
    size_t bytes = prompt_scratch(turn, n_turns);
    void *memory = heap_alloc(bytes);
    struct arena scratch = arena_over(memory, bytes);
    vlqa_status status;
    arena_rewind(&d->mem, 0);
    status = prompt_build(&env, d->t, &d->pt, turn, n_turns, cap, &d->mem, &scratch, &d->p);
    CHECK_EQ(scratch.used, 0);
    arena_rewind(&scratch, 0);
    heap_free(memory);
    return status;
}

static inline const struct tokenizer *byte_tokens(void)
{
    if (!bytes_tokenizer && tokenizer_bytes(&env, 300, &bytes_tokenizer) != VLQA_OK)
        CHECK_FAIL("%s", env.message);
    return bytes_tokenizer;
}

static inline long file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

/* Qwen3's own with its file edited by a sed script, or NULL. */
static inline struct tokenizer *load_qwen(const char *script)
{
    struct tokenizer *t = NULL;
    char command[1024];
    mkdir(WORK, 0777);
    snprintf(command, sizeof command, "xz -dc '%s' 2>/dev/null | sed '%s' > '%s'",
             SHARED "/tokenizer/qwen3-tokenizer.json.xz", script, WORK "/tokenizer.json");
    if (system(command) == 0 && file_bytes(WORK "/tokenizer.json") > 0 &&
        tokenizer_load(&env, WORK, 151936, &t) != VLQA_OK)
        CHECK_FAIL("%s", env.message);
    remove(WORK "/tokenizer.json");
    return t;
}

/* Loaded once, left to the end of the process. */
static inline const struct tokenizer *qwen(void)
{
    static struct tokenizer *t;
    static int tried;
    if (!tried++) t = load_qwen("");
    return t;
}

#define REQUIRE_QWEN() \
    if (!qwen()) SKIP("no ../shared/tokenizer, or no xz")

static inline struct prompt_item text(const char *s)
{
    return (struct prompt_item){.text = s, .bytes = strlen(s)};
}

static inline struct prompt_item image(int rows)
{
    return (struct prompt_item){.tokens = rows};
}

static inline struct prompt_item context(struct prompt_item item)
{
    item.context = 1;
    return item;
}

static inline struct prompt_item with_id(struct prompt_item item, int id)
{
    item.id = id;
    return item;
}

#define ITEMS(...)               \
    (const struct prompt_item[]) \
    {                            \
        __VA_ARGS__              \
    }
#define TURN(role, ...)                                                                          \
    {                                                                                            \
        role, ITEMS(__VA_ARGS__), (int)(sizeof(ITEMS(__VA_ARGS__)) / sizeof(struct prompt_item)) \
    }

static inline void check_rows(const struct prompt *p, const int32_t *expected, int n)
{
    CHECK_EQ(p->n, n);
    for (int i = 0; i < n && i < p->n; i++)
        if (p->id[i] != expected[i])
            CHECK_FAIL("token %d is %d, expected %d", i, p->id[i], expected[i]);
}

#define CHECK_ROWS(p, ...)                        \
    check_rows(p, (const int32_t[]){__VA_ARGS__}, \
               (int)(sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

#endif
