/* caller.h - tests of a caller and a library of different versions, structs longer on one side or
 * the other: nothing is written behind a caller's struct, and nothing known is lost.
 *
 * Three programs: with the header and library of today; CALLER_IS_OLDER, with a library whose
 * structs are longer; CALLER_IS_NEWER, with a header whose structs are longer. */
#ifndef TESTS_ABI_CALLER_H
#define TESTS_ABI_CALLER_H

#include "include/vlqa_experimental.h"

#include "tests/check.h"

#ifdef CALLER_IS_OLDER
#include "tests/abi/longer.h"
#endif

#include <stdlib.h>
#include <unistd.h>

#define MODEL VLQA_SOURCE_DIR "/assets/default-model"
#define CHART VLQA_SOURCE_DIR "/tests/charts/february.png" /* 7 x 10 tokens */
#define FENCE 256
#define BYTE 0xa5

/* A struct of the caller between bytes that nobody may touch. */
#define FENCED(type, name)           \
    struct {                         \
        unsigned char before[FENCE]; \
        struct type it;              \
        unsigned char after[FENCE];  \
    } name;                          \
    memset(&name, BYTE, sizeof name)

#define CHECK_FENCE(name) CHECK(is_intact(name.before) && is_intact(name.after))

#ifdef CALLER_IS_NEWER /* what the library lacks is 0 */
#define CHECK_MORE(it) CHECK_EQ((it).abi_more, 0)
#else
#define CHECK_MORE(it) ((void)0)
#endif

static int is_intact(const unsigned char *fence)
{
    for (int i = 0; i < FENCE; i++)
        if (fence[i] != BYTE) return 0;
    return 1;
}

static struct {
    char dir[64];
    struct vlqa_engine *engine;
    struct vlqa_session *session;
} desk;

static int open_desk(void)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    if (desk.session) return 1;
    snprintf(desk.dir, sizeof desk.dir, "/tmp/vlqa-abi-XXXXXX");
    eo.model = MODEL;
    eo.threads = 1;
    eo.cache_dir = mkdtemp(desk.dir);
    so.max_seq_len = 320;
    if (vlqa_engine_open(&eo, &desk.engine) != VLQA_OK ||
        vlqa_session_open(desk.engine, &so, &desk.session) != VLQA_OK ||
        vlqa_add_image_file(desk.session, CHART) != VLQA_OK ||
        vlqa_add_text(desk.session, "A means Apples.", 15) != VLQA_OK ||
        vlqa_add_image_file(desk.session, CHART) != VLQA_OK)
        CHECK_FAIL("open: %s", vlqa_engine_message(desk.engine));
    return !check_failures;
}

static vlqa_status ask(struct vlqa_answer *answer, size_t bytes)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.max_tokens = 1;
    o.reuse = VLQA_REUSE_ON;
    o.chunker = VLQA_CHUNK_GRID;
    return vlqa_ask(desk.session, "What is the value of February?", &o, answer, bytes);
}

#ifdef CALLER_IS_OLDER
TEST(the_library_has_longer_structs)
{
    CHECK_EQ(vlqa_abi_answer_bytes(), sizeof(struct vlqa_answer) + 8);
    CHECK_EQ(vlqa_abi_evidence_bytes(), sizeof(struct vlqa_evidence) + 8);
}
#endif

