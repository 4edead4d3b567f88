/* test_gpu_cache.c - copies of chunks in the memory of a GPU: which stay, who may use them, and
 * that no answer differs by them. */
#include "base/heap.h"
#include "fusion/session/session.h"
#include "tests/check.h"
#include "tests/cuda/emu_device.h"

/* ---- the cache alone ---- */

#define COLS 64
#define ROWS 8
#define PAYLOAD (2 * ROWS * COLS * sizeof(float))
#define RECORDS 6

struct lab {
    struct env env;
    struct device *device;
    struct queue *queue, *other;
    struct store_gpu *g;
    struct record record[RECORDS];
    struct host_mat mat[RECORDS][2];
    float *data[RECORDS];
};

static int lab_open(struct lab *lab, size_t bytes)
{
    memset(lab, 0, sizeof *lab);
    if (emu_open(&lab->env, &lab->device) != VLQA_OK ||
        queue_open(lab->device, &lab->env, &lab->queue) != VLQA_OK ||
        queue_open(lab->device, &lab->env, &lab->other) != VLQA_OK)
        return 0;
    for (int i = 0; i < RECORDS; i++) {
        struct record *r = &lab->record[i];
        lab->data[i] = heap_alloc(PAYLOAD);
        for (size_t k = 0; k < PAYLOAD / sizeof(float); k++)
            lab->data[i][k] = (float)(i * 10000 + (int)k);
        lab->mat[i][0] = host_mat_of(lab->data[i], DT_F32, ROWS, COLS);
        lab->mat[i][1] = host_mat_of(lab->data[i] + ROWS * COLS, DT_F32, ROWS, COLS);
        *r = (struct record){.rows = ROWS, .n_mats = 2, .mat = lab->mat[i]};
        r->key.b[0] = (uint8_t)(i + 1);
    }
    lab->g = store_gpu_open(&lab->env, lab->device, bytes);
    return 1;
}

static void lab_close(struct lab *lab)
{
    queue_close(lab->queue);
    queue_close(lab->other);
    store_gpu_close(lab->g);
    device_close(lab->device);
    for (int i = 0; i < RECORDS; i++)
        heap_free(lab->data[i]);
    CHECK_EQ(emu_count().taken, 0);
}

/* Pinned, and uploaded if it is new. */
static struct store_gpu_copy get(struct lab *lab, int i, struct queue *q)
{
    struct store_gpu_copy copy = store_gpu_get(lab->g, &lab->record[i], q);
    if (copy.at && copy.is_new) queue_upload(q, copy.at, lab->data[i], PAYLOAD);
    return copy;
}

/* Used and let go. Nonzero: it was there. */
static int use(struct lab *lab, int i)
{
    static float back[PAYLOAD / sizeof(float)];
    struct store_gpu_copy copy = get(lab, i, lab->queue);
    if (!copy.at) return 0;
    queue_download(lab->queue, back, copy.at, PAYLOAD);
    CHECK_EQ(queue_sync(lab->queue), VLQA_OK);
    CHECK(memcmp(back, lab->data[i], PAYLOAD) == 0);
    store_gpu_unpin(lab->g, copy.at, 1);
    return !copy.is_new;
}

static struct store_gpu_stats stats(struct lab *lab)
{
    struct store_gpu_stats s;
    store_gpu_stats(lab->g, &s);
    return s;
}

TEST(the_least_recently_used_goes_first)
{
    struct lab lab;
    REQUIRE(lab_open(&lab, 3 * PAYLOAD));
    CHECK(!use(&lab, 0) && !use(&lab, 1) && !use(&lab, 2));
    CHECK(use(&lab, 0));
    CHECK(!use(&lab, 3)); /* for 1 */
    CHECK(use(&lab, 0) && use(&lab, 2) && use(&lab, 3));
    CHECK(!use(&lab, 1)); /* for 0 */
    CHECK(!use(&lab, 0));
    CHECK_EQ(stats(&lab).hits, 4);
    CHECK_EQ(stats(&lab).loads, 6);
    CHECK_EQ(stats(&lab).evicted, 3);
    CHECK_EQ(stats(&lab).records, 3);
    CHECK_EQ(stats(&lab).bytes, 3 * PAYLOAD);
    lab_close(&lab);
}

