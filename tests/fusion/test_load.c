/* test_load.c - chunks that are stored: loaded, or computed again where that is estimated to be
 * faster. Rates are set here; nothing is timed. */
#include "base/heap.h"
#include "fusion/session/session.h"
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

TEST(what_takes_longer_is_not_done)
{
    struct rates r;
    struct load_estimate e;
    rates_open(&r);
    rates_add(&r, RATE_DISK, 1000, 2); /* 500 bytes a millisecond */
    rates_add(&r, RATE_DISK, 1000, 2);
    rates_add(&r, RATE_UPLOAD, 4000, 1);
    rates_add(&r, RATE_FLOPS, 300, 3); /* 100 */
    e = rates_estimate(&r, 8000, 1, 1, 1700);
    CHECK(e.ms_load == 18 && e.ms_compute == 17 && load_is_slower(e));
    e = rates_estimate(&r, 8000, 1, 0, 1700);
    CHECK(e.ms_load == 16 && e.ms_compute == 17 && !load_is_slower(e));
    e = rates_estimate(&r, 8000, 0, 1, 100);
    CHECK(e.ms_load == 2 && e.ms_compute == 1 && load_is_slower(e));
    e = rates_estimate(&r, 8000, 0, 1, 200); /* as long: it is loaded */
    CHECK(e.ms_load == 2 && e.ms_compute == 2 && !load_is_slower(e));
    e = rates_estimate(&r, 8000, 0, 0, 1); /* it is there already */
    CHECK(e.ms_load == 0 && !load_is_slower(e));
    rates_close(&r);
}

TEST(what_is_not_known_is_not_compared)
{
    for (int unknown = 0; unknown < N_RATES; unknown++) {
        struct rates r;
        struct load_estimate e;
        rates_open(&r);
        for (int i = 0; i < N_RATES; i++)
            if (i != unknown) rates_add(&r, (enum rate)i, 1, i == RATE_FLOPS ? 1e-6 : 1e6);
        e = rates_estimate(&r, 100, 1, 1, 100);
        CHECK(unknown == RATE_FLOPS ? e.ms_compute == 0 : e.ms_load == 0);
        CHECK(!load_is_slower(e));
        rates_close(&r);
    }
}

#define VOCAB 8192

struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    float logits[VOCAB];
    int chunks, computed, disk, ram, estimated;
};

static int run_open(struct run *r, const char *dir, enum vlqa_dtype kv)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    memset(r, 0, sizeof *r);
    eo.model = VLQA_SOURCE_DIR "/tests/golden/tied64";
    eo.threads = 2;
    eo.cache_dir = dir;
    eo.kv_dtype = kv;
    eo.load_or_compute = 1;
    so.max_seq_len = 512;
    return vlqa_engine_open(&eo, &r->engine) == VLQA_OK &&
           vlqa_session_open(r->engine, &so, &r->session) == VLQA_OK;
}

static void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
}

static int ask(struct run *r)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    if (vlqa_session_clear(r->session) != VLQA_OK ||
        vlqa_add_image_file(r->session, VLQA_SOURCE_DIR "/tests/charts/cows.png") != VLQA_OK)
        return 0;
    o.max_tokens = 1;
    o.reuse = VLQA_REUSE_ON;
    o.chunker = VLQA_CHUNK_GRID;
    o.halo = 2;
    if (vlqa_ask(r->session, "Which is the largest?", &o, &a, sizeof a) != VLQA_OK) return 0;
    memcpy(r->logits, a.logits, (size_t)a.n_logits * sizeof *a.logits);
    r->chunks = a.n_chunks;
    r->computed = a.chunks_computed;
    r->disk = a.chunks_disk;
    r->ram = a.chunks_ram;
    r->estimated = 0;
    for (int i = 0; i < a.n_chunks; i++) {
        struct vlqa_placed_chunk c = vlqa_chunk_at(&a, i);
        r->estimated += c.ms_load > 0 && c.ms_compute > 0;
    }
    return 1;
}

static void set_rates(struct run *r, double disk_ms, double compute_ms)
{
    rates_close(&r->engine->rates);
    rates_open(&r->engine->rates);
    rates_add(&r->engine->rates, RATE_DISK, 1e9, disk_ms);
    rates_add(&r->engine->rates, RATE_FLOPS, 1e9, compute_ms);
}

/* The same logits and the same number of files, whatever was done, in each format of chunks. */
TEST(a_chunk_that_is_computed_again_is_the_one_that_was_stored)
{
    static const enum vlqa_dtype format[] = {VLQA_DTYPE_F32, VLQA_DTYPE_BF16, VLQA_DTYPE_INT8,
                                             VLQA_DTYPE_INT4};
    static struct run cold, again;
    for (int f = 0; f < 4; f++) {
        char dir[] = "/tmp/vlqa-load-XXXXXX", command[64];
        struct vlqa_cache_stats before, after;
        REQUIRE(mkdtemp(dir));
        REQUIRE(run_open(&cold, dir, format[f]));
        REQUIRE(ask(&cold));
        CHECK(cold.chunks > 3 && cold.computed == cold.chunks && cold.estimated == 0);
        CHECK_EQ(vlqa_cache_flush(cold.engine), VLQA_OK);
        CHECK_EQ(vlqa_cache_read_stats(cold.engine, &before, sizeof before), VLQA_OK);
        run_close(&cold);
        REQUIRE(run_open(&again, dir, format[f]));
        set_rates(&again, 1e9, 1e-6); /* a disk that is slow: computed */
        REQUIRE(ask(&again));
        CHECK(again.computed == again.chunks && again.estimated == again.chunks);
        CHECK(memcmp(cold.logits, again.logits, sizeof cold.logits) == 0);
        REQUIRE(ask(&again)); /* in RAM now, which is the device's memory */
        CHECK_EQ(again.ram, again.chunks);
        CHECK_EQ(vlqa_cache_flush(again.engine), VLQA_OK);
        CHECK_EQ(vlqa_cache_read_stats(again.engine, &after, sizeof after), VLQA_OK);
        CHECK(before.disk_records == after.disk_records && before.disk_bytes == after.disk_bytes);
        CHECK_EQ(after.write_failures, 0);
        run_close(&again);
        REQUIRE(run_open(&again, dir, format[f]));
        set_rates(&again, 1e-6, 1e9); /* one that is fast: loaded */
        REQUIRE(ask(&again));
        CHECK(again.disk == again.chunks && again.estimated == again.chunks);
        CHECK(memcmp(cold.logits, again.logits, sizeof cold.logits) == 0);
        run_close(&again);
        snprintf(command, sizeof command, "rm -r %s", dir);
        CHECK_EQ(system(command), 0);
    }
}

/* A new engine has computed nothing yet. */
TEST(without_a_rate_chunks_are_loaded)
{
    static struct run r;
    char dir[] = "/tmp/vlqa-load-XXXXXX", command[64];
    REQUIRE(mkdtemp(dir));
    REQUIRE(run_open(&r, dir, VLQA_DTYPE_AUTO));
    REQUIRE(ask(&r));
    run_close(&r);
    REQUIRE(run_open(&r, dir, VLQA_DTYPE_AUTO));
    REQUIRE(ask(&r));
    CHECK(r.disk == r.chunks && r.estimated == 0);
    run_close(&r);
    snprintf(command, sizeof command, "rm -r %s", dir);
    CHECK_EQ(system(command), 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
