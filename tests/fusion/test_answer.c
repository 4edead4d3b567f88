/* test_answer.c - what an answer is: where it ends, its segments, its tokens, turns that are kept.
 */
#include "fusion/session/session.h"

#include "tests/check.h"
#include "tests/fusion/fixture.h"
#include "text/utf8.h"

#define QUESTION FIXTURE_QUESTION
#define VOCAB FIXTURE_VOCAB

/* Answers. */

TEST(greedy_answers_are_equal_and_seeds_matter)
{
    static const struct {
        float temperature;
        uint64_t seed;
    } how[] = {{0, 1}, {0, 2}, {2, 1}, {2, 1}, {2, 2}};
    static int32_t token[5][40];
    struct run r = run_new();
    REQUIRE(run_open(&r));
    for (int i = 0; i < 5; i++) {
        struct vlqa_ask_options o = run_ask(40);
        struct vlqa_answer answer;
        o.temperature = how[i].temperature;
        o.seed = how[i].seed;
        REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
        REQUIRE(answer.n_tokens == 40);
        memcpy(token[i], answer.token, sizeof token[i]);
    }
    CHECK(memcmp(token[0], token[1], sizeof token[0]) == 0);
    CHECK(memcmp(token[2], token[3], sizeof token[0]) == 0);
    CHECK(memcmp(token[2], token[4], sizeof token[0]) != 0);
    CHECK(memcmp(token[0], token[2], sizeof token[0]) != 0);
    run_close(&r);
}

struct stream {
    char text[8192];
    size_t bytes;
    int calls, stop_after, broken;
};

static int on_token(void *user, const char *utf8, size_t bytes)
{
    struct stream *s = user;
    s->calls++;
    if (!bytes || utf8_valid(utf8, bytes) != bytes || s->bytes + bytes > sizeof s->text)
        s->broken = 1;
    else
        memcpy(s->text + s->bytes, utf8, bytes);
    s->bytes += bytes;
    return s->calls == s->stop_after;
}

/* Random weights at a high temperature say many broken sequences. */
TEST(pieces_are_utf8_and_make_up_the_answer)
{
    static struct stream stream;
    const float never = -INFINITY;
    struct run r = run_new();
    int replaced = 0;
    int32_t tag;
    REQUIRE(run_open(&r));
    tag = tokenizer_added(r.engine->tokenizer, "</think>");
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct vlqa_ask_options o = run_ask(60);
        struct vlqa_answer answer;
        memset(&stream, 0, sizeof stream);
        o.temperature = 3;
        o.seed = seed;
        o.bias_token = &tag;
        o.bias = &never;
        o.n_bias = 1; /* a </think> would take back what was told */
        o.on_token = on_token;
        o.user = &stream;
        REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
        CHECK(!stream.broken);
        CHECK_EQ(stream.bytes, answer.text_bytes);
        CHECK(memcmp(stream.text, answer.text, answer.text_bytes) == 0);
        CHECK_EQ(utf8_valid(answer.text, answer.text_bytes), answer.text_bytes);
        CHECK_EQ(answer.text[answer.text_bytes], 0);
        replaced += strstr(answer.text, "\xef\xbf\xbd") != NULL;
    }
    CHECK(replaced > 0);
    run_close(&r);
}

TEST(on_token_can_end_the_answer)
{
    static struct stream stream;
    struct run r = run_new();
    REQUIRE(run_open(&r));
    CHECK(vlqa_add_image_file(r.session, FIXTURE_PICTURE) == VLQA_OK);
    for (int n = 1; n < 6; n++) {
        struct vlqa_ask_options o = run_ask(60);
        struct vlqa_answer answer;
        stream = (struct stream){.stop_after = n};
        o.on_token = on_token;
        o.user = &stream;
        REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
        CHECK(answer.stop == VLQA_STOP_CALLER);
        CHECK_EQ(stream.calls, n);
        CHECK_EQ(stream.bytes, answer.text_bytes);
        CHECK(answer.n_tokens >= n && answer.n_tokens < 60);
    }
    CHECK(run_is_undisturbed(r.session));
    run_close(&r);
}

