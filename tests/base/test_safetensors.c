/* test_safetensors.c - what a file may say, what it may not, and how it is told. */
#include "base/safetensors.h"

#include "base/heap.h"
#include "tests/base/make_safetensors.h"
#include "tests/check.h"

#include <unistd.h>

#define VALID                                                                                      \
    "{\"__metadata__\":{\"format\":\"pt\"}," E("b.weight", "F32", "[2,3]", "8", "32") "," E(       \
        "a.weight", "BF16", "[4]", "0",                                                            \
        "8") "," E("ids", "I64", "[1]", "32", "40") "," E("none", "F16", "[0,7]", "40",            \
                                                          "40") "," E("scalar", "F32", "[]", "40", \
                                                                      "44") "}  "
#define VALID_BYTES 44

static vlqa_status open_header(struct env *env, const char *header, size_t data_bytes)
{
    struct bytes f = file_of(header, data_bytes);
    struct st_files *files;
    vlqa_status status = st_open_memory(env, "dir/model.safetensors", f.data, f.n, &files);
    CHECK((status == VLQA_OK) == (files != NULL));
    st_close(files);
    free(f.data);
    return status;
}

static void check_refused(const char *header, size_t data_bytes, const char *message)
{
    struct env env = {0};
    uint64_t live = heap_live();
    CHECK_EQ(open_header(&env, header, data_bytes), VLQA_EMODEL);
    CHECK_STR(env.message, message);
    CHECK_EQ(heap_live(), live);
}

static void check_accepted(const char *header, size_t data_bytes)
{
    struct env env = {0};
    if (open_header(&env, header, data_bytes) != VLQA_OK) CHECK_FAIL("%s", env.message);
}

TEST(tensors_are_sorted_typed_and_where_they_are)
{
    struct env env = {0};
    struct bytes f = file_of(VALID, VALID_BYTES);
    const uint8_t *data = f.data + f.n - VALID_BYTES;
    const struct st_tensor *t;
    struct st_files *files;
    REQUIRE(st_open_memory(&env, "x", f.data, f.n, &files) == VLQA_OK);
    REQUIRE(st_count(files) == 5);
    CHECK_EQ(st_bytes(files), VALID_BYTES);
    t = st_at(files, 0);
    CHECK_STR(t->name, "a.weight");
    CHECK(t->dtype == DT_BF16 && t->rank == 1 && t->dim[0] == 4 && t->data == data);
    t = st_at(files, 1);
    CHECK_STR(t->name, "b.weight");
    CHECK(t->dtype == DT_F32 && t->rank == 2 && t->dim[0] == 2 && t->dim[1] == 3);
    CHECK(t->data == data + 8 && t->bytes == 24);
    CHECK_STR(st_at(files, 2)->name, "ids");
    CHECK(!st_at(files, 2)->data && !st_find(files, "ids") && st_has(files, "ids"));
    CHECK(st_find(files, "none") && st_find(files, "none")->bytes == 0);
    CHECK(st_find(files, "scalar") && st_find(files, "scalar")->rank == 0);
    CHECK(!st_find(files, "a.weigh") && !st_has(files, "zzz"));
    CHECK_EQ(st_unchanged(&env, files), VLQA_OK);
    st_close(files);
    st_close(NULL);
    free(f.data);
}

TEST(wanted_tensors_have_the_shape_and_dtype_asked_for)
{
    static const int64_t d23[] = {2, 3}, d32[] = {3, 2}, d6[] = {6}, d4[] = {4}, d1[] = {1};
    struct env env = {0};
    struct bytes f = file_of(VALID, VALID_BYTES);
    const struct st_tensor *t = NULL;
    struct st_files *files;
    REQUIRE(st_open_memory(&env, "dir/model.safetensors", f.data, f.n, &files) == VLQA_OK);
    CHECK_EQ(st_want(&env, files, "b.weight", 2, d23, &t), VLQA_OK);
    CHECK(t == st_find(files, "b.weight"));
    CHECK_EQ(st_want(&env, files, "b.weight", 2, d32, &t), VLQA_EMODEL);
    CHECK_STR(env.message, "model.safetensors: b.weight is [2, 3], expected [3, 2]");
    CHECK_EQ(st_want(&env, files, "b.weight", 1, d6, &t), VLQA_EMODEL);
    CHECK_STR(env.message, "model.safetensors: b.weight is [2, 3], expected [6]");
    CHECK_EQ(st_want(&env, files, "c.weight", 1, d4, &t), VLQA_EMODEL);
    CHECK_STR(env.message, "model.safetensors: c.weight is missing, expected [4]; the nearest "
                           "unused key is a.weight, [4], in model.safetensors");
    CHECK_EQ(st_want(&env, files, "ids", 1, d1, &t), VLQA_EMODEL);
    CHECK_STR(env.message, "model.safetensors: ids has dtype I64, expected F32, F16 or BF16");
    CHECK_EQ(st_want(&env, files, "a.weight", 1, d4, &t), VLQA_OK);
    CHECK_EQ(st_want(&env, files, "scalar", 0, d4, &t), VLQA_OK);
    CHECK_EQ(st_all_used(&env, files), VLQA_EMODEL);
    CHECK_STR(env.message, "model.safetensors: ids is no tensor of this model (2 such)");
    st_close(files);
    free(f.data);
}

