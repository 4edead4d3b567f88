/* test_tokenizer.c - encoding any text: its limits, damage, hostility. */
#include "text/tokenizer.h"

#include "tests/check.h"
#include "tests/text/tokenizer_lab.h"
#include "text/nfc.h"

#include <pthread.h>
#include <utf8proc.h>

/* encode() hands over exactly tokenizer_scratch(bytes). */
TEST(scratch_is_enough_for_any_text)
{
    static const char *const part[] = {"a",
                                       " ",
                                       "\n",
                                       "<",
                                       "-=",
                                       "\xF0\x9D\x85\xA0",
                                       "\xCE\x90",
                                       "\xE1\xBE\x82",
                                       "\xCD\x84",
                                       "\xCC\x81\xCC\x96",
                                       "\xE0\xA5\x98",
                                       "\xEF\xAC\xAC",
                                       "\xEA\xB0\x81",
                                       "a1 \n",
                                       "\xE2\x80\xA8",
                                       "aB'll c\r\n",
                                       "<think>",
                                       "\xF0\xAF\xA0\x80"};
    struct tokenizer *t;
    REQUIRE(tokenizer_bytes(&env, 300, &t) == VLQA_OK);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        for (size_t bytes = 0; bytes < 3000; bytes = bytes * 3 / 2 + 1) {
            size_t got;
            char *text = repeat(part[i], bytes, &got);
            struct ids ids = encode(t, text, got, 0);
            CHECK_EQ(ids.status, VLQA_OK);
            CHECK(ids.n <= NFC_GROWTH * (int)got);
            free(ids.id);
            free(text);
        }
    tokenizer_free(t);
}

/* The bounds that nfc_scratch and NFC_GROWTH rest on. */
TEST(no_code_point_grows_beyond_the_bounds_of_nfc)
{
    for (int32_t code = 1; code < 0x110000; code++) {
        int32_t point[32];
        char text[4];
        const char *nfc;
        uint8_t block[1024] __attribute__((aligned(64)));
        struct arena scratch = arena_over(block, sizeof block);
        size_t bytes, nfc_bytes;
        int boundary = 0;
        if (code >= 0xD800 && code < 0xE000) continue;
        bytes = (size_t)utf8proc_encode_char(code, (uint8_t *)text);
        CHECK(2 * utf8proc_decompose_char(code, point, 32, UTF8PROC_STABLE | UTF8PROC_COMPOSE,
                                          &boundary) <=
              3 * (utf8proc_ssize_t)bytes + (bytes == 1));
        CHECK(nfc_compose(text, bytes, &scratch, &nfc, &nfc_bytes));
        CHECK(nfc_bytes <= NFC_GROWTH * bytes);
        arena_rewind(&scratch, 0);
    }
}

TEST(scratch_that_is_too_small_is_reported)
{
    char text[] =
        "caf\xC3\xA9 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    size_t enough = tokenizer_scratch(sizeof text - 1), refused = 0;
    struct tokenizer *t;
    int32_t id[256];
    int n;
    REQUIRE(tokenizer_bytes(&env, 300, &t) == VLQA_OK);
    for (size_t bytes = 0; bytes <= enough; bytes += 64) {
        void *memory = heap_alloc(bytes);
        struct arena scratch = arena_over(memory, bytes);
        vlqa_status status =
            tokenizer_encode(&env, t, text, sizeof text - 1, &scratch, id, 256, &n);
        CHECK(status == VLQA_OK || status == VLQA_ELIMIT);
        if (status != VLQA_OK) CHECK_HAS(env.message, "scratch of");
        refused += status != VLQA_OK;
        CHECK_EQ(scratch.used, 0);
        arena_rewind(&scratch, 0);
        heap_free(memory);
    }
    CHECK(refused > 100);
    tokenizer_free(t);
}