TEST(init_functions_stay_in_their_structs)
{
    FENCED(vlqa_engine_options, eo);
    FENCED(vlqa_session_options, so);
    FENCED(vlqa_ask_options, ao);
    FENCED(vlqa_cache_options, co);
    FENCED(vlqa_experimental, x);
    CHECK_EQ(vlqa_engine_options_init(&eo.it, sizeof eo.it), VLQA_OK);
    CHECK_EQ(vlqa_session_options_init(&so.it, sizeof so.it), VLQA_OK);
    CHECK_EQ(vlqa_ask_options_init(&ao.it, sizeof ao.it), VLQA_OK);
    CHECK_EQ(vlqa_cache_options_init(&co.it, sizeof co.it), VLQA_OK);
    CHECK_FENCE(eo);
    CHECK_FENCE(so);
    CHECK_FENCE(ao);
    CHECK_EQ(vlqa_experimental_init(&x.it, sizeof x.it), VLQA_OK);
    CHECK_FENCE(co);
    CHECK_FENCE(x);
    CHECK_MORE(eo.it);
    CHECK_MORE(so.it);
    CHECK_MORE(ao.it);
    CHECK_MORE(co.it);
    CHECK_MORE(x.it);
    CHECK_EQ(ao.it.struct_bytes, sizeof ao.it);
    CHECK_EQ(ao.it.max_tokens, 128);
    CHECK_EQ(ao.it.halo, -1);
    CHECK_EQ(x.it.score, VLQA_SCORE_MAX);
    CHECK_EQ(x.it.refresh_tokens, 4);
}

TEST(an_answer_and_its_arrays_stay_in_theirs)
{
    FENCED(vlqa_answer, a);
    REQUIRE(open_desk());
    REQUIRE(ask(&a.it, sizeof a.it) == VLQA_OK);
    CHECK_FENCE(a);
    CHECK_MORE(a.it);
    CHECK_EQ(a.it.n_images, 2);
    CHECK_EQ(a.it.n_chunks, 9); /* 2 x 2 cells of each, and the text */
    CHECK(a.it.n_evidence > 1 && a.it.flops > 0 && a.it.ms_total > 0);
    for (int i = 0; i < a.it.n_images; i++) {
        FENCED(vlqa_placed_image, image);
        CHECK_EQ(vlqa_answer_image(&a.it, i, &image.it, sizeof image.it), VLQA_OK);
        CHECK_FENCE(image);
        CHECK_MORE(image.it);
        CHECK(image.it.grid_h == 7 && image.it.grid_w == 10);
    }
    for (int i = 0, next = a.it.tokens_total; i < a.it.n_chunks; i++) {
        FENCED(vlqa_placed_chunk, chunk);
        CHECK_EQ(vlqa_answer_chunk(&a.it, i, &chunk.it, sizeof chunk.it), VLQA_OK);
        CHECK_FENCE(chunk);
        CHECK_MORE(chunk.it);
        CHECK_EQ(chunk.it.image, i == 4 ? -1 : i > 4);
        CHECK_EQ(chunk.it.tokens, i == 4 ? chunk.it.tokens : chunk.it.h * chunk.it.w);
        CHECK(chunk.it.first_token < next);
    }
    for (int i = 0; i < a.it.n_evidence; i++) {
        FENCED(vlqa_evidence, e);
        CHECK_EQ(vlqa_answer_evidence(&a.it, i, &e.it, sizeof e.it), VLQA_OK);
        CHECK_FENCE(e);
        CHECK_MORE(e.it);
        CHECK(e.it.score > 0 && e.it.width > 0 && e.it.height > 0);
        CHECK(i == 0 || e.it.score <= vlqa_evidence_at(&a.it, i - 1).score);
    }
}

/* Elements side by side, each in its own place. */
TEST(an_array_of_the_caller_keeps_its_step)
{
    struct {
        struct vlqa_placed_chunk it[9];
        unsigned char after[FENCE];
    } all;
    struct vlqa_answer a;
    REQUIRE(open_desk());
    REQUIRE(ask(&a, sizeof a) == VLQA_OK && a.n_chunks == 9);
    memset(&all, BYTE, sizeof all);
    for (int i = 8; i >= 0; i--) /* what one writes too much falls on one that is there */
        CHECK_EQ(vlqa_answer_chunk(&a, i, &all.it[i], sizeof all.it[i]), VLQA_OK);
    CHECK(is_intact(all.after));
    for (int i = 0; i < 9; i++) {
        struct vlqa_placed_chunk again = vlqa_chunk_at(&a, i);
        CHECK(memcmp(&all.it[i], &again, sizeof again) == 0);
    }
}