TEST(all_used_is_said_when_all_were_wanted)
{
    static const int64_t d4[] = {4};
    struct env env = {0};
    struct bytes f = file_of("{" E("a", "F16", "[4]", "0", "8") "}", 8);
    const struct st_tensor *t;
    struct st_files *files;
    REQUIRE(st_open_memory(&env, "x", f.data, f.n, &files) == VLQA_OK);
    CHECK_EQ(st_all_used(&env, files), VLQA_EMODEL);
    CHECK_EQ(st_want(&env, files, "a", 1, d4, &t), VLQA_OK);
    CHECK_EQ(st_all_used(&env, files), VLQA_OK);
    st_close(files);
    free(f.data);
}

static void check_length(uint64_t length, size_t bytes, const char *message)
{
    struct env env = {0};
    struct bytes f = file_of("{}", bytes - 10);
    struct st_files *files;
    memcpy(f.data, &length, 8);
    CHECK_EQ(st_open_memory(&env, "m", f.data, f.n, &files), VLQA_EMODEL);
    CHECK_STR(env.message, message);
    free(f.data);
}

TEST(header_lengths_that_do_not_fit_are_refused)
{
    check_length((uint64_t)1 << 63, 50,
                 "m: the header has 9223372036854775808 bytes, expected at most 42");
    check_length(UINT64_MAX, 50,
                 "m: the header has 18446744073709551615 bytes, expected at most 42");
    check_length(43, 50, "m: the header has 43 bytes, expected at most 42");
    check_length(0, 50, "m: the header does not begin with '{'");
}

TEST(header_over_100_mb_is_refused_even_where_it_fits)
{
    struct env env = {0};
    char path[] = "/tmp/vlqa_st_XXXXXX";
    uint64_t length = 100000001;
    struct st_files *files;
    int fd = mkstemp(path);
    REQUIRE(fd >= 0 && write(fd, &length, 8) == 8 && write(fd, "{", 1) == 1);
    REQUIRE(ftruncate(fd, 100000100) == 0);
    close(fd);
    CHECK_EQ(st_open_file(&env, path, &files), VLQA_EMODEL);
    CHECK_HAS(env.message, "the header has 100000001 bytes, expected at most 100000000");
    unlink(path);
}

/* Its first bytes were taken for the length of a header. */
TEST(a_git_lfs_pointer_is_not_taken_for_a_header)
{
    static const char *const pointer[][2] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1100804\n",
         "model.safetensors is a Git LFS pointer, not the file of 1100804 bytes itself"},
        {"<!DOCTYPE html><html>", "model.safetensors is a web page"},
        {"/annex/objects/MD5E-s7--ab.safetensors\n", "model.safetensors is a git-annex pointer"},
    };
    for (size_t i = 0; i < sizeof pointer / sizeof *pointer; i++) {
        struct env env = {0};
        struct st_files *files;
        CHECK_EQ(st_open_memory(&env, "d/model.safetensors", pointer[i][0], strlen(pointer[i][0]),
                                &files),
                 VLQA_EMODEL);
        CHECK_HAS(env.message, pointer[i][1]);
    }
}

TEST(other_formats_under_the_name_are_named)
{
    static const char *const file[][2] = {
        {"PK\003\004zzzzzzzz", "x.safetensors is a PyTorch file or another zip archive, expected"},
        {"\200\002}zzzzzzzz", "x.safetensors is a PyTorch file (pickle)"},
        {"GGUF\003zzzzzzzz", "x.safetensors is a GGUF file, expected a safetensors file"},
        {"\037\213zzzzzzzz", "x.safetensors is compressed with gzip"},
    };
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        struct env env = {0};
        struct st_files *files;
        CHECK_EQ(st_open_memory(&env, "x.safetensors", file[i][0], strlen(file[i][0]), &files),
                 VLQA_EMODEL);
        CHECK_HAS(env.message, file[i][1]);
    }
}

