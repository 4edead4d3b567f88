/* test_prompt_template.c - prompts by chat templates of checkpoints: as tokens, with what a person
 * wrote apart, from the files where transformers looks. */
#define WORK VLQA_BINARY_DIR "/test_prompt_template"

#include "tests/text/prompt_lab.h"

/* ---- templates of checkpoints ---- */

#define TIED VLQA_SOURCE_DIR "/tests/golden/tied64"
#define GOLDEN VLQA_SOURCE_DIR "/tests/golden/"

/* A desk over a template that is written to a file. */
static vlqa_status desk_with(struct desk *d, const struct tokenizer *t, const char *source)
{
    size_t mem_bytes = 4 * (CAP * sizeof(int32_t) + 256);
    FILE *out;
    mkdir(WORK, 0777);
    out = fopen(WORK "/own.jinja", "w");
    CHECK(out && fputs(source, out) >= 0 && fclose(out) == 0);
    *d = (struct desk){.t = t, .memory = heap_alloc(mem_bytes)};
    d->mem = arena_over(d->memory, mem_bytes);
    return prompt_tokens_find(&env, t, NULL, WORK "/own.jinja", &d->pt);
}

/* Ids as text, control tokens and images by their names. */
static const char *as_text(const struct desk *d)
{
    static char out[8192];
    char *at = out;
    for (int i = 0; i < d->p.n; i++) {
        size_t bytes;
        int32_t id = d->p.id[i];
        const char *text = tokenizer_token_bytes(d->t, id, &bytes);
        if (d->p.image[i] >= 0)
            at += sprintf(at, "<%d>", d->p.image[i]);
        else if (bytes)
            at += sprintf(at, "%.*s", (int)bytes, text);
        else
            at += sprintf(at, "%s",
                          id == d->pt.im_start       ? "<|im_start|>"
                          : id == d->pt.im_end       ? "<|im_end|>"
                          : id == d->pt.vision_start ? "<|vision_start|>"
                          : id == d->pt.vision_end   ? "<|vision_end|>"
                                                     : "<|other|>");
    }
    *at = 0;
    return out;
}

/* Public report: a template with a default system text and a line feed behind the image. It was
 * searched for <think>, and the built-in one was rendered. */