TEST(answer_ends_where_it_must)
{
    struct run r = run_new();
    struct vlqa_ask_options o = run_ask(7);
    struct vlqa_answer answer;
    int rows;
    REQUIRE(run_open(&r));
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
    CHECK(answer.stop == VLQA_STOP_LENGTH);
    CHECK_EQ(answer.n_tokens, 7);
    rows = answer.tokens_total;
    run_close(&r);
    for (int room = 0; room < 3; room++) { /* the last token needs no token */
        r.so.max_seq_len = rows + room;
        REQUIRE(run_open(&r));
        REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
        CHECK(answer.stop == VLQA_STOP_SESSION_FULL);
        CHECK_EQ(answer.n_tokens, room + 1);
        run_close(&r);
    }
    r.so.max_seq_len = rows - 1;
    REQUIRE(run_open(&r));
    CHECK(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_ELIMIT);
    CHECK(answer.logits == NULL);
    run_close(&r);
}

/* A token that the answer has becomes an end token: the answer stops before it. */
TEST(end_token_ends_the_answer)
{
    struct run r = run_new();
    struct vlqa_ask_options o = run_ask(20);
    struct vlqa_answer answer;
    int at = 0;
    REQUIRE(run_open(&r));
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
    r.engine->ids.eos[0] = answer.token[5];
    while (answer.token[at] != r.engine->ids.eos[0])
        at++;
    o.ignore_eos = 0;
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
    CHECK(answer.stop == VLQA_STOP_EOS);
    CHECK_EQ(answer.n_tokens, at);
    run_close(&r);
}

/* ---- what a text of the answer does: the tokens are forced ---- */

struct told {
    struct stream answer, thoughts;
};

static int on_answer(void *user, const char *utf8, size_t bytes)
{
    return on_token(&((struct told *)user)->answer, utf8, bytes);
}

static int on_thoughts(void *user, const char *utf8, size_t bytes)
{
    return on_token(&((struct told *)user)->thoughts, utf8, bytes);
}

/* Has the model say a text, as tokens of one byte or as the tokenizer cuts it. */
static void say(struct run *r, const char *text, const char *stop, int bytewise,
                struct vlqa_answer *answer, struct told *told)
{
    static int32_t id[256];
    const char *const stops[] = {"never said", stop};
    struct vlqa_ask_options o = vlqa_ask_options_default();
    size_t bytes = strlen(text);
    int n = 0, part;
    memset(told, 0, sizeof *told);
    for (size_t at = 0; at < bytes;) {
        size_t step = bytewise && text[at] != '<' ? 1 : bytes - at;
        if (bytewise && text[at] == '<') step = strcspn(text + at, ">") + 1;
        CHECK_EQ(vlqa_tokenize(r->engine, text + at, step, 0, id + n, 256 - n, &part), VLQA_OK);
        n += part;
        at += step;
    }
    o.forced = id;
    o.n_forced = o.max_tokens = n;
    o.stop_text = stops;
    o.n_stop_text = stop ? 2 : 0;
    o.on_token = on_answer;
    o.on_thinking = on_thoughts;
    o.user = told;
    CHECK_EQ(vlqa_ask(r->session, QUESTION, &o, answer, sizeof *answer), VLQA_OK);
    CHECK(!told->answer.broken && !told->thoughts.broken);
}

TEST(stop_text_ends_the_answer_also_across_tokens)
{
    static struct told told;
    struct run r = run_new();
    struct vlqa_answer a;
    REQUIRE(run_open(&r));
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        say(&r, "one STOP two", " STOP", bytewise, &a, &told);
        CHECK_STR(a.text, "one");
        CHECK_STR(told.answer.text, "one");
        CHECK_EQ(a.stop, VLQA_STOP_TEXT);
        CHECK_EQ(a.stop_text, 1);
        say(&r, "one STO two", "STOP", bytewise, &a, &told);
        CHECK_STR(a.text, "one STO two");
        CHECK_STR(told.answer.text, "one STO two");
        CHECK_EQ(a.stop, VLQA_STOP_LENGTH);
        CHECK_EQ(a.stop_text, -1);
    }
    run_close(&r);
}