TEST(facts_of_engine_image_and_cache_stay_in_theirs)
{
    FENCED(vlqa_model_info, model);
    FENCED(vlqa_image_info, last);
    FENCED(vlqa_cache_stats, stats);
    REQUIRE(open_desk());
    CHECK_EQ(vlqa_engine_info(desk.engine, &model.it, sizeof model.it), VLQA_OK);
    CHECK_FENCE(model);
    CHECK_MORE(model.it);
    CHECK(model.it.layers == 8 && model.it.session_seq_len > 0);
    CHECK_EQ(vlqa_last_image(desk.session, &last.it, sizeof last.it), VLQA_OK);
    CHECK_FENCE(last);
    CHECK_MORE(last.it);
    CHECK_EQ(last.it.tokens, 70);
    CHECK_EQ(vlqa_cache_read_stats(desk.engine, &stats.it, sizeof stats.it), VLQA_OK);
    CHECK_FENCE(stats);
    CHECK_MORE(stats.it);
    CHECK(stats.it.ram_records > 0 && !stats.it.disk_problem[0]);
}

static size_t read_chart(char *to, size_t cap)
{
    FILE *f = fopen(CHART, "rb");
    size_t n = f ? fread(to, 1, cap, f) : 0;
    if (f) fclose(f);
    return n;
}

TEST(pixels_stay_in_theirs)
{
    static char file[1 << 16];
    size_t n = read_chart(file, sizeof file);
    struct vlqa_image *image;
    FENCED(vlqa_pixels, pixels);
    FENCED(vlqa_image_info, info);
    REQUIRE(open_desk());
    CHECK_EQ(vlqa_decode_image(desk.session, file, n, "chart", &pixels.it, sizeof pixels.it),
             VLQA_OK);
    CHECK_FENCE(pixels);
    CHECK_MORE(pixels.it);
    CHECK(pixels.it.rgb && pixels.it.width > 0 && pixels.it.height > 0);
    vlqa_free_pixels(&pixels.it);
    CHECK_FENCE(pixels);
    CHECK(!pixels.it.rgb && !pixels.it.width);
    CHECK_EQ(vlqa_image_open(desk.engine, file, n, "chart", &image), VLQA_OK);
    CHECK_EQ(vlqa_image_read_info(image, &info.it, sizeof info.it), VLQA_OK);
    CHECK_FENCE(info);
    CHECK_MORE(info.it);
    CHECK_EQ(info.it.tokens, 70);
    vlqa_image_close(image);
}

/* Counts records; theirs is the library's size. */
static int on_record(void *user, const struct vlqa_record *record)
{
    int *count = user;
#ifdef CALLER_IS_NEWER
    CHECK_EQ(record->struct_bytes, sizeof *record - 8);
#elif defined CALLER_IS_OLDER
    CHECK_EQ(record->struct_bytes, sizeof *record + 8);
#else
    CHECK_EQ(record->struct_bytes, sizeof *record);
#endif
    CHECK_EQ(strlen(record->key), 64);
    CHECK(record->intact);
    ++*count;
    return 0;
}

TEST(records_say_how_long_they_are)
{
    struct vlqa_cache_options o = vlqa_cache_options_default();
    struct vlqa_answer a;
    char lock[96];
    int count = 0, removed = 0;
    REQUIRE(open_desk());
    REQUIRE(ask(&a, sizeof a) == VLQA_OK);
    vlqa_session_close(desk.session);
    vlqa_engine_close(desk.engine); /* all is written */
    desk.session = NULL;
    o.dir = desk.dir;
    o.user = &count;
    CHECK_EQ(vlqa_cache_scan(&o, on_record), VLQA_OK);
    CHECK(count > 0);
    CHECK_EQ(vlqa_cache_remove(&o, NULL, &removed), VLQA_OK);
    CHECK_EQ(removed, count);
    snprintf(lock, sizeof lock, "%s/vlqa.lock", desk.dir);
    (void)unlink(lock);
    (void)rmdir(desk.dir);
}