TEST(what_work_still_reads_is_not_evicted)
{
    static float back[2][PAYLOAD / sizeof(float)];
    struct lab lab;
    struct store_gpu_copy copy[2];
    REQUIRE(lab_open(&lab, 2 * PAYLOAD));
    for (int i = 0; i < 2; i++) {
        copy[i] = get(&lab, i, lab.queue);
        REQUIRE(copy[i].at != NULL);
        queue_download(lab.queue, back[i], copy[i].at, PAYLOAD);
    }
    CHECK(get(&lab, 2, lab.other).at == NULL);
    CHECK_EQ(stats(&lab).evicted, 0);
    CHECK_EQ(queue_sync(lab.queue), VLQA_OK);
    for (int i = 0; i < 2; i++) {
        CHECK(memcmp(back[i], lab.data[i], PAYLOAD) == 0);
        store_gpu_unpin(lab.g, copy[i].at, 1);
    }
    CHECK(!use(&lab, 2));
    CHECK_EQ(stats(&lab).evicted, 1);
    lab_close(&lab);
}

TEST(another_queue_waits_for_no_upload_and_uses_none_that_failed)
{
    struct lab lab;
    struct store_gpu_copy first, again;
    REQUIRE(lab_open(&lab, 2 * PAYLOAD));
    first = get(&lab, 0, lab.queue);
    again = get(&lab, 0, lab.queue); /* in order behind its own upload */
    CHECK(first.is_new && !again.is_new && first.at == again.at);
    CHECK(get(&lab, 0, lab.other).at == NULL);
    store_gpu_unpin(lab.g, first.at, 0);
    CHECK(get(&lab, 0, lab.other).at == NULL);
    CHECK(get(&lab, 0, lab.queue).at == NULL);
    store_gpu_unpin(lab.g, again.at, 0);
    CHECK_EQ(stats(&lab).records, 0);
    CHECK(!use(&lab, 0) && use(&lab, 0));
    lab_close(&lab);
}

TEST(what_does_not_fit_has_no_copy)
{
    struct lab lab;
    REQUIRE(lab_open(&lab, PAYLOAD - 1));
    CHECK(get(&lab, 0, lab.queue).at == NULL);
    CHECK_EQ(stats(&lab).records, 0);
    lab_close(&lab);
    REQUIRE(lab_open(&lab, 0));
    CHECK(lab.g == NULL && get(&lab, 0, lab.queue).at == NULL);
    CHECK_EQ(stats(&lab).loads, 0);
    lab_close(&lab);
}

/* ---- questions ---- */

#define VOCAB 8192
#define STEPS 2

struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    float logits[STEPS * VOCAB];
    int chunks, computed, on_gpu, warnings;
};

static void keep_logits(void *user, int step, const float *logits, int n)
{
    struct run *r = user;
    if (step < STEPS) memcpy(r->logits + step * VOCAB, logits, (size_t)n * sizeof *logits);
}

static void count_warnings(void *user, enum vlqa_log_level level, const char *message)
{
    struct run *r = user;
    r->warnings += level == VLQA_LOG_WARN && strstr(message, "not on the GPU") != NULL;
}

static int run_open(struct run *r, int64_t bytes, enum vlqa_dtype kv)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    memset(r, 0, sizeof *r);
    eo.model = VLQA_SOURCE_DIR "/tests/golden/tied64";
    eo.threads = 1;
    eo.gpu_cache_bytes = bytes;
    eo.kv_dtype = kv;
    eo.log = count_warnings;
    eo.user = r;
    so.max_seq_len = 512;
    return vlqa_engine_open(&eo, &r->engine) == VLQA_OK &&
           vlqa_session_open(r->engine, &so, &r->session) == VLQA_OK;
}

static void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
    CHECK_EQ(emu_count().taken, 0);
}

static vlqa_status ask(struct run *r)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer;
    vlqa_status status = vlqa_session_clear(r->session);
    if (status == VLQA_OK)
        status = vlqa_add_image_file(r->session, VLQA_SOURCE_DIR "/tests/charts/cows.png");
    o.max_tokens = STEPS;
    o.on_logits = keep_logits;
    o.user = r;
    o.ignore_eos = 1;
    o.reuse = VLQA_REUSE_ON;
    o.chunker = VLQA_CHUNK_GRID;
    o.halo = 2;
    if (status == VLQA_OK)
        status = vlqa_ask(r->session, "Which is the largest?", &o, &answer, sizeof answer);
    if (status != VLQA_OK) return status;
    r->chunks = answer.n_chunks;
    r->computed = answer.chunks_computed;
    r->on_gpu = 0;
    for (int i = 0; i < answer.n_chunks; i++)
        r->on_gpu += vlqa_chunk_at(&answer, i).source == VLQA_SOURCE_GPU;
    return status;
}

static struct vlqa_cache_stats cache_of(const struct run *r)
{
    struct vlqa_cache_stats s;
    CHECK_EQ(vlqa_cache_read_stats(r->engine, &s, sizeof s), VLQA_OK);
    return s;
}