TEST(encoding_makes_no_heap_call)
{
    struct tokenizer *t;
    size_t bytes;
    char *text = repeat("caf\xC3\xA9 123\n", 4000, &bytes);
    size_t scratch_bytes = tokenizer_scratch(bytes);
    void *memory = heap_alloc(scratch_bytes);
    struct arena scratch = arena_over(memory, scratch_bytes);
    int32_t id[8];
    uint64_t calls;
    int n;
    REQUIRE(tokenizer_bytes(&env, 300, &t) == VLQA_OK);
    calls = heap_calls();
    CHECK_EQ(tokenizer_encode(&env, t, text, bytes, &scratch, id, 8, &n), VLQA_OK);
    CHECK_EQ(heap_calls(), calls);
    tokenizer_free(t);
    arena_rewind(&scratch, 0);
    heap_free(memory);
    free(text);
}

static void *encode_often(void *tokenizer)
{
    static const char text[] = "caf\xC3\xA9 don't\n\n12 <think>";
    size_t bytes = tokenizer_scratch(sizeof text - 1);
    void *memory = heap_alloc(bytes);
    struct arena scratch = arena_over(memory, bytes);
    struct env own = {0};
    intptr_t wrong = 0;
    int32_t first[64], id[64];
    int n_first = 0, n;
    for (int i = 0; i < 200; i++) {
        wrong += tokenizer_encode(&own, tokenizer, text, sizeof text - 1, &scratch, i ? id : first,
                                  64, i ? &n : &n_first) != VLQA_OK;
        if (i) wrong += n != n_first || memcmp(id, first, (size_t)n * sizeof *id) != 0;
    }
    arena_rewind(&scratch, 0);
    heap_free(memory);
    return (void *)wrong;
}

/* Says more under the thread sanitizer. */
TEST(threads_share_a_tokenizer)
{
    struct tokenizer *t;
    pthread_t thread[4];
    REQUIRE(tokenizer_bytes(&env, 300, &t) == VLQA_OK);
    for (int i = 0; i < 4; i++)
        REQUIRE(pthread_create(&thread[i], NULL, encode_often, t) == 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(thread[i], &wrong);
        CHECK(!wrong);
    }
    tokenizer_free(t);
}

TEST(ids_beyond_the_capacity_are_counted_not_written)
{
    struct tokenizer *t;
    size_t bytes = tokenizer_scratch(6);
    void *memory = heap_alloc(bytes);
    struct arena scratch = arena_over(memory, bytes);
    int32_t id[4] = {-7, -7, -7, -7};
    int n;
    REQUIRE(tokenizer_bytes(&env, 300, &t) == VLQA_OK);
    CHECK_EQ(tokenizer_encode(&env, t, "abcdef", 6, &scratch, id, 3, &n), VLQA_OK);
    CHECK_EQ(n, 6);
    CHECK_EQ(id[2], 'c');
    CHECK_EQ(id[3], -7);
    CHECK_EQ(tokenizer_encode(&env, t, "abcdef", 6, &scratch, NULL, 0, &n), VLQA_OK);
    CHECK_EQ(n, 6);
    tokenizer_free(t);
    arena_rewind(&scratch, 0);
    heap_free(memory);
}

TEST(ill_formed_text_is_refused_with_its_offset)
{
    static const struct {
        const char *text, *message;
    } bad[] = {{"ab\xFFz", "byte 2 is 0xFF"},
               {"\xED\xA0\x80", "byte 0 is 0xED"},
               {"a\xE2\x82", "byte 1 is 0xE2"},
               {"<think>\x80", "byte 7 is 0x80"}};
    struct tokenizer *t;
    REQUIRE(tokenizer_bytes(&env, 300, &t) == VLQA_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ids ids = encode(t, bad[i].text, strlen(bad[i].text), 0);
        CHECK_EQ(ids.status, VLQA_ETEXT);
        CHECK_HAS(env.message, bad[i].message);
        free(ids.id);
    }
    tokenizer_free(t);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