TEST(template_of_the_model_is_not_ignored)
{
    const struct prompt_turn turn[] = {USER(with_id(context(image(2)), 0), text("Q"))};
    struct desk d;
    REQUIRE(
        desk_with(&d, byte_tokens(),
                  "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n"
                  "{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
                  "{% for c in m.content %}{% if c.type == 'image' %}"
                  "<|vision_start|><|image_pad|><|vision_end|>\n{% else %}{{ c.text }}"
                  "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
                  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}") == VLQA_OK);
    REQUIRE(build(&d, turn, 1, CAP) == VLQA_OK);
    CHECK_STR(as_text(&d), "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n"
                           "<|vision_start|><0><0><|vision_end|>\nQ<|im_end|>\n"
                           "<|im_start|>assistant\n");
    CHECK_EQ(d.p.prefix_end, 1 + 7 + 8 + 2 + 1 + 5 + 1);
    CHECK_EQ(d.p.context_end, d.p.prefix_end + 3);
    CHECK_EQ(d.p.question_end, d.p.context_end + 2);
    desk_close(&d);
}

/* What a person wrote never becomes a control token, wherever a template puts it. */
TEST(text_never_becomes_a_control_token_of_any_template)
{
    static const char *const spelled[] = {"<|im_end|>", "<|im_", "end|>", "<|image_pad|>", "|>"};
    struct desk d;
    REQUIRE_QWEN();
    REQUIRE(desk_with(&d, qwen(),
                      "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\n' }}"
                      "{{ (m.content ~ '<|im_end|>') | replace('\t', '<|im_end|>') | trim }}"
                      "{{ '<|im_' ~ m.content ~ 'end|>' }}{% endfor %}") == VLQA_OK);
    for (size_t i = 0; i < sizeof spelled / sizeof *spelled; i++) {
        const struct prompt_turn turn[] = {USER(text(spelled[i]), text("x"))};
        int n_control = 0;
        REQUIRE(build(&d, turn, 1, CAP) == VLQA_OK);
        for (int k = 0; k < d.p.n; k++)
            n_control += tokenizer_is_special(qwen(), d.p.id[k]);
        CHECK_EQ(n_control, 2);
    }
    desk_close(&d);
}

TEST(placeholders_of_the_template_stand_for_images_in_their_order)
{
    const struct prompt_turn turn[] = {
        USER(with_id(context(image(1)), 4), text("a"), with_id(context(image(2)), 2), text("b")),
        TURN(PROMPT_ASSISTANT, text("c")), USER(with_id(context(image(1)), 7), text("d"))};
    const struct prompt_turn words[] = {USER(text("a"))};
    struct desk d;
    REQUIRE(desk_with(&d, byte_tokens(),
                      "{% for m in messages %}{% for c in m.content if c.type == 'image' %}"
                      "[<|image_pad|>]{% endfor %}{% for c in m.content if 'text' in c %}"
                      "{{ c.text }}{% endfor %};{% endfor %}!") == VLQA_OK);
    REQUIRE(build(&d, turn, 3, CAP) == VLQA_OK);
    CHECK_STR(as_text(&d), "[<4>][<2><2>]ab;c;[<7>]d;!");
    CHECK_EQ(d.p.prefix_end, 1);
    CHECK_EQ(d.p.context_end, 14);
    desk_close(&d);
    REQUIRE(desk_with(&d, byte_tokens(), "<|image_pad|>{{ messages[0].content[0].text }}") ==
            VLQA_OK);
    CHECK_EQ(build(&d, words, 1, CAP), VLQA_EMODEL);
    CHECK(strstr(env.message, "0 images are in the conversation, the chat template writes "
                              "<|image_pad|> 1 times"));
    desk_close(&d);
    REQUIRE(desk_with(&d, byte_tokens(), "{{ messages[0].content[-1].text }}!") == VLQA_OK);
    CHECK_EQ(build(&d, turn, 1, CAP), VLQA_EMODEL);
    CHECK(strstr(env.message, "2 images are in the conversation"));
    CHECK(strstr(env.message, "own.jinja") && strstr(env.message, "--chat-template FILE"));
    desk_close(&d);
}

TEST(template_without_lists_takes_texts_and_refuses_images)
{
    const struct prompt_turn words[] = {TURN(PROMPT_SYSTEM, text("S")), USER(text("a"), text("b"))};
    const struct prompt_turn picture[] = {USER(context(image(1)), text("a"))};
    struct desk d;
    REQUIRE(desk_with(&d, byte_tokens(),
                      "{% for m in messages %}{{ m.role + ':' + m.content + '\n' }}{% endfor %}") ==
            VLQA_OK);
    REQUIRE(build(&d, words, 2, CAP) == VLQA_OK);
    CHECK_STR(as_text(&d), "system:S\nuser:ab\n");
    CHECK_EQ(build(&d, picture, 1, CAP), VLQA_EMODEL);
    CHECK(strstr(env.message, "the template takes texts, not images"));
    desk_close(&d);
}

TEST(what_the_template_leaves_out_is_no_silent_loss)
{
    const struct prompt_turn turn[] = {TURN(PROMPT_SYSTEM, text("S")), USER(text("a"), text("b"))};
    struct desk d;
    REQUIRE(desk_with(&d, byte_tokens(), "{{ messages[-1].content[0].text }}!") == VLQA_OK);
    CHECK_EQ(build(&d, turn, 2, CAP), VLQA_EMODEL);
    CHECK(strstr(env.message, "does not write a text of the system (turn 0)"));
    CHECK_EQ(build(&d, turn + 1, 1, CAP), VLQA_EMODEL);
    CHECK(strstr(env.message, "does not write a text of the user (turn 0)"));
    desk_close(&d);
    CHECK_EQ(desk_with(&d, byte_tokens(), "{{ nobody + messages[0].content }}"), VLQA_EMODEL);
    CHECK(strstr(env.message, "\"nobody\" is undefined"));
    desk_close(&d);
    CHECK_EQ(desk_with(&d, byte_tokens(), "{{ messages[0].content + '!' + nobody }}"), VLQA_EMODEL);
    CHECK(strstr(env.message, "\"nobody\" is undefined")); /* not that it is given a list first */
    desk_close(&d);
    CHECK_EQ(desk_with(&d, byte_tokens(), "nothing"), VLQA_EMODEL);
    CHECK(strstr(env.message, "the template does not write the text of a question"));
    desk_close(&d);
}

TEST(template_that_refuses_a_conversation_says_why)
{
    const struct prompt_turn turn[] = {TURN(PROMPT_SYSTEM, text("S")), USER(text("a"))};
    struct desk d;
    REQUIRE(
        desk_with(&d, byte_tokens(),
                  "{% if messages[0].role == 'system' %}{{ raise_exception('No system text.') }}"
                  "{% endif %}{{ messages[0].content[0].text }}!") == VLQA_OK);
    CHECK_EQ(build(&d, turn, 2, CAP), VLQA_EUSAGE);
    CHECK(strstr(env.message, "own.jinja, line 1: the chat template refuses this conversation: No "
                              "system text."));
    CHECK_EQ(build(&d, turn + 1, 1, CAP), VLQA_OK);
    desk_close(&d);
}

/* Where a template trims texts, a document is trimmed, too; it is still encoded by itself. */
TEST(documents_are_encoded_by_themselves_in_any_template)
{
    const struct prompt_turn turn[] = {
        USER(with_id(context(text(" foo\n")), 0), with_id(context(text("bar")), 1), text(" Q "))};
    struct desk d;
    REQUIRE_QWEN();
    REQUIRE(desk_with(&d, qwen(),
                      "<|im_start|>{% for c in messages[0].content %}{{ c.text | trim }}"
                      "{% endfor %}<|im_end|>\n") == VLQA_OK);
    REQUIRE(build(&d, turn, 1, CAP) == VLQA_OK);
    CHECK_EQ(d.p.prefix_end, 1);
    CHECK_EQ(d.p.context_end, 3);
    CHECK_EQ(d.p.question_end, 4);
    CHECK_ROWS(&d.p, 151644, 7975, 2257, 48, 151645);
    CHECK(d.p.text[1] == 0 && d.p.text[2] == 1 && d.p.text[3] == -1);
    desk_close(&d);
}

/* ---- golden templates, as tokens ---- */

static int read_talk(const struct json *from, struct prompt_item item[8][8],
                     struct prompt_turn *out)
{
    static const char *const role[] = {"system", "user", "assistant"};
    int n = 0;
    for (const struct json *m = json_first(from); m; m = json_next(m), n++) {
        out[n] = (struct prompt_turn){PROMPT_SYSTEM, item[n], 0};
        while (strcmp(role[out[n].role], json_text(json_get(m, "role"))) != 0)
            out[n].role++;
        for (const struct json *i = json_first(json_get(m, "content")); i; i = json_next(i)) {
            const char *words = json_text(json_get(i, "text"));
            item[n][out[n].n_items++] = words ? text(words) : image(1);
        }
    }
    return n;
}

/* 1: equal ids. 0: refused, by this runtime's own rules or as transformers does. */
static int check_ids(struct desk *d, const struct json *conversation, const struct json *ids,
                     const char *name)
{
    struct prompt_item item[8][8];
    struct prompt_turn turn[8];
    int32_t expected[CAP];
    int n = read_talk(conversation, item, turn), n_ids = 0;
    vlqa_status status = build(d, turn, n, CAP);
    for (const struct json *id = json_first(ids); id && n_ids < CAP; id = json_next(id))
        expected[n_ids++] = (int32_t)json_number(id);
    if (status == VLQA_OK) {
        if (!n_ids) CHECK_FAIL("%s: transformers refuses it", name);
        check_rows(&d->p, expected, n_ids);
        return 1;
    }
    if (n_ids && !strstr(env.message, "only the first may be") &&
        !strstr(env.message, "does not write a text"))
        CHECK_FAIL("%s: %s", name, env.message);
    return 0;
}

TEST(golden_templates_give_the_ids_of_transformers)
{
    static const struct template_variable names[] = {{"bos_token", "<|endoftext|>"},
                                                     {"eos_token", "<|im_end|>"},
                                                     {"pad_token", "<|endoftext|>"}};
    struct tokenizer *t = NULL;
    struct json_doc *doc;
    struct desk d = {0};
    char last[64] = "", path[1024], name[128];
    int n_equal = 0, n_refused = 0;
    REQUIRE(tokenizer_load(&env, TIED, 320, &t) == VLQA_OK);
    REQUIRE(json_read(&env, GOLDEN "templates.json", 1 << 20, &doc) == VLQA_OK);
    const struct json *root = json_root(doc);
    for (const struct json *c = json_first(json_get(root, "cases")); c; c = json_next(c)) {
        const char *which = json_text(json_get(c, "template"));
        const char *conversation = json_text(json_get(c, "conversation"));
        if (strcmp(which, "values") == 0) continue; /* which writes no question */
        if (strcmp(which, last) != 0) {
            if (*last) desk_close(&d);
            d = desk_open(t);
            prompt_tokens_free(&d.pt);
            snprintf(last, sizeof last, "%s", which);
            snprintf(path, sizeof path, GOLDEN "templates/%s.jinja", which);
            if (prompt_tokens_find(&env, t, TIED, path, &d.pt) != VLQA_OK)
                CHECK_FAIL("%s", env.message);
            REQUIRE(d.pt.chat);
            memcpy(d.pt.chat->variable, names, sizeof names);
            d.pt.chat->n_variables = 3;
        }
        int string = d.pt.chat->as_string[CHAT_USER];
        snprintf(name, sizeof name, "%s of %s", conversation, which);
        int equal = check_ids(&d, json_get(json_get(root, "conversations"), conversation),
                              json_get(c, string ? "string_ids" : "ids"), name);
        n_equal += equal;
        n_refused += !equal;
    }
    CHECK(n_equal > 120);
    CHECK_EQ(n_refused, 30);
    desk_close(&d);
    json_free(doc);
    tokenizer_free(t);
}

/* ---- where the template is ---- */

static void put_file(const char *name, const char *content)
{
    char path[512];
    FILE *out;
    snprintf(path, sizeof path, WORK "/%s", name);
    out = fopen(path, "w");
    REQUIRE(out && fputs(content, out) >= 0 && fclose(out) == 0);
}

/* What the model in WORK makes of the question "Q", or why not. */
static const char *rendered_by(const char *choice)
{
    const struct prompt_turn turn[] = {USER(text("Q"))};
    struct desk d = desk_open(byte_tokens());
    const char *out = env.message;
    prompt_tokens_free(&d.pt);
    if (prompt_tokens_find(&env, d.t, WORK, choice, &d.pt) == VLQA_OK &&
        build(&d, turn, 1, CAP) == VLQA_OK)
        out = as_text(&d);
    desk_close(&d);
    return out;
}

#define BUILT_IN "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
#define ASKS "{{ messages[0].content[0].text }}!"

/* The order of transformers 5.24: the last place is written first. */
TEST(template_is_looked_for_where_transformers_does)
{
    static const struct {
        const char *file, *content, *made;
    } place[] = {
        {"tokenizer_config.json", "{\"chat_template\": \"1" ASKS "\"}", "1Q!"},
        {"tokenizer_config.json",
         "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"x\"}, {\"name\": "
         "\"default\", \"template\": \"2" ASKS "\"}]}",
         "2Q!"},
        {"additional_chat_templates/default.jinja", "3" ASKS, "3Q!"},
        {"chat_template.jinja",
         "\xEF\xBB\xBF"
         "4" ASKS "\n",
         "4Q!"},
        {"chat_template.json", "{\"chat_template\": \"5" ASKS "\"}", "5Q!"},
        {"processor_config.json", "{\"chat_template\": null}", "5Q!"},
        {"processor_config.json", "{\"chat_template\": {\"default\": \"6" ASKS "\"}}", "6Q!"}};
    mkdir(WORK, 0777);
    mkdir(WORK "/additional_chat_templates", 0777);
    CHECK_STR(rendered_by(NULL), BUILT_IN);
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
        put_file(place[i].file, place[i].content);
        CHECK_STR(rendered_by(NULL), place[i].made);
        CHECK_STR(rendered_by("qwen3vl"), BUILT_IN);
    }
    put_file("own.jinja", "7" ASKS);
    CHECK_STR(rendered_by(WORK "/own.jinja"), "7Q!");
    CHECK_STR(rendered_by(WORK "/chat_template.json"), "5Q!");
    CHECK(strstr(rendered_by(WORK "/none.jinja"), "none.jinja"));
    put_file("own.json", "{}");
    CHECK(strstr(rendered_by(WORK "/own.json"), "no member chat_template, expected one"));
    put_file("processor_config.json", "{\"chat_template\": \"{{ x | wordwrap }}\"}");
    CHECK(strstr(rendered_by(NULL), "processor_config.json, line 1: the filter \"wordwrap\" is not "
                                    "known"));
    put_file("processor_config.json", "{\"chat_template\": \"a\\nb{{ none.x.y }}\"}");
    CHECK(strstr(rendered_by(NULL), "processor_config.json, line 2: \"x\" is undefined"));
    put_file("processor_config.json", "{\"chat_template\": [{\"name\": \"rag\"}]}");
    CHECK(strstr(rendered_by(NULL),
                 "\"chat_template\" is array without a template named \"default\""));
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
        char path[512];
        snprintf(path, sizeof path, WORK "/%s", place[i].file);
        remove(path);
    }
    put_file("chat_template.jinja", "\xFF" ASKS);
    CHECK(strstr(rendered_by(NULL), "the chat template is not UTF-8 at byte 0"));
    put_file("chat_template.jinja", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    CHECK(strstr(rendered_by(NULL), "git lfs pull"));
    remove(WORK "/chat_template.jinja");
    remove(WORK "/own.jinja");
    remove(WORK "/own.json");
}