TEST(other_sizes_are_refused_in_words)
{
    FENCED(vlqa_answer, a);
    FENCED(vlqa_ask_options, o);
    struct vlqa_model_info model;
    struct vlqa_cache_stats stats;
    struct vlqa_image_info image;
    struct vlqa_pixels pixels;
    struct vlqa_evidence evidence;
    REQUIRE(open_desk());
    CHECK_EQ(ask(&a.it, 0), VLQA_EUSAGE);
    CHECK(strstr(vlqa_message(desk.session), "answer: the caller's struct has 0 bytes, expected"));
    CHECK_EQ(ask(&a.it, sizeof(void *)), VLQA_EUSAGE); /* of the pointer */
    CHECK(is_intact((const unsigned char *)&a.it));
    CHECK_EQ(vlqa_warm(desk.session, NULL, &a.it, 0), VLQA_EUSAGE);
    CHECK_EQ(vlqa_warm(desk.session, NULL, NULL, 0), VLQA_OK);
    CHECK_EQ(vlqa_engine_info(desk.engine, &model, 0), VLQA_EUSAGE);
    CHECK_EQ(vlqa_cache_read_stats(desk.engine, &stats, 0), VLQA_EUSAGE);
    CHECK_EQ(vlqa_last_image(desk.session, &image, 0), VLQA_EUSAGE);
    CHECK_EQ(vlqa_decode_image(desk.session, "a", 1, "a", &pixels, 0), VLQA_EUSAGE);
    CHECK_EQ(ask(&a.it, sizeof a.it), VLQA_OK);
    CHECK_EQ(vlqa_answer_evidence(&a.it, 0, &evidence, 0), VLQA_EUSAGE);
    CHECK_EQ(vlqa_answer_evidence(&a.it, a.it.n_evidence, &evidence, sizeof evidence), VLQA_EUSAGE);
    CHECK_EQ(vlqa_answer_evidence(&a.it, -1, &evidence, sizeof evidence), VLQA_EUSAGE);
    CHECK(evidence.width == 0 && evidence.image == 0);
    CHECK_EQ(vlqa_ask_options_init(&o.it, 8), VLQA_EUSAGE);
    CHECK(is_intact((const unsigned char *)&o.it));
    CHECK_EQ(vlqa_ask_options_init(&o.it, sizeof o.it), VLQA_OK);
    o.it.struct_bytes = 0;
    CHECK_EQ(vlqa_ask(desk.session, "a", &o.it, &a.it, sizeof a.it), VLQA_EUSAGE);
    CHECK(strstr(vlqa_message(desk.session), "ask options: struct_bytes is 0, expected"));
}

#ifdef CALLER_IS_NEWER
TEST(a_field_that_the_library_lacks_must_be_zero)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_answer a;
    struct vlqa_engine *engine;
    REQUIRE(open_desk());
    o.max_tokens = 1;
    CHECK_EQ(vlqa_ask(desk.session, "a", &o, &a, sizeof a), VLQA_OK);
    o.abi_more = 1;
    CHECK_EQ(vlqa_ask(desk.session, "a", &o, &a, sizeof a), VLQA_EUSAGE);
    CHECK(strstr(vlqa_message(desk.session), "is older than the header"));
    eo.model = MODEL;
    eo.abi_more = (uint64_t)1 << 63;
    CHECK_EQ(vlqa_engine_open(&eo, &engine), VLQA_EUSAGE);
    CHECK(strstr(vlqa_engine_message(engine), "is older than the header"));
    vlqa_engine_close(engine);
}
#endif

#endif
