/* test_record.c - every part of a key counts, and nothing else; a record file has its bytes. */
#include "fusion/store/record.h"
#include "fusion/store/store_file.h"
#include "tests/check.h"

#include <sys/mman.h>
#include <unistd.h>

/* No two fields alike, so that swapping any two would show. */
static struct key_parts some_parts(void)
{
    struct key_parts p = {.kind = RECORD_VISUAL,
                          .arithmetic = 3,
                          .cpu = 4,
                          .compute = DT_BF16,
                          .stored = DT_F16,
                          .resize = 5,
                          .image_mode = 6,
                          .width = 640,
                          .height = 480,
                          .grid = {15, 20},
                          .chunker = 7,
                          .k = 8,
                          .index = 9,
                          .halo = 10,
                          .salt = "tenant"};
    memset(p.model.b, 0x11, sizeof p.model.b);
    memset(p.content.b, 0x22, sizeof p.content.b);
    memset(p.prefix.b, 0x33, sizeof p.prefix.b);
    return p;
}

#define MAX_KEYS 512

struct keys {
    struct key key[MAX_KEYS];
    int n;
};

static void add_key(struct keys *keys, const struct key_parts *parts)
{
    if (keys->n < MAX_KEYS) keys->key[keys->n++] = key_of(parts);
}

static int equal_pairs(const struct keys *keys)
{
    int n = 0;
    for (int i = 0; i < keys->n; i++)
        for (int j = 0; j < i; j++)
            n += key_equal(keys->key[i], keys->key[j]);
    return n;
}

TEST(equal_parts_have_equal_keys_whatever_their_padding)
{
    struct key_parts a, b, values = some_parts();
    memset(&a, 0x00, sizeof a);
    memset(&b, 0xff, sizeof b);
#define COPY(field) (a.field = values.field, b.field = values.field)
    COPY(kind), COPY(model), COPY(content), COPY(prefix), COPY(arithmetic), COPY(cpu);
    COPY(compute), COPY(stored), COPY(resize), COPY(image_mode), COPY(width), COPY(height);
    COPY(grid), COPY(chunker), COPY(k), COPY(index), COPY(halo), COPY(salt), COPY(weights);
#undef COPY
    CHECK(key_equal(key_of(&a), key_of(&b)));
    b.salt = (char[]){"tenant"};
    CHECK(key_equal(key_of(&a), key_of(&b)));
}

TEST(each_bit_of_each_number_changes_the_key)
{
    static struct keys keys;
    struct key_parts p = some_parts();
    int32_t *const number[] = {&p.arithmetic, &p.cpu,    &p.resize, &p.image_mode, &p.width,
                               &p.height,     &p.grid.h, &p.grid.w, &p.chunker,    &p.k,
                               &p.index,      &p.halo,   &p.weights};
    keys.n = 0;
    add_key(&keys, &p);
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        for (int bit = 0; bit < 32; bit++) {
            uint32_t flip = (uint32_t)1 << bit;
            *number[i] = (int32_t)((uint32_t)*number[i] ^ flip);
            add_key(&keys, &p);
            *number[i] = (int32_t)((uint32_t)*number[i] ^ flip);
        }
    CHECK_EQ(keys.n, 1 + 13 * 32);
    CHECK_EQ(equal_pairs(&keys), 0);
}

TEST(each_enum_changes_the_key)
{
    static struct keys keys;
    struct key_parts p = some_parts();
    keys.n = 0;
    for (int kind = RECORD_VISUAL; kind <= RECORD_CHUNK; kind++)
        for (int compute = DT_F32; compute <= DT_F16; compute++)
            for (int stored = DT_F32; stored <= DT_ROW_INT4; stored++) {
                p.kind = (enum record_kind)kind;
                p.compute = (enum dtype)compute;
                p.stored = (enum dtype)stored;
                add_key(&keys, &p);
            }
    CHECK_EQ(keys.n, 30);
    CHECK_EQ(equal_pairs(&keys), 0);
}