TEST(thoughts_are_apart_from_the_answer)
{
    static struct told told;
    struct run r = run_new();
    struct vlqa_answer a;
    REQUIRE(run_open(&r));
    say(&r, "<think>\nlet me see: x\n</think>\n\n8.9x", "x", 1, &a, &told);
    CHECK_STR(a.text, "8.9"); /* and no stop text ends thoughts */
    CHECK_STR(a.thinking, "let me see: x");
    CHECK_EQ(a.thinking_is_open, 0);
    CHECK_STR(told.answer.text, "8.9");
    CHECK_STR(told.thoughts.text, "let me see: x");
    say(&r, "let me see</think>8.9", NULL, 1, &a, &told);
    CHECK_STR(a.text, "8.9");
    CHECK_STR(a.thinking, "let me see");
    say(&r, "<think>let me", NULL, 1, &a, &told);
    CHECK_STR(a.text, "");
    CHECK_STR(a.thinking, "let me");
    CHECK_EQ(a.thinking_is_open, 1);
    CHECK_STR(told.answer.text, "");
    say(&r, "8.9", NULL, 1, &a, &told);
    CHECK_STR(a.text, "8.9");
    CHECK_STR(a.thinking, "");
    run_close(&r);
}

/* The template opens the thoughts, so nothing of them is taken for the answer. */
TEST(thoughts_that_the_prompt_opened_are_never_told_as_an_answer)
{
    static const char jinja[] =
        "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}"
        "{%- if m.content is string %}{{- m.content }}{%- else %}"
        "{%- for c in m.content %}{%- if 'text' in c %}{{- c.text }}{%- endif %}{%- endfor %}"
        "{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}";
    static struct told told;
    struct vlqa_session_options so = session_options();
    struct run r = run_new();
    struct vlqa_answer a;
    struct fixture f;
    REQUIRE(fixture_open(&f, FIXTURE_TIED));
    fixture_write(&f, "chat_template.jinja", jinja, strlen(jinja));
    REQUIRE(fixture_engine(f.dir, VLQA_DTYPE_F32, &r.engine) == VLQA_OK);
    REQUIRE(vlqa_session_open(r.engine, &so, &r.session) == VLQA_OK);
    say(&r, "let me see\n</think>\n\n8.9", NULL, 1, &a, &told);
    CHECK_STR(a.thinking, "let me see");
    CHECK_STR(told.thoughts.text, "let me see");
    CHECK_STR(a.text, "8.9");
    CHECK_STR(told.answer.text, "8.9");
    say(&r, "let me", NULL, 1, &a, &told);
    CHECK_EQ(a.thinking_is_open, 1);
    CHECK_STR(a.text, "");
    CHECK_STR(told.answer.text, "");
    run_close(&r);
    fixture_close(&f);
}

/* As templates of Qwen3 do with the turns before. */
TEST(turns_are_kept_without_their_thoughts)
{
    static const int32_t nothing[] = {0};
    struct run r = run_new();
    struct vlqa_ask_options o = run_ask(1);
    struct vlqa_answer a;
    char prompt[512];
    int32_t id[64];
    int n;
    REQUIRE(run_open(&r));
    CHECK_EQ(vlqa_tokenize(r.engine, "<think>hm</think>8.9", 20, 0, id, 64, &n), VLQA_OK);
    o.forced = id;
    o.n_forced = o.max_tokens = n;
    o.keep = 1;
    REQUIRE(vlqa_ask(r.session, "First?", &o, &a, sizeof a) == VLQA_OK);
    o.forced = nothing;
    o.n_forced = o.max_tokens = 1;
    REQUIRE(vlqa_ask(r.session, "Second?", &o, &a, sizeof a) == VLQA_OK);
    run_prompt(&r, &a, prompt, sizeof prompt);
    CHECK(strstr(prompt, "assistant\n8.9<|im_end|>"));
    CHECK(!strstr(prompt, "hm"));
    run_close(&r);
}

