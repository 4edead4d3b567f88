/* test_passage.c - texts and where they are to be cut. */
#include "fusion/layout/passage.h"

#include "base/heap.h"
#include "tests/check.h"
#include "tests/fusion/default_model.h"

#define MOST 512

static struct env env;
static int32_t ids[MOST], image[MOST], cell[MOST], text[MOST];
static uint8_t begins[MOST];

/* Appends a document, or with number -1 plain tokens. */
static void put(const struct tokenizer *t, struct prompt *p, const char *utf8, int number)
{
    size_t bytes = strlen(utf8), cap = tokenizer_scratch(bytes);
    void *block = heap_alloc(cap);
    struct arena scratch = arena_over(block, cap);
    int n = 0;
    CHECK(tokenizer_encode(&env, t, utf8, bytes, &scratch, ids + p->n, MOST - p->n, &n) == VLQA_OK);
    for (int i = 0; i < n; i++)
        text[p->n++] = number;
    heap_free(block);
}

/* The tokens' text with a | in front of those that begin a passage. */
static const char *cut(const struct tokenizer *t, const struct prompt *p)
{
    static char out[4096];
    size_t used = 0;
    passage_mark(t, p, begins);
    for (int i = 0; i < p->n; i++) {
        size_t bytes;
        const char *bytes_of = tokenizer_token_bytes(t, p->id[i], &bytes);
        if (begins[i]) out[used++] = '|';
        memcpy(out + used, bytes_of, bytes);
        used += bytes;
    }
    out[used] = 0;
    return out;
}

static struct prompt empty(void)
{
    return (struct prompt){.id = ids, .image = image, .cell = cell, .text = text};
}

static void check_cuts(const struct tokenizer *t)
{
    static const char *const cases[][2] = {
        {"one line", "one line"},
        {"a\nb\nc", "a\nb\nc"},
        {"a b\n\nc d", "a b\n\n|c d"},
        {"a.\n\nc.\n\n\n\nd", "a.\n\n|c.\n\n\n\n|d"},
        {"a\n \t\nb", "a\n \t\n|b"},
        {"a\r\n\r\nb", "a\r\n\r\n|b"},
        {"\n\na\n\n", "\n\na\n\n"},
        {"Passage 1:\nA\nPassage 2:\nB", "Passage 1:\nA\n|Passage 2:\nB"},
        {"Passage 1:\nA\n\nPassage 2:\n\nB", "Passage 1:\nA\n\n|Passage 2:\n\n|B"},
        {"see Passage 1\nPassages\nPassage", "see Passage 1\nPassages\nPassage"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prompt p = empty();
        put(t, &p, cases[i][0], 0);
        CHECK_STR(cut(t, &p), cases[i][1]);
    }
}

TEST(passages_begin_behind_blank_lines_and_at_headings)
{
    struct tokenizer *t;
    REQUIRE(tokenizer_load(&env, MODEL, VOCAB, &t) == VLQA_OK);
    check_cuts(t);
    tokenizer_free(t);
}

/* A blank line is one token there, two here. */
TEST(the_same_by_single_bytes)
{
    struct tokenizer *t;
    REQUIRE(tokenizer_bytes(&env, VOCAB, &t) == VLQA_OK);
    check_cuts(t);
    tokenizer_free(t);
}

TEST(documents_are_read_by_themselves_and_other_rows_not_at_all)
{
    struct tokenizer *t;
    struct prompt p = empty();
    REQUIRE(tokenizer_load(&env, MODEL, VOCAB, &t) == VLQA_OK);
    put(t, &p, "plain\n\nrows", -1);
    put(t, &p, "a\n\n", 0);
    put(t, &p, "b\n", 1);
    put(t, &p, "Passage 1\n\nc", 2);
    put(t, &p, "\n\nmore", -1);
    CHECK_STR(cut(t, &p), "plain\n\nrowsa\n\nb\nPassage 1\n\n|c\n\nmore");
    tokenizer_free(t);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