TEST(each_byte_of_each_hash_changes_the_key)
{
    static struct keys keys;
    struct key_parts p = some_parts();
    struct key *const part[] = {&p.model, &p.content, &p.prefix};
    keys.n = 0;
    add_key(&keys, &p);
    for (int i = 0; i < 3; i++)
        for (int byte = 0; byte < 32; byte++) {
            part[i]->b[byte] ^= 0x80;
            add_key(&keys, &p);
            part[i]->b[byte] ^= 0x80;
        }
    CHECK_EQ(keys.n, 97);
    CHECK_EQ(equal_pairs(&keys), 0);
}

TEST(swapped_parts_change_the_key)
{
    static struct keys keys;
    struct key_parts p = some_parts();
    struct key model = p.model;
    keys.n = 0;
    add_key(&keys, &p);
    p.width = 480, p.height = 640; /* the same pixel bytes, turned */
    add_key(&keys, &p);
    p.grid = (struct grid){20, 15};
    add_key(&keys, &p);
    p.model = p.content, p.content = model;
    add_key(&keys, &p);
    p.k = 9, p.index = 8;
    add_key(&keys, &p);
    CHECK_EQ(equal_pairs(&keys), 0);
}

TEST(salts_do_not_meet)
{
    static struct keys keys;
    static const char *const salts[] = {NULL, "", "a", "b", "aa", "tenant", "tenant ", "Tenant"};
    struct key_parts p = some_parts();
    keys.n = 0;
    for (size_t i = 0; i < sizeof salts / sizeof *salts; i++) {
        p.salt = salts[i];
        add_key(&keys, &p);
    }
    CHECK_EQ(keys.n, 8);
    CHECK_EQ(equal_pairs(&keys), 0);
}

/* A key that changed by accident empties every cache; one that changed on purpose changes here. */
TEST(key_is_the_same_on_every_machine)
{
    struct key_parts p = some_parts();
    char hex[65];
    key_hex(key_of(&p), hex);
    CHECK_STR(hex, "7e4c2d89c41bb44bb243a9bd580178a94ef0877f66d40959272fa37ca1dd76c1");
}

TEST(steps_are_multiples_of_64_and_do_not_overflow)
{
    size_t at = 0, bytes;
    CHECK(record_step(&at, 3, 5, DT_F32, &bytes) && bytes == 60 && at == 64);
    CHECK(record_step(&at, 4, 8, DT_BF16, &bytes) && bytes == 64 && at == 128);
    CHECK(record_step(&at, 1, 1, DT_F16, &bytes) && bytes == 2 && at == 192);
    at = (size_t)1 << 40;
    CHECK(!record_step(&at, INT32_MAX, INT32_MAX, DT_F32, &bytes));
    at = SIZE_MAX - 70;
    CHECK(!record_step(&at, 1, 16, DT_F32, &bytes));
}