TEST(wrong_stop_texts_and_biases_are_refused)
{
    static const char *const empty[] = {""}, *const broken[] = {"\xff"};
    const int32_t first = 0, none = VOCAB;
    const float plus = INFINITY, not_a_number = NAN, one = 1, much = 3e38f;
    struct run r = run_new();
    struct vlqa_ask_options o = run_ask(1);
    struct vlqa_answer a;
    REQUIRE(run_open(&r));
    o.stop_text = empty;
    o.n_stop_text = 1;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "stop text 0 has 0 bytes, expected 1..1024");
    o.stop_text = broken;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_ETEXT);
    o.stop_text = NULL;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    o = run_ask(1);
    o.n_bias = 1;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    o.bias_token = &none;
    o.bias = &one;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "bias of token 320, expected 0..319");
    o.bias_token = &first;
    o.bias = &plus;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    o.bias = &not_a_number;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "expected -1e+06 to 1e+06, or -inf");
    o.bias = &much; /* nothing of the logits would be left beside it */
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    run_close(&r);
}

TEST(bias_that_forbids_every_token_is_an_error)
{
    struct run r = run_new();
    struct vlqa_ask_options o = run_ask(5);
    struct vlqa_answer a;
    int32_t token[VOCAB];
    float never[VOCAB];
    REQUIRE(run_open(&r));
    for (int i = 0; i < VOCAB; i++) {
        token[i] = i;
        never[i] = -INFINITY;
    }
    o.n_bias = VOCAB;
    o.bias_token = token;
    o.bias = never;
    for (o.temperature = 0; o.temperature < 2; o.temperature++) {
        CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
        CHECK_HAS(vlqa_message(r.session), "the bias forbids every token");
    }
    never[7] = 0;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_OK);
    CHECK_EQ(a.token[0], 7);
    run_close(&r);
}

TEST(bias_decides_which_token_is_said)
{
    struct run r = run_new();
    struct vlqa_ask_options o = run_ask(5);
    struct vlqa_answer a;
    const float up = 1000, never = -INFINITY;
    int32_t greedy, other = 65;
    float logit;
    REQUIRE(run_open(&r));
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_OK);
    greedy = a.token[0];
    logit = a.logits[greedy];
    o.n_bias = 1;
    o.bias = &up;
    o.bias_token = &other;
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_OK);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(a.token[i], other);
    o.bias = &never;
    o.bias_token = &greedy;
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_OK);
    for (int i = 0; i < 5; i++)
        CHECK(a.token[i] != greedy);
    CHECK(a.logits[greedy] == logit); /* as the model gives them */
    run_close(&r);
}

static void check_rows(const struct vlqa_answer *a)
{
    CHECK(a->tokens_prefix > 0 && a->tokens_context >= 0 && a->tokens_question > 0);
    CHECK_EQ(a->tokens_prefix + a->tokens_context + a->tokens_question, a->tokens_total);
}

#define TURN_SYSTEM "<|im_start|>system\nBe brief.<|im_end|>\n"
#define TURN_USER "<|im_start|>user\nNote. First?<|im_end|>\n"
#define TURN_OPEN "<|im_start|>assistant\n"

