/* test_kept.c - what a chunk leaves in the KV, from memory, from disk and from another process, in
 * the format of the KV and in eight and four bits; and what these cost. */
#include "tests/device_memory.h"
#include "tests/fusion/sample_lab.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KV_BYTES ((size_t)1 << 22)

/* Two pictures behind each other are in it. */
static int run_open(struct run *r, enum vlqa_dtype dtype, enum vlqa_dtype kv, const char *dir)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.dtype = dtype;
    eo.kv_dtype = kv;
    eo.threads = 1;
    eo.cache_dir = dir;
    if (!run_start(r, eo, 512)) return 0;
    add_image(r->session, CHART("february"));
    add_image(r->session, CHART("cows"));
    return !check_failures;
}

struct left { /* what a question left behind */
    float logits[VOCAB];
    int rows, made, ram, disk;
    size_t bytes;
    char kv[KV_BYTES]; /* of every layer, tokens [0, tokens) */
};

static void note_left(const struct vlqa_session *s, const struct vlqa_answer *a, struct left *out)
{
    memcpy(out->logits, a->logits, sizeof out->logits);
    out->rows = a->tokens_total;
    out->made = a->chunks_computed;
    out->ram = a->chunks_ram;
    out->disk = a->chunks_disk;
    out->bytes = 0;
    for (int i = 0; i < 2 * s->kv.layers; i++) {
        struct mat m = i % 2 ? s->kv.v[i / 2] : s->kv.k[i / 2];
        size_t bytes = mat_bytes(m.dtype, a->tokens_total, m.cols);
        REQUIRE(bytes <= KV_BYTES - out->bytes);
        CHECK_EQ(queue_read(s->queue, out->kv + out->bytes, mat_rows(m, 0, a->tokens_total)),
                 VLQA_OK);
        out->bytes += bytes;
    }
}

static void ask(struct vlqa_session *s, enum reuse reuse, struct left *out)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    memset(out, 0, sizeof *out);
    o.halo = CHART_HALO;
    o.max_tokens = 1;
    set_reuse(&o, reuse);
    o.chunker = VLQA_CHUNK_GRID;
    if (vlqa_ask(s, "What is the value of February?", &o, &a, sizeof a) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(s));
    else
        note_left(s, &a, out);
}

static int same_left(const struct left *a, const struct left *b)
{
    return a->bytes > 0 && a->rows == b->rows && a->bytes == b->bytes &&
           memcmp(a->kv, b->kv, a->bytes) == 0 &&
           memcmp(a->logits, b->logits, sizeof a->logits) == 0;
}

static struct left *left_new(void) /* that a child can fill */
{
    void *at =
        mmap(NULL, sizeof(struct left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) abort();
    return at;
}

static void left_free(struct left *left)
{
    (void)munmap(left, sizeof *left);
}

/* Another process asks first, and is gone. */
static void ask_elsewhere(enum vlqa_dtype kv, const char *dir, struct left *out)
{
    int status = 0;
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        struct run r;
        if (!run_open(&r, VLQA_DTYPE_BF16, kv, dir)) _exit(1);
        ask(r.session, REUSE_NONE, out);
        run_close(&r);
        _exit(check_failures != 0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void check_sources(enum vlqa_dtype kv, const char *dir)
{
    struct left *other = left_new(), *here = left_new();
    struct run r;
    ask_elsewhere(kv, dir, other);
    CHECK_EQ(other->made, 8);
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, kv, NULL)); /* cold, on its own */
    ask(r.session, REUSE_NONE, here);
    CHECK_EQ(here->made, 8);
    CHECK(same_left(other, here));
    run_close(&r);
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, kv, dir));
    ask(r.session, REUSE_NONE, here);
    CHECK_EQ(here->disk, 8);
    CHECK(same_left(other, here));
    ask(r.session, REUSE_FULL, here);
    CHECK(!same_left(other, here));
    ask(r.session, REUSE_NONE, here);
    CHECK_EQ(here->ram, 8);
    CHECK(same_left(other, here));
    run_close(&r);
    left_free(other);
    left_free(here);
}