/* Cold, from RAM, from the GPU, with room for some chunks only, in each format of chunks. */
TEST(a_chunk_has_the_same_bits_wherever_it_was)
{
    static const enum vlqa_dtype format[] = {VLQA_DTYPE_AUTO, VLQA_DTYPE_INT8, VLQA_DTYPE_INT4};
    static struct run ram, gpu;
    for (int f = 0; f < 3; f++) {
        uint64_t all;
        REQUIRE(run_open(&ram, 0, format[f]));
        CHECK(ask(&ram) == VLQA_OK && ask(&ram) == VLQA_OK);
        CHECK_EQ(ram.on_gpu, 0);
        REQUIRE(run_open(&gpu, 8 << 20, format[f]));
        CHECK_EQ(ask(&gpu), VLQA_OK);
        CHECK_EQ(gpu.on_gpu, 0);
        CHECK(gpu.chunks > 3 && memcmp(ram.logits, gpu.logits, sizeof ram.logits) == 0);
        CHECK_EQ(ask(&gpu), VLQA_OK);
        CHECK_EQ(gpu.on_gpu, gpu.chunks);
        CHECK(memcmp(ram.logits, gpu.logits, sizeof ram.logits) == 0);
        all = cache_of(&gpu).gpu_bytes;
        CHECK_EQ(cache_of(&gpu).hits_gpu, gpu.chunks);
        CHECK_EQ(cache_of(&gpu).gpu_records, gpu.chunks);
        CHECK_EQ(cache_of(&gpu).evicted_gpu, 0);
        vlqa_session_close(gpu.session);
        vlqa_engine_close(gpu.engine);
        REQUIRE(run_open(&gpu, (int64_t)(all / 2), format[f]));
        CHECK(ask(&gpu) == VLQA_OK && ask(&gpu) == VLQA_OK);
        CHECK(gpu.on_gpu > 0 && gpu.on_gpu < gpu.chunks);
        CHECK(memcmp(ram.logits, gpu.logits, sizeof ram.logits) == 0);
        vlqa_session_close(ram.session);
        vlqa_engine_close(ram.engine);
        run_close(&gpu);
    }
}

/* As where PCIe is slow and products are fast; a copy on the GPU has nothing to wait for. */
TEST(a_chunk_that_is_computed_again_has_the_same_bits)
{
    static const enum vlqa_dtype format[] = {VLQA_DTYPE_AUTO, VLQA_DTYPE_INT8, VLQA_DTYPE_INT4};
    static struct run first, again;
    for (int i = 0; i < 6; i++) {
        int64_t bytes = i % 2 ? 8 << 20 : 0;
        REQUIRE(run_open(&again, bytes, format[i / 2]));
        CHECK_EQ(ask(&again), VLQA_OK);
        CHECK_EQ(again.computed, again.chunks);
        first = again;
        again.engine->options.load_or_compute = 1;
        rates_add(&again.engine->rates, RATE_UPLOAD, 1, 1e6);
        rates_add(&again.engine->rates, RATE_FLOPS, 1e30, 1);
        CHECK_EQ(ask(&again), VLQA_OK);
        CHECK_EQ(again.computed, bytes ? 0 : again.chunks);
        CHECK_EQ(again.on_gpu, bytes ? again.chunks : 0);
        CHECK(memcmp(first.logits, again.logits, sizeof first.logits) == 0);
        run_close(&again);
    }
}

TEST(without_memory_for_it_an_answer_is_the_same)
{
    static struct run ram, gpu;
    struct emu_counts before;
    long allocs;
    REQUIRE(run_open(&ram, 0, VLQA_DTYPE_AUTO));
    CHECK_EQ(ask(&ram), VLQA_OK);
    run_close(&ram);
    before = emu_count();
    REQUIRE(run_open(&gpu, 4096, VLQA_DTYPE_AUTO)); /* the engine's last block is the cache */
    run_close(&gpu);
    allocs = (long)(emu_count().allocs - before.allocs);
    for (long n = 0; n < allocs; n++) {
        vlqa_status status = VLQA_EMEMORY;
        emu_fail_alloc(n);
        if (run_open(&gpu, 8 << 20, VLQA_DTYPE_AUTO)) {
            emu_fail_alloc(-1);
            status = ask(&gpu);
            CHECK_EQ(gpu.warnings, 1);
            CHECK(memcmp(ram.logits, gpu.logits, sizeof ram.logits) == 0);
            CHECK_EQ(status, VLQA_OK);
        }
        emu_fail_alloc(-1);
        run_close(&gpu);
        if (status == VLQA_OK) return;
    }
    CHECK_FAIL("no allocation of %ld was that of the cache", allocs);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