TEST(kept_turns_are_those_of_the_conversation)
{
    static float kept[VOCAB], fresh[VOCAB];
    char text[2048], prompt[2048], reply[512];
    struct vlqa_ask_options o = run_ask(6);
    struct vlqa_answer answer;
    struct run r = run_new();
    REQUIRE(run_open(&r));
    CHECK(vlqa_set_system(r.session, "Be brief.", 9) == VLQA_OK);
    CHECK(run_text(r.session, "Note. ") == VLQA_OK);
    o.keep = 1;
    REQUIRE(vlqa_ask(r.session, "First?", &o, &answer, sizeof answer) == VLQA_OK);
    check_rows(&answer);
    run_prompt(&r, &answer, prompt, sizeof prompt);
    CHECK_STR(prompt, TURN_SYSTEM TURN_USER TURN_OPEN);
    REQUIRE(strlen(answer.text) < sizeof reply);
    strcpy(reply, answer.text);
    o.keep = 0;
    REQUIRE(vlqa_ask(r.session, "Second?", &o, &answer, sizeof answer) == VLQA_OK);
    check_rows(&answer);
    snprintf(text, sizeof text, "%s%s<|im_end|>\n<|im_start|>user\nSecond?<|im_end|>\n" TURN_OPEN,
             TURN_SYSTEM TURN_USER TURN_OPEN, reply);
    run_prompt(&r, &answer, prompt, sizeof prompt);
    CHECK_STR(prompt, text);
    memcpy(kept, answer.logits, sizeof kept);

    CHECK(vlqa_session_clear(r.session) == VLQA_OK); /* built by hand, without the first question */
    CHECK(vlqa_set_system(r.session, "Be brief.", 9) == VLQA_OK);
    CHECK(run_text(r.session, "Note. First?") == VLQA_OK);
    r.session->turn++;
    CHECK(session_append(r.session, PROMPT_ASSISTANT, reply, strlen(reply)) == VLQA_OK);
    r.session->turn++;
    REQUIRE(run_logits(r.session, "Second?", fresh));
    CHECK(memcmp(kept, fresh, sizeof kept) == 0);
    run_close(&r);
}

TEST(turns_are_kept_until_the_session_is_cleared)
{
    struct vlqa_ask_options o = run_ask(2);
    struct vlqa_answer answer;
    struct vlqa_image_info info;
    struct run r = run_new();
    int rows = 0;
    REQUIRE(run_open(&r));
    CHECK(vlqa_add_image_file(r.session, FIXTURE_PICTURE) == VLQA_OK);
    o.keep = 1;
    for (int i = 0; i < 5; i++) {
        REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
        check_rows(&answer);
        CHECK(answer.tokens_total > rows);
        rows = answer.tokens_total;
    }
    CHECK(vlqa_session_clear(r.session) == VLQA_OK);
    CHECK(vlqa_last_image(r.session, &info, sizeof info) == VLQA_ESTATE);
    CHECK(vlqa_add_image_file(r.session, FIXTURE_PICTURE) == VLQA_OK);
    CHECK(run_is_undisturbed(r.session));
    run_close(&r);
}

/* The question has room, the answer has not: neither is kept. Empty texts add nothing to a prompt.
 */
TEST(turn_that_does_not_fit_is_not_kept)
{
    struct vlqa_ask_options o = run_ask(2);
    struct vlqa_answer answer;
    struct run r = run_new();
    REQUIRE(run_open(&r));
    CHECK(vlqa_add_image_file(r.session, FIXTURE_PICTURE) == VLQA_OK);
    for (int i = 2; i < SESSION_MAX_ITEMS; i++)
        REQUIRE(run_text(r.session, "") == VLQA_OK);
    o.keep = 1;
    CHECK(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_ELIMIT);
    CHECK_HAS(vlqa_message(r.session), "items");
    CHECK(run_is_undisturbed(r.session));
    run_close(&r);
}

TEST(extreme_but_legal_options_are_taken)
{
    struct vlqa_ask_options o = run_ask(INT32_MAX);
    struct vlqa_answer answer;
    struct run r = run_new();
    r.so.max_seq_len = 64;
    o.temperature = 100;
    o.top_k = INT32_MAX;
    o.top_p = 1e-30f;
    o.min_p = 1;
    o.repetition_penalty = 100;
    o.presence_penalty = -100;
    o.seed = UINT64_MAX;
    REQUIRE(run_open(&r));
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
    CHECK(answer.stop == VLQA_STOP_SESSION_FULL);
    CHECK_EQ(answer.n_tokens, 64 - answer.tokens_total + 1);
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