TEST(a_chunk_leaves_the_same_bits_wherever_it_comes_from)
{
    char dir[] = "/tmp/vlqa-test-XXXXXX", command[64];
    REQUIRE(mkdtemp(dir));
    check_sources(VLQA_DTYPE_AUTO, dir);
    check_sources(VLQA_DTYPE_INT8, dir); /* beside the others */
    check_sources(VLQA_DTYPE_INT4, dir);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

TEST(fewer_bits_are_near_and_what_is_computed_has_all_of_them)
{
    for (int i = 0; i < 4; i++) {
        struct left *full = left_new(), *kept = left_new(), *coded = left_new();
        enum vlqa_dtype dtype = i % 2 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32;
        struct vlqa_model_info info;
        struct run r;
        struct check_diff c;
        REQUIRE(run_open(&r, dtype, VLQA_DTYPE_AUTO, NULL));
        ask(r.session, REUSE_NONE, kept);
        run_close(&r);
        REQUIRE(run_open(&r, dtype, i < 2 ? VLQA_DTYPE_INT8 : VLQA_DTYPE_INT4, NULL));
        REQUIRE(vlqa_engine_info(r.engine, &info, sizeof info) == VLQA_OK);
        CHECK_STR(info.kv_dtype, i % 2 ? "bf16" : "f32");
        CHECK_STR(info.chunk_dtype, i < 2 ? "int8" : "int4");
        ask(r.session, REUSE_NONE, coded);
        c = check_compare(coded->logits, kept->logits, VOCAB);
        CHECK(c.max_abs > 0 && c.cosine > (i < 2 ? 0.999 : 0.99));
        ask(r.session, REUSE_OFF, full);
        ask(r.session, REUSE_FULL, coded);
        CHECK(same_left(full, coded));
        run_close(&r);
        left_free(full);
        left_free(kept);
        left_free(coded);
    }
}

static int add_chunk(void *user, const struct vlqa_record *record)
{
    uint64_t *bytes = user;
    if (record->kind == VLQA_RECORD_CHUNK) *bytes += record->bytes;
    return 0;
}

TEST(fewer_bits_take_half_and_a_third_of_bf16)
{
    static const enum vlqa_dtype kv[] = {VLQA_DTYPE_AUTO, VLQA_DTYPE_INT8, VLQA_DTYPE_INT4};
    uint64_t bytes[3] = {0};
    int64_t per_row[3] = {0};
    for (int i = 0; i < 3; i++) {
        struct vlqa_cache_options o = vlqa_cache_options_default();
        char dir[] = "/tmp/vlqa-test-XXXXXX", command[64];
        struct vlqa_model_info info;
        struct left *left = left_new();
        struct run r;
        REQUIRE(mkdtemp(dir));
        REQUIRE(run_open(&r, VLQA_DTYPE_BF16, kv[i], dir));
        ask(r.session, REUSE_NONE, left);
        REQUIRE(vlqa_engine_info(r.engine, &info, sizeof info) == VLQA_OK);
        run_close(&r);
        per_row[i] = info.chunk_bytes_per_token;
        CHECK_EQ(info.kv_bytes_per_token, 8 * 2 * 2 * 64 * 2); /* layers, K and V, heads, bf16 */
        o.dir = dir;
        o.user = &bytes[i];
        CHECK(vlqa_cache_scan(&o, add_chunk) == VLQA_OK);
        left_free(left);
        snprintf(command, sizeof command, "rm -rf %s", dir);
        CHECK(system(command) == 0);
    }
    CHECK_EQ(per_row[0], 8 * 2 * 2 * 64 * 2);
    CHECK_EQ(per_row[1], 8 * 2 * 2 * (64 + 4));
    CHECK_EQ(per_row[2], 8 * 2 * 2 * (64 / 2 + 64 / 32 * 4));
    CHECK(bytes[2] > bytes[0] / 4 && (double)bytes[2] < 0.36 * (double)bytes[0]);
    CHECK(bytes[1] > bytes[0] / 2 && (double)bytes[1] < 0.56 * (double)bytes[0]);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