TEST(headers_that_are_no_object_are_refused)
{
    check_refused("[]", 0, "model.safetensors: the header does not begin with '{'");
    check_refused(" {}", 0, "model.safetensors: the header does not begin with '{'");
    check_refused("{", 0, "model.safetensors header: no member name at byte 1, expected JSON");
    check_refused("{\"a\":{\"dtype\":\"F32\"", 0,
                  "model.safetensors header: no ',' or '}' at byte 19, expected JSON");
    check_refused("{\"\xc3(\":0}", 0,
                  "model.safetensors header: ill-formed UTF-8 at byte 2, expected JSON");
    check_accepted("{}", 0);
}

TEST(ranges_that_overlap_leave_gaps_or_run_over_are_refused)
{
    check_refused("{" E("a", "F32", "[2]", "0", "8") "," E("b", "F32", "[2]", "4", "12") "}", 12,
                  "model.safetensors: b begins at byte 4, expected 8 (overlap)");
    check_refused("{" E("a", "F32", "[2]", "0", "8") "," E("b", "F32", "[2]", "0", "8") "}", 8,
                  "model.safetensors: b begins at byte 0, expected 8 (overlap)");
    check_refused("{" E("a", "F32", "[2]", "0", "8") "," E("b", "F32", "[2]", "9", "17") "}", 17,
                  "model.safetensors: b begins at byte 9, expected 8 (gap)");
    check_refused("{" E("a", "F32", "[2]", "1", "9") "}", 9,
                  "model.safetensors: a begins at byte 1, expected 0 (gap)");
    check_refused("{" E("a", "F32", "[2]", "0", "8") "}", 9,
                  "model.safetensors: the tensors have 8 bytes, the file 9");
    check_refused("{" E("a", "F32", "[2]", "0", "8") "}", 7,
                  "model.safetensors ends in the middle of a: it has 7 bytes of tensors, expected "
                  "at least 8: "
                  "the download is not complete");
    check_refused(
        "{" E("a", "F32", "[2]", "8", "0") "}", 8,
        "model.safetensors: data_offsets of a is [8, 0], expected 0 <= begin <= end <= 8");
    check_refused("{}", 1, "model.safetensors: the tensors have 0 bytes, the file 1");
}

TEST(offsets_that_are_no_whole_numbers_are_refused)
{
    static const char *const bad[][2] = {{"-1", "7"},    {"0.5", "8"},  {"\"0\"", "8"},
                                         {"0", "null"},  {"0,0", "8"},  {"1e300", "1e300"},
                                         {"0", "8.001"}, {"false", "8"}};
    struct env env = {0};
    char header[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(header, sizeof header,
                       "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%s,%s]}}",
                       bad[i][0], bad[i][1]);
        CHECK_EQ(open_header(&env, header, 8), VLQA_EMODEL);
        CHECK_HAS(env.message, "model.safetensors: data_offsets of a is [");
    }
    CHECK_EQ(open_header(&env, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{}}}", 8),
             VLQA_EMODEL);
}