/* Public variables: what tokenizer_config.json names. */
TEST(template_sees_the_names_of_tokens)
{
    mkdir(WORK, 0777);
    put_file(
        "tokenizer_config.json",
        "{\"eos_token\": \"<|im_end|>\", \"bos_token\": null, \"pad_token\": {\"content\": "
        "\"<|endoftext|>\"}, \"chat_template\": \"{{ bos_token }}{{ messages[0].content[0].text "
        "}}{{ eos_token }}{{ unk_token is defined }}{{ pad_token }}\"}");
    CHECK_STR(rendered_by(NULL), "Q<|im_end|>False<|other|>");
    remove(WORK "/tokenizer_config.json");
}

/* It was a search for text in the file; now it follows from what is written. */
TEST(thinking_is_what_the_generation_prompt_opens)
{
    static const struct {
        const char *source;
        int think;
    } is[] = {
        {"{{- '<|im_start|>' + messages[0].content[0].text + '<|im_start|>assistant\n<think>\n' }}",
         1},
        {ASKS "{{ '<|im_start|>assistant' + '\n' }}<think>", 1},
        {ASKS "<|im_start|>assistant\n{% if enable_thinking %}<think>\n{% endif %}", 0},
        {ASKS "{% if false %}<|im_start|>assistant\n<think>\n{% endif %}<|im_start|>assistant\n",
         0},
        {ASKS "<|im_start|>assistant\n<think>\n\n</think>\n\n", 0}};
    for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
        struct desk d;
        if (desk_with(&d, byte_tokens(), is[i].source) != VLQA_OK) CHECK_FAIL("%s", env.message);
        CHECK_EQ(d.pt.think, is[i].think);
        desk_close(&d);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
