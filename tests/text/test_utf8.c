/* test_utf8.c - the stream decoder against Python's, whole and in every two parts. */
#include "tests/check.h"
#include "text/utf8.h"

#define VECTORS VLQA_SOURCE_DIR "/tests/golden/utf8.txt"

/* Decodes in parts of `first` bytes and the rest. */
static size_t decode(const char *in, size_t bytes, size_t first, char *out)
{
    struct utf8_stream s = {.n_tail = 0};
    size_t n = utf8_stream_push(&s, in, first, out);
    n += utf8_stream_push(&s, in + first, bytes - first, out + n);
    return n + utf8_stream_end(&s, out + n);
}

static size_t from_hex(const char *hex, char *out)
{
    size_t n = 0;
    unsigned byte;
    for (; *hex != '-' && sscanf(hex, "%2x", &byte) == 1; hex += 2)
        out[n++] = (char)byte;
    return n;
}

TEST(any_split_decodes_as_python_does)
{
    char left[256], right[256], in[128], expected[128], out[512];
    int n_vectors = 0;
    FILE *f = fopen(VECTORS, "r");
    REQUIRE(f);
    while (fscanf(f, "%255s %255s", left, right) == 2) {
        size_t bytes = from_hex(left, in), n_expected = from_hex(right, expected);
        n_vectors++;
        for (size_t first = 0; first <= bytes; first++) {
            size_t n = decode(in, bytes, first, out);
            if (n != n_expected || memcmp(out, expected, n) != 0)
                CHECK_FAIL("%s in parts of %zu and the rest: other text", left, first);
        }
        if ((utf8_valid(in, bytes) == bytes) !=
            (bytes == n_expected && memcmp(in, expected, bytes) == 0))
            CHECK_FAIL("%s: valid up to %zu", left, utf8_valid(in, bytes));
    }
    fclose(f);
    CHECK(n_vectors > 150);
}

static uint32_t fnv(uint32_t value, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        value = (value ^ (uint8_t)text[i]) * 0x01000193u;
    return value;
}

/* All sequences of up to four of these bytes, each pushed byte by byte. */
TEST(all_sequences_of_edge_bytes_decode_as_python_does)
{
    static const char edge[] = "\x41\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF"
                               "\xE0\xE1\xEC\xED\xEE\xEF\xF0\xF1\xF3\xF4\xF5\xFF";
    char line[512];
    uint32_t found = 0x811C9DC5u;
    FILE *f = fopen(VECTORS, "r");
    REQUIRE(f);
    while (fgets(line, sizeof line, f))
        continue; /* the last line stays */
    fclose(f);
    for (int n = 1, count = 24; n <= 4; n++, count *= 24)
        for (int k = 0; k < count; k++) {
            struct utf8_stream s = {.n_tail = 0};
            char out[16];
            size_t written = 0;
            for (int i = 0, place = count / 24; i < n; i++, place /= 24)
                written += utf8_stream_push(&s, &edge[k / place % 24], 1, out + written);
            written += utf8_stream_end(&s, out + written);
            found = fnv(fnv(found, out, written), "\n", 1);
        }
    CHECK_EQ(found, strtoul(line, NULL, 16));
}

TEST(half_a_code_point_is_held_back)
{
    struct utf8_stream s = {.n_tail = 0};
    char out[32];
    CHECK_EQ(utf8_stream_push(&s, "a\xF0\x9F", 3, out), 1);
    CHECK_EQ(utf8_stream_push(&s, "\x99", 1, out), 0);
    CHECK_EQ(utf8_stream_push(&s, "\x82", 1, out), 4);
    CHECK(memcmp(out, "\xF0\x9F\x99\x82", 4) == 0);
    CHECK_EQ(utf8_stream_end(&s, out), 0);
}

TEST(valid_gives_the_offset_of_the_first_bad_byte)
{
    CHECK_EQ(utf8_valid("", 0), 0);
    CHECK_EQ(utf8_valid("a\0b", 3), 3);
    CHECK_EQ(utf8_valid("ab\xC3", 3), 2);
    CHECK_EQ(utf8_valid("\xC3\xA9\xED\xA0\x80", 5), 2);
    CHECK_EQ(utf8_valid("\xF4\x90\x80\x80", 4), 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