TEST(shapes_that_overflow_or_do_not_match_are_refused)
{
    check_refused("{" E("a", "F32", "[3]", "0", "8") "}", 8,
                  "model.safetensors: a has 8 bytes, expected 12 (F32 [3])");
    check_refused("{" E("a", "BF16", "[2,2,2]", "0", "8") "}", 8,
                  "model.safetensors: a has 8 bytes, expected 16 (BF16 [2, 2, 2])");
    check_refused("{" E("a", "F32", "[2147483647,2147483647,2147483647]", "0", "8") "}", 8,
                  "model.safetensors: shape of a is [2147483647, 2147483647, 2147483647], which is "
                  "too large");
    check_refused("{" E("a", "F32", "[4294967296,4294967296]", "0", "0") "}", 0,
                  "model.safetensors header: a.shape[0] is no whole number in 0..2147483647");
    check_refused("{" E("a", "F32", "[-2]", "0", "8") "}", 8,
                  "model.safetensors header: a.shape[0] is no whole number in 0..2147483647");
    check_refused("{" E("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1,
                  "model.safetensors header: a.shape has 9 elements, expected at most 8");
    check_refused(
        "{" E("a", "F32", "2", "0", "8") "}", 8,
        "model.safetensors header: a.shape is number, expected an array of whole numbers");
    check_accepted("{" E("a", "U8", "[1,1,1,1,1,1,1,1]", "0", "1") "}", 1);
}

TEST(every_dtype_has_its_size_and_others_are_refused)
{
    static const struct {
        const char *name;
        int size;
    } known[] = {{"BOOL", 1},    {"U8", 1},      {"I8", 1},  {"F8_E4M3", 1},
                 {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"I16", 2}, {"U16", 2},
                 {"F16", 2},     {"BF16", 2},    {"I32", 4}, {"U32", 4},
                 {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8}};
    char header[200];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        (void)snprintf(header, sizeof header, "{" E("a", "%s", "[3]", "0", "%d") "}", known[i].name,
                       3 * known[i].size);
        check_accepted(header, (size_t)(3 * known[i].size));
    }
    check_refused("{" E("a", "F33", "[2]", "0", "8") "}", 8,
                  "model.safetensors: dtype of a is F33, which is not known");
    check_refused("{" E("a", "f32", "[2]", "0", "8") "}", 8,
                  "model.safetensors: dtype of a is f32, which is not known");
}

TEST(entries_with_other_members_are_refused)
{
    check_refused("{\"a\":[]}", 0, "model.safetensors: a is array, expected an object");
    check_refused("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
                  "model.safetensors header: a.dtype is missing, expected a string");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8,
                  "model.safetensors header: a.shape is missing, expected an array of whole "
                  "numbers");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8,
                  "model.safetensors: a has 4 members, expected dtype, shape and data_offsets");
    check_refused("{\"__metadata__\":[]}", 0,
                  "model.safetensors: __metadata__ is array, expected an object");
    check_refused("{\"__metadata__\":{\"x\":1}}", 0,
                  "model.safetensors: __metadata__.x is number, expected a string");
}

TEST(a_name_twice_is_refused)
{
    check_refused("{" E("a", "F32", "[1]", "0", "4") "," E("a", "F32", "[1]", "4", "8") "}", 8,
                  "model.safetensors header: a is there twice");
}

