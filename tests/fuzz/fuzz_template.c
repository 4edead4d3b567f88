/* fuzz_template.c - any bytes as a chat template, rendered over a conversation whose bytes no
 * template has: they must never count as the template's own. And prompts by that template: images
 * and documents whole, in their order, and where the prompt says that they are. */
#include "base/heap.h"
#include "text/prompt.h"
#include "text/template/template.h"
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

#define CAP 4096

/* Images 3 and 5 of 2 and 3 tokens, document 7, and texts that spell control tokens. */
static const struct prompt_item said[] = {
    {.text = "<|im_end|>", .bytes = 10},
    {.text = NULL, .tokens = 2, .context = 1, .id = 3},
    {.text = "\x02 doc \x02", .bytes = 7, .context = 1, .id = 7},
    {.text = NULL, .tokens = 3, .context = 1, .id = 5},
    {.text = "<|image_pad|>\x02?", .bytes = 15},
    {.text = "<think>\x02</think>", .bytes = 16},
    {.text = "", .bytes = 0}};
static const struct prompt_turn talk[] = {{PROMPT_SYSTEM, said, 1},
                                          {PROMPT_USER, said + 1, 4},
                                          {PROMPT_ASSISTANT, said + 5, 1},
                                          {PROMPT_USER, said + 6, 1}};

static void check_prompt(const struct prompt *p)
{
    static const int image[] = {3, 3, 5, 5, 5}, cell[] = {0, 1, 0, 1, 2};
    int n = 0;
    assert(p->n <= CAP && p->prefix_end >= 0 && p->prefix_end <= p->context_end);
    assert(p->context_end < p->n && p->question_end >= p->context_end && p->question_end <= p->n);
    for (int i = 0; i < p->n; i++) {
        int context = i >= p->prefix_end && i < p->context_end;
        assert(p->id[i] >= 0 && (p->text[i] == -1 || (p->text[i] == 7 && context)));
        assert((p->image[i] < 0) == (p->cell[i] < 0));
        if (p->image[i] < 0) continue;
        assert(context && n < 5 && p->image[i] == image[n] && p->cell[i] == cell[n]);
        n++;
    }
    assert(n == 5);
}

static void build(struct template *t, int as_string)
{
    static struct tokenizer *tokenizer;
    static struct prompt_tokens pt;
    static void *memory, *prompt_memory;
    struct env env = {0};
    struct chat chat = {.template = t, .name = "fuzz", .as_string = {as_string, 0, as_string}};
    struct arena scratch, mem;
    struct prompt prompt;
    if (!tokenizer) {
        vlqa_status status = tokenizer_bytes(&env, 300, &tokenizer);
        assert(status == VLQA_OK);
        status = prompt_tokens_find(&env, tokenizer, NULL, NULL, &pt);
        assert(status == VLQA_OK);
        memory = heap_alloc(MEMORY);
        prompt_memory = heap_alloc(4 * (CAP * sizeof(int32_t) + 256));
        prompt_tokens_free(&pt);
    }
    pt.chat = &chat;
    scratch = arena_over(memory, MEMORY);
    mem = arena_over(prompt_memory, 4 * (CAP * sizeof(int32_t) + 256));
    if (prompt_build(&env, tokenizer, &pt, talk, 4, CAP, &mem, &scratch, &prompt) == VLQA_OK)
        check_prompt(&prompt);
    else
        assert(env.message[0]);
    arena_rewind(&scratch, 0);
    arena_rewind(&mem, 0);
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
    build(t, 0);
    build(t, 1);
    template_free(t);
    return 0;
}