/* Version 1 as it lies on disks: two matrices of bf16, [2, 3] and [2, 1]. */
static const uint8_t committed[] = {
    0x76, 0x6c, 0x71, 0x61, 0x2d, 0x72, 0x65, 0x63, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
    0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xf1, 0x1a, 0xbe, 0x76, 0x92, 0x33, 0x3b, 0x2b, 0x3f, 0x38, 0x6b, 0xf6, 0x47, 0xa4, 0x64, 0x60,
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
    0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x0c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5c, 0x31, 0x94, 0x67, 0x2d, 0x2f, 0xad, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x94, 0x29, 0x27, 0x7f, 0x06, 0xe5, 0x7a, 0x53,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x80, 0x3f, 0x81, 0x3f, 0x82, 0x3f, 0x83, 0x3f, 0x84, 0x3f, 0x85, 0x3f, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x40, 0x00, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

static void fill(struct record *r, struct host_mat *mat, uint16_t *first, uint16_t *second)
{
    *r = (struct record){.kind = RECORD_VISUAL, .rows = 2, .grid = {1, 2}, .n_mats = 2, .mat = mat};
    for (int i = 0; i < 32; i++)
        r->key.b[i] = (uint8_t)i;
    for (int i = 0; i < 6; i++)
        first[i] = (uint16_t)(0x3f80 + i);
    second[0] = 0x4000, second[1] = 0xc000;
    mat[0] = host_mat_of(first, DT_BF16, 2, 3);
    mat[1] = host_mat_of(second, DT_BF16, 2, 1);
}

TEST(writer_makes_the_committed_bytes)
{
    uint8_t file[STORE_FILE_MAX_HEAD + 128] = {0}, head[STORE_FILE_MAX_HEAD];
    uint16_t first[6], second[2];
    struct record r;
    struct host_mat mat[2];
    size_t n;
    fill(&r, mat, first, second);
    n = store_file_head(&r, head);
    memcpy(file, head, n);
    memcpy(file + n, first, sizeof first);
    memcpy(file + n + 64, second, sizeof second);
    n += store_file_payload(&r);
    CHECK_EQ(n, sizeof committed);
    CHECK(n == sizeof committed && memcmp(file, committed, n) == 0);
    if (check_failures) /* to commit another */
        for (size_t i = 0; i < n; i++)
            fprintf(stderr, "0x%02x,%s", file[i], i % 16 == 15 ? "\n" : " ");
}

/* A file of these bytes; the caller's until it is taken. */
static int file_of(const uint8_t *bytes, size_t n)
{
    int fd = memfd_create("record", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    return fd;
}

TEST(committed_bytes_are_read)
{
    struct host_mat expected_mat[2], mat[2];
    uint16_t first[6], second[2];
    uint8_t payload[128] __attribute__((aligned(64)));
    struct record expected, r;
    struct store_file file;
    fill(&expected, expected_mat, first, second);
    REQUIRE(store_file_take(file_of(committed, sizeof committed), &file, &r) == STORE_FILE_GOOD);
    CHECK_EQ(store_file_verify(&file, &r), STORE_FILE_GOOD);
    CHECK(key_equal(r.key, expected.key));
    CHECK_EQ(r.kind, RECORD_VISUAL);
    CHECK_EQ(r.rows, 2);
    CHECK(r.grid.h == 1 && r.grid.w == 2);
    REQUIRE(r.n_mats == 2 && store_file_payload_bytes(&file) == sizeof payload);
    r.mat = mat;
    store_file_mats(&file, &r, payload);
    CHECK_EQ(store_file_read(&file, &r), STORE_FILE_GOOD);
    for (int i = 0; i < 2; i++) {
        CHECK(mat[i].dtype == DT_BF16 && mat[i].rows == 2);
        REQUIRE(mat[i].cols == expected_mat[i].cols);
        CHECK(memcmp(mat[i].data, expected_mat[i].data, mat_bytes(DT_BF16, 2, mat[i].cols)) == 0);
        CHECK_EQ((const uint8_t *)mat[i].data - payload, 64 * i);
    }
    store_file_close(&file);
}

/* Of key and table, of the header. */
static void put_sums(uint8_t *file)
{
    uint64_t sum = checksum64(file + 64, 32 + 2 * 32);
    memcpy(file + 48, &sum, 8);
    sum = checksum64(file, 56);
    memcpy(file + 56, &sum, 8);
}

/* The first so many bytes, one number set, both checksums made right again. */
static enum store_file_state state_of(size_t file_bytes, int at, int bytes, uint64_t value)
{
    uint8_t copy[sizeof committed + 64] = {0};
    struct record r;
    memcpy(copy, committed, sizeof committed);
    memcpy(copy + at, &value, (size_t)bytes);
    put_sums(copy);
    return store_file_header(copy, file_bytes, file_bytes, &r);
}

static enum store_file_state state_with(int at, int bytes, uint64_t value)
{
    return state_of(sizeof committed, at, bytes, value);
}

TEST(well_signed_nonsense_is_damaged)
{
    CHECK_EQ(state_with(16, 4, 2), STORE_FILE_GOOD); /* the rows that it has */
    CHECK_EQ(state_with(0, 1, 'V'), STORE_FILE_DAMAGED);
    CHECK_EQ(state_with(8, 4, 2), STORE_FILE_FOREIGN);
    CHECK_EQ(state_with(8, 4, UINT32_MAX), STORE_FILE_FOREIGN);
    for (int at = 12; at < 40; at += 4) { /* kind to zero; the grid may be anything but negative */
        int grid = at == 20 || at == 24;
        CHECK_EQ(state_with(at, 4, UINT32_MAX), STORE_FILE_DAMAGED);
        CHECK_EQ(state_with(at, 4, INT32_MAX), grid ? STORE_FILE_GOOD : STORE_FILE_DAMAGED);
        CHECK_EQ(state_with(at, 4, 3), grid ? STORE_FILE_GOOD : STORE_FILE_DAMAGED);
    }
    CHECK_EQ(state_with(28, 4, 0), STORE_FILE_DAMAGED);
    CHECK_EQ(state_with(28, 4, 513), STORE_FILE_DAMAGED);
    CHECK_EQ(state_with(40, 8, UINT64_MAX), STORE_FILE_DAMAGED);
    CHECK_EQ(state_with(40, 8, 0), STORE_FILE_DAMAGED);
    for (int at = 96; at < 160;
         at += 8) { /* cols, offset, bytes; the section's checksum is later */
        enum store_file_state expected = at % 32 == 24 ? STORE_FILE_GOOD : STORE_FILE_DAMAGED;
        CHECK_EQ(state_with(at, 8, UINT64_MAX), expected);
        CHECK_EQ(state_with(at, 8, UINT64_MAX / 2 + 1), expected);
        CHECK_EQ(state_with(at, 8, 0), expected);
        CHECK_EQ(state_with(at, 8, 64), expected);
    }
}

TEST(file_that_knows_its_wrong_length_is_damaged)
{
    size_t head = 192, whole = sizeof committed;
    for (size_t n = head; n <= whole + 64; n++)
        CHECK_EQ(state_of(n, 40, 8, n - head), n == whole ? STORE_FILE_GOOD : STORE_FILE_DAMAGED);
}

static void turn(uint8_t *at, size_t bytes) /* a number, last byte first */
{
    for (size_t i = 0; i < bytes / 2; i++) {
        uint8_t byte = at[i];
        at[i] = at[bytes - 1 - i];
        at[bytes - 1 - i] = byte;
    }
}

/* As a machine that writes the high byte first would make it, with sums that are right in its
 * order, or in ours. */
TEST(a_file_in_the_other_order_of_bytes_is_not_taken)
{
    uint8_t copy[sizeof committed];
    struct record r;
    memcpy(copy, committed, sizeof copy);
    for (size_t at = 8; at < 40; at += 4)
        turn(copy + at, 4);
    for (size_t at = 40; at < 64; at += 8)
        turn(copy + at, 8);
    for (size_t at = 96; at < 160; at += 8)
        turn(copy + at, 8);
    for (size_t at = 192; at < sizeof copy; at += 2)
        turn(copy + at, 2);
    CHECK_EQ(store_file_header(copy, sizeof copy, sizeof copy, &r), STORE_FILE_DAMAGED);
    put_sums(copy);
    CHECK_EQ(store_file_header(copy, sizeof copy, sizeof copy, &r), STORE_FILE_FOREIGN);
    copy[8] = 1, copy[11] = 0; /* even if only its version were in ours */
    put_sums(copy);
    CHECK_EQ(store_file_header(copy, sizeof copy, sizeof copy, &r), STORE_FILE_DAMAGED);
}

TEST(every_prefix_of_a_file_is_damaged)
{
    struct record r;
    for (size_t n = 0; n < sizeof committed; n++) {
        uint8_t *block = malloc(n ? n : 1); /* of that size: the sanitizer sees reads behind it */
        REQUIRE(block);
        memcpy(block, committed, n);
        CHECK_EQ(store_file_header(block, n, n, &r), STORE_FILE_DAMAGED);
        free(block);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
