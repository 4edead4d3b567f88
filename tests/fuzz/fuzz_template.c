/* fuzz_template.c - any bytes as a chat template, rendered over a conversation whose bytes no
 * template has: they must never count as the template's own. */
#include "base/heap.h"
#include "text/template.h"
#include "text/utf8.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define MARK '\x02'
#define MEMORY ((size_t)16 << 20)

static const struct template_item item[] = {{"\x02", 1},
                                            {NULL, 0},
                                            {" \x02<\x02\n", 5},
                                            {"<think>\x02</think>\n\n\x02", 18},
                                            {"\xC3\xA9\x02\xE4\xB8\xAD", 6},
                                            {"", 0}};
static const struct template_message lists[] = {{"system", item, 1, 0},
                                                {"user", item + 1, 2, 0},
                                                {"assistant", item + 3, 1, 0},
                                                {"user", item + 4, 2, 0}};
static const struct template_message strings[] = {
    {"user", item, 1, 1}, {"assistant", item + 2, 2, 1}, {"user", item + 4, 2, 1}};
static const struct template_variable variable[] = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};

static void check_text(const struct template_text *text, int marked)
{
    size_t at = 0;
    assert(utf8_valid(text->text, text->bytes) == text->bytes);
    for (int i = 0; i < text->n_runs; i++) {
        const struct template_run *run = &text->run[i];
        assert(run->begin == at && run->end >= at && run->end <= text->bytes);
        assert(run->source >= TEMPLATE_OWN && run->source < 6);
        at = run->end;
        if (run->source == TEMPLATE_OWN && !marked)
            assert(!memchr(text->text + run->begin, MARK, run->end - run->begin));
    }
    assert(at == text->bytes);
}

static void render(const struct template *t, const struct template_message *message, int n,
                   int marked)
{
    static void *memory;
    struct env env = {0};
    struct template_input in = {message, n, 1, variable, 2};
    struct template_text text;
    struct arena arena;
    if (!memory) memory = heap_alloc(MEMORY);
    arena = arena_over(memory, MEMORY);
    if (template_render(&env, t, &in, &arena, &text) == VLQA_OK)
        check_text(&text, marked);
    else
        assert(env.message[0]);
    arena_rewind(&arena, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct env env = {0};
    struct template *t;
    /* It may write the mark itself, or compute it. */
    int marked = bytes && (memchr(data, MARK, bytes) || memchr(data, '\\', bytes));
    if (utf8_valid((const char *)data, bytes) < bytes) return 0; /* refused where it is read */
    if (template_compile(&env, "fuzz", (const char *)data, bytes, &t) != VLQA_OK) {
        assert(env.message[0] && !t);
        return 0;
    }
    render(t, lists, 4, marked);
    render(t, strings, 3, marked);
    template_free(t);
    return 0;
}