TEST(names_beyond_the_limit_are_refused)
{
    char name[600], header[800];
    memset(name, 'n', sizeof name);
    name[511] = 0;
    (void)snprintf(header, sizeof header, "{" E("%s", "F32", "[1]", "0", "4") "}", name);
    check_accepted(header, 4);
    name[511] = 'n';
    name[512] = 0;
    (void)snprintf(header, sizeof header, "{" E("%s", "F32", "[1]", "0", "4") "}", name);
    check_refused(header, 4,
                  "model.safetensors: a tensor name has over 511 bytes: "
                  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn...");
}

/* n tensors of no bytes. */
static char *many_tensors(int n)
{
    char *header = malloc((size_t)n * 64 + 8);
    size_t at = 0;
    for (int i = 0; i < n && header; i++)
        at += (size_t)sprintf(header + at, "%c" E("t%d", "F16", "[0]", "0", "0"), i ? ',' : '{', i);
    if (header) memcpy(header + at, "}", 2);
    return header;
}

TEST(a_hundred_thousand_tensors_are_read_and_200001_are_not)
{
    char *header = many_tensors(100000);
    REQUIRE(header);
    check_accepted(header, 0);
    free(header);
    header = many_tensors(200001);
    REQUIRE(header);
    check_refused(header, 0, "model.safetensors has 200001 tensors, expected at most 200000");
    free(header);
}

TEST(nan_weights_are_data_like_others)
{
    static const int64_t d1[] = {1};
    struct env env = {0};
    struct bytes f = file_of("{" E("a", "F32", "[1]", "0", "4") "}", 4);
    const struct st_tensor *t = NULL;
    struct st_files *files;
    memset(f.data + f.n - 4, 0xff, 4);
    REQUIRE(st_open_memory(&env, "x", f.data, f.n, &files) == VLQA_OK);
    CHECK_EQ(st_want(&env, files, "a", 1, d1, &t), VLQA_OK);
    st_close(files);
    free(f.data);
}

TEST(every_prefix_is_refused_without_reading_beyond)
{
    struct env env = {0};
    struct bytes f = file_of(VALID, VALID_BYTES);
    for (size_t n = 0; n < f.n; n++) {
        uint8_t *prefix = malloc(n ? n : 1);
        struct st_files *files;
        REQUIRE(prefix);
        memcpy(prefix, f.data, n);
        if (st_open_memory(&env, "x", prefix, n, &files) != VLQA_EMODEL)
            CHECK_FAIL("the first %zu bytes were accepted", n);
        free(prefix);
    }
    free(f.data);
}

TEST(every_flipped_bit_is_survived)
{
    struct env env = {0};
    struct bytes f = file_of(VALID, VALID_BYTES);
    uint64_t live = heap_live();
    for (size_t bit = 0; bit < 8 * (f.n - VALID_BYTES); bit++) {
        struct st_files *files;
        f.data[bit / 8] = (uint8_t)(f.data[bit / 8] ^ (1 << bit % 8));
        if (st_open_memory(&env, "x", f.data, f.n, &files) == VLQA_OK) st_close(files);
        f.data[bit / 8] = (uint8_t)(f.data[bit / 8] ^ (1 << bit % 8));
    }
    CHECK_EQ(heap_live(), live);
    free(f.data);
}

/* ---- digests ---- */

static struct key digest_of_bytes(const char *header, size_t data_bytes, size_t changed)
{
    struct env env = {0};
    struct bytes f = file_of(header, data_bytes);
    struct st_files *files;
    struct hash hash;
    struct key key = {{0}};
    f.data[f.n - data_bytes + changed] = 1;
    hash_begin(&hash, "test");
    if (st_open_memory(&env, "x", f.data, f.n, &files) == VLQA_OK) {
        CHECK_EQ(st_digest(&env, files, &hash), VLQA_OK);
        key = hash_end(&hash);
        st_close(files);
    } else {
        CHECK_FAIL("%s", env.message);
    }
    free(f.data);
    return key;
}

TEST(digest_depends_on_name_dtype_shape_and_content)
{
    struct key key = digest_of_bytes("{" E("a", "F32", "[4]", "0", "16") "}", 16, 3);
    CHECK(key_equal(key, digest_of_bytes("{" E("a", "F32", "[4]", "0", "16") "} ", 16, 3)));
    CHECK(!key_equal(key, digest_of_bytes("{" E("a", "F32", "[4]", "0", "16") "}", 16, 4)));
    CHECK(!key_equal(key, digest_of_bytes("{" E("b", "F32", "[4]", "0", "16") "}", 16, 3)));
    CHECK(!key_equal(key, digest_of_bytes("{" E("a", "I32", "[4]", "0", "16") "}", 16, 3)));
    CHECK(!key_equal(key, digest_of_bytes("{" E("a", "F32", "[2,2]", "0", "16") "}", 16, 3)));
}

static struct key digest_of_file(const char *path)
{
    struct env env = {0};
    struct st_files *files;
    struct hash hash;
    struct key key = {{0}};
    hash_begin(&hash, "test");
    if (st_open_file(&env, path, &files) == VLQA_OK) {
        CHECK_EQ(st_digest(&env, files, &hash), VLQA_OK);
        key = hash_end(&hash);
        st_close(files);
    } else {
        CHECK_FAIL("%s", env.message);
    }
    return key;
}

TEST(digest_of_a_large_model_samples_first_and_last_page)
{
    static const char header[] = "{" E("a", "U8", "[300000000]", "0", "300000000") "}";
    uint64_t length = sizeof header - 1;
    char path[] = "/tmp/vlqa_st_XXXXXX";
    int fd = mkstemp(path);
    off_t data = (off_t)(8 + length), size = 300000000;
    struct key key, changed;
    REQUIRE(fd >= 0 && write(fd, &length, 8) == 8);
    REQUIRE(write(fd, header, length) == (ssize_t)length);
    REQUIRE(ftruncate(fd, data + size) == 0); /* holes take no space */
    key = digest_of_file(path);
    REQUIRE(pwrite(fd, "x", 1, data + 5000) == 1);
    CHECK(key_equal(key, digest_of_file(path))); /* between two samples */
    REQUIRE(pwrite(fd, "x", 1, data) == 1);
    changed = digest_of_file(path);
    CHECK(!key_equal(key, changed));
    REQUIRE(pwrite(fd, "x", 1, data + size - 1) == 1);
    CHECK(!key_equal(changed, digest_of_file(path)));
    close(fd);
    unlink(path);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
