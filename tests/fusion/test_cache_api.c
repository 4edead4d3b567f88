/* test_cache_api.c - the public side of reuse: warming, what answers tell, directories of records.
 */
#include "base/heap.h"
#include "tests/fusion/sample_lab.h"
#include "tests/vision/make_image.h"

#include "include/vlqa.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/vlqa-cache-XXXXXX";

static int run_open(struct run *r, const char *salt, int64_t disk_bytes)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.dtype = VLQA_DTYPE_F32;
    eo.threads = 2;
    eo.cache_dir = dir;
    eo.cache_salt = salt;
    eo.cache_disk_bytes = disk_bytes;
    return run_start(r, eo, 640);
}

static const char note[] = "The note says: A means Apples and B means Bananas, sold in the north.";

static void add_many(struct vlqa_session *s)
{
    CHECK(vlqa_add_image_file(s, CHART("february")) == VLQA_OK);
    CHECK(vlqa_add_text(s, note, sizeof note - 1) == VLQA_OK);
    CHECK(vlqa_add_image_file(s, CHART("cows")) == VLQA_OK);
}

static struct vlqa_ask_options options_of(enum reuse reuse)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.halo = CHART_HALO;
    o.max_tokens = 4;
    o.ignore_eos = 1;
    set_reuse(&o, reuse);
    o.chunker = VLQA_CHUNK_GRID;
    o.chunk_text_tokens = 8;
    return o;
}

static struct vlqa_answer ask(struct vlqa_session *s, enum reuse reuse, float logits[VOCAB])
{
    struct vlqa_ask_options o = options_of(reuse);
    struct vlqa_answer a = {0};
    if (vlqa_ask(s, QUESTION, &o, &a, sizeof a) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(s));
    else
        memcpy(logits, a.logits, VOCAB * sizeof *logits);
    return a;
}

static void take_error(void *user, enum vlqa_log_level level, const char *line)
{
    char *out = user;
    if (level == VLQA_LOG_ERROR) (void)snprintf(out, 512, "%s", line);
}

struct listing { /* user of a scan; the message first, for take_error */
    char message[512];
    int n, intact, stop_after;
    int of_kind[3];
    uint64_t bytes;
    char key[65]; /* of the last */
};

static int list_record(void *user, const struct vlqa_record *r)
{
    struct listing *l = user;
    CHECK_EQ(r->version, VLQA_OPTIONS_VERSION);
    CHECK_EQ(r->struct_bytes, sizeof *r);
    CHECK_EQ(strlen(r->key), 64);
    CHECK(r->mtime > 1600000000);
    l->n++;
    l->intact += r->intact;
    l->of_kind[r->kind]++;
    l->bytes += r->bytes;
    memcpy(l->key, r->key, sizeof l->key);
    return l->n == l->stop_after;
}

static vlqa_status scan(const char *path, int verify, int stop_after, struct listing *l)
{
    struct vlqa_cache_options o = vlqa_cache_options_default();
    *l = (struct listing){.stop_after = stop_after};
    o.dir = path;
    o.verify = verify;
    o.log = take_error;
    o.user = l;
    return vlqa_cache_scan(&o, list_record);
}

static int remove_keys(const char *key)
{
    struct vlqa_cache_options o = vlqa_cache_options_default();
    int removed = -1;
    o.dir = dir;
    CHECK(vlqa_cache_remove(&o, key, &removed) == VLQA_OK);
    return removed;
}

/* One bit of the record's matrices. */
static void flip_bit(const char *key)
{
    char path[256];
    unsigned char byte;
    struct stat st;
    int fd;
    (void)snprintf(path, sizeof path, "%s/%s.vlqa", dir, key);
    fd = open(path, O_RDWR);
    REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
    CHECK_EQ(pread(fd, &byte, 1, st.st_size - 600), 1);
    byte ^= 0x10;
    CHECK_EQ(pwrite(fd, &byte, 1, st.st_size - 600), 1);
    close(fd);
}

/* ---- misuse ---- */

TEST(null_is_refused_everywhere)
{
    struct vlqa_cache_options o = vlqa_cache_options_default();
    struct vlqa_cache_stats info;
    struct vlqa_pixels pixels;
    struct listing l = {.n = 0};
    struct run r;
    int removed;
    CHECK(vlqa_warm(NULL, NULL, NULL, 0) == VLQA_EUSAGE);
    CHECK(vlqa_decode_image(NULL, "a", 1, "a", &pixels, sizeof pixels) == VLQA_EUSAGE);
    CHECK(vlqa_cache_read_stats(NULL, &info, sizeof info) == VLQA_EUSAGE);
    CHECK(vlqa_cache_flush(NULL) == VLQA_EUSAGE);
    CHECK(vlqa_cache_scan(NULL, list_record) == VLQA_EUSAGE);
    CHECK(vlqa_cache_scan(&o, NULL) == VLQA_EUSAGE);
    CHECK(vlqa_cache_remove(NULL, NULL, &removed) == VLQA_EUSAGE);
    CHECK(vlqa_cache_remove(&o, NULL, NULL) == VLQA_EUSAGE);
    vlqa_free_pixels(NULL);
    o.log = take_error;
    o.user = &l;
    CHECK(vlqa_cache_scan(&o, list_record) == VLQA_EUSAGE);
    CHECK_HAS(l.message, "dir is NULL");
    REQUIRE(run_open(&r, NULL, 0));
    CHECK(vlqa_cache_read_stats(r.engine, NULL, 0) == VLQA_EUSAGE);
    CHECK(vlqa_decode_image(r.session, "a", 1, "a", NULL, 0) == VLQA_EUSAGE);
    CHECK(vlqa_decode_image(r.session, NULL, 1, "a", &pixels, sizeof pixels) == VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "NULL");
    run_close(&r);
}

TEST(version_and_size_of_cache_options_are_checked)
{
    static const uint32_t bad[][2] = {{0, 32}, {1, 32}, {2, 0}, {2, 7}, {2, 4096}, {2, UINT32_MAX}};
    for (int i = 0; i < 6; i++) {
        struct vlqa_cache_options o = vlqa_cache_options_default();
        int removed = 1;
        o.dir = dir;
        o.version = bad[i][0];
        o.struct_bytes = bad[i][1];
        CHECK(vlqa_cache_scan(&o, list_record) == VLQA_EUSAGE);
        CHECK(vlqa_cache_remove(&o, NULL, &removed) == VLQA_EUSAGE);
        CHECK_EQ(removed, 0);
    }
}

TEST(keys_are_checked)
{
    static const char *const bad[] = {"",
                                      "xyz",
                                      "AB",
                                      "../",
                                      "12 ",
                                      ("00000000000000000000000000000000"
                                       "000000000000000000000000000000000")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vlqa_cache_options o = vlqa_cache_options_default();
        char message[512] = "";
        int removed;
        o.dir = dir;
        o.log = take_error;
        o.user = message;
        CHECK(vlqa_cache_remove(&o, bad[i], &removed) == VLQA_EUSAGE);
        CHECK_HAS(message, "the key is ");
    }
}

TEST(a_missing_directory_is_told)
{
    struct listing l;
    CHECK(scan("/none/of/this", 0, 0, &l) == VLQA_EIO);
    CHECK_HAS(l.message, "/none/of/this");
    CHECK(scan(MODEL "/config.json", 0, 0, &l) == VLQA_EIO);
    CHECK_HAS(l.message, "expected a directory");
}

TEST(warming_checks_its_options)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, NULL, 0));
    o.chunk_k = 0;
    CHECK(vlqa_warm(r.session, &o, &a, sizeof a) == VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "chunk_k");
    o = vlqa_ask_options_default();
    o.version = 9;
    CHECK(vlqa_warm(r.session, &o, &a, sizeof a) == VLQA_EUSAGE);
    CHECK(vlqa_warm(r.session, NULL, NULL, 0) == VLQA_OK); /* nothing to do */
    run_close(&r);
}

/* ---- warming ---- */

TEST(a_warm_document_is_asked_without_making_anything)
{
    static float cold[VOCAB], warm[VOCAB], exact[VOCAB], after[VOCAB];
    struct vlqa_ask_options o = options_of(REUSE_OFF);
    struct vlqa_answer a;
    struct run r;
    int made;
    remove_keys(NULL);
    REQUIRE(run_open(&r, "cold", 0));
    add_many(r.session);
    ask(r.session, REUSE_OFF, exact);
    made = ask(r.session, REUSE_INFOFLOW, cold).chunks_computed;
    run_close(&r);
    REQUIRE(run_open(&r, "warm", 0));
    add_many(r.session);
    REQUIRE(vlqa_warm(r.session, &o, &a, sizeof a) == VLQA_OK);
    CHECK_EQ(a.chunks_computed, made);
    CHECK_EQ(a.n_chunks, made);
    CHECK_EQ(a.n_images, 2);
    CHECK_EQ(a.text_bytes, 0);
    CHECK(a.tokens_context > 100 && !a.logits && !a.token_score);
    REQUIRE(vlqa_warm(r.session, &o, &a, sizeof a) == VLQA_OK);
    CHECK_EQ(a.chunks_ram, made);
    ask(r.session, REUSE_OFF, after);
    CHECK(memcmp(exact, after, sizeof exact) == 0);
    run_close(&r);
    REQUIRE(run_open(&r, "warm", 0));
    add_many(r.session);
    a = ask(r.session, REUSE_INFOFLOW, warm);
    CHECK_EQ(a.chunks_disk, made);
    CHECK_EQ(a.visual_disk, 2);
    CHECK(memcmp(cold, warm, sizeof cold) == 0);
    run_close(&r);
}

TEST(warming_makes_no_heap_call_when_warm)
{
    struct vlqa_ask_options o = options_of(REUSE_OFF);
    struct run r;
    uint64_t before;
    REQUIRE(run_open(&r, NULL, 0));
    add_many(r.session);
    CHECK(vlqa_warm(r.session, &o, NULL, 0) == VLQA_OK);
    before = heap_calls();
    CHECK(vlqa_warm(r.session, &o, NULL, 0) == VLQA_OK);
    CHECK_EQ(heap_calls() - before, 0);
    run_close(&r);
}

/* ---- what answers tell ---- */

TEST(chunks_cover_their_images)
{
    static float logits[VOCAB];
    struct vlqa_answer a;
    struct run r;
    int rows[2] = {0, 0}, text = 0, exact = 0;
    REQUIRE(run_open(&r, NULL, 0));
    add_many(r.session);
    a = ask(r.session, REUSE_NONE, logits);
    CHECK_EQ(a.n_chunks, a.chunks_computed + a.chunks_ram + a.chunks_disk);
    for (int i = 0; i < a.n_chunks; i++) {
        const struct vlqa_placed_chunk one_c = vlqa_chunk_at(&a, i), *c = &one_c;
        exact += c->tokens_exact;
        if (c->image < 0) {
            CHECK_EQ(c->text, 0);
            text += c->tokens;
            continue;
        }
        REQUIRE(c->image < a.n_images);
        CHECK_EQ(c->tokens, c->h * c->w);
        CHECK(c->y + c->h <= vlqa_image_at(&a, c->image).grid_h &&
              c->x + c->w <= vlqa_image_at(&a, c->image).grid_w);
        rows[c->image] += c->tokens;
    }
    for (int i = 0; i < 2; i++)
        CHECK_EQ(rows[i], vlqa_image_at(&a, i).grid_h * vlqa_image_at(&a, i).grid_w);
    CHECK(text > 8);
    CHECK(exact > 0 && exact < rows[0]); /* the first line of the first cell */
    CHECK_EQ(vlqa_image_at(&a, 0).first_token, a.tokens_prefix);
    CHECK(vlqa_image_at(&a, 1).first_token > vlqa_image_at(&a, 0).first_token + rows[0] + text);
    CHECK(vlqa_image_at(&a, 1).first_token + rows[1] < a.tokens_prefix + a.tokens_context);
    a = ask(r.session, REUSE_OFF, logits);
    CHECK_EQ(a.n_chunks, 0);
    run_close(&r);
}

TEST(evidence_lies_in_the_images_and_is_sorted)
{
    static const enum reuse tells[] = {REUSE_INFOFLOW, REUSE_PROPHET, REUSE_CACHEBLEND,
                                       REUSE_ORACLE,   REUSE_OFF,     REUSE_AUTO,
                                       REUSE_NONE,     REUSE_FULL};
    static const enum reuse silent[] = {REUSE_EPIC, REUSE_VLCACHE, REUSE_RANDOM};
    static float logits[VOCAB];
    struct run r;
    REQUIRE(run_open(&r, NULL, 0));
    add_many(r.session);
    for (size_t t = 0; t < sizeof tells / sizeof *tells; t++) {
        struct vlqa_answer a = ask(r.session, tells[t], logits);
        CHECK(a.n_evidence >= 1 && a.n_evidence <= 16);
        for (int i = 0; i < a.n_evidence; i++) {
            const struct vlqa_evidence one_e = vlqa_evidence_at(&a, i), *e = &one_e;
            REQUIRE(e->image >= 0 && e->image < a.n_images);
            CHECK(e->x >= 0 && e->x + e->width <= vlqa_image_at(&a, e->image).width &&
                  e->width > 0);
            CHECK(e->y >= 0 && e->y + e->height <= vlqa_image_at(&a, e->image).height &&
                  e->height > 0);
            CHECK(i == 0 || vlqa_evidence_at(&a, i - 1).score >= e->score);
        }
    }
    for (int t = 0; t < 3; t++)
        CHECK_EQ(ask(r.session, silent[t], logits).n_evidence, 0);
    run_close(&r);
}

TEST(pictures_are_told_and_decoded_upright)
{
    uint8_t rgb[3 * 96 * 48];
    struct bytes jpeg, exif, app1 = {0}, turned;
    struct vlqa_answer a;
    struct vlqa_pixels pixels;
    struct run r;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i / 3 % 96 < 48 ? 10 : 240); /* dark at the left */
    jpeg = make_jpeg(rgb, 96, 48, 0);
    exif = make_exif(1, 6); /* to be turned right: the dark half is at the top then */
    put(&app1, "Exif\0", 6);
    put(&app1, exif.data, exif.n);
    turned = jpeg_with(&jpeg, 0xe1, app1.data, app1.n);
    REQUIRE(run_open(&r, NULL, 0));
    CHECK(vlqa_add_image_bytes(r.session, turned.data, turned.n, "turned") == VLQA_OK);
    REQUIRE(vlqa_warm(r.session, NULL, &a, sizeof a) == VLQA_OK);
    REQUIRE(a.n_images == 1);
    CHECK_EQ(vlqa_image_at(&a, 0).width, 48);
    CHECK_EQ(vlqa_image_at(&a, 0).height, 96);
    CHECK(vlqa_image_at(&a, 0).grid_h > vlqa_image_at(&a, 0).grid_w);
    REQUIRE(vlqa_decode_image(r.session, turned.data, turned.n, "turned", &pixels, sizeof pixels) ==
            VLQA_OK);
    CHECK(pixels.width == 48 && pixels.height == 96);
    CHECK(pixels.rgb[3 * (10 * 48 + 24)] < 60 && pixels.rgb[3 * (80 * 48 + 24)] > 200);
    CHECK_EQ(vlqa_image_at(&a, 0).width, 48); /* still valid */
    vlqa_free_pixels(&pixels);
    CHECK(!pixels.rgb);
    CHECK(vlqa_decode_image(r.session, "GIF89a..", 8, "x.gif", &pixels, sizeof pixels) ==
          VLQA_EIMAGE);
    CHECK(!pixels.rgb);
    CHECK_HAS(vlqa_message(r.session), "x.gif");
    run_close(&r);
    drop(&jpeg), drop(&exif), drop(&app1), drop(&turned);
}

/* ---- directories ---- */

TEST(a_scan_lists_what_was_written)
{
    struct vlqa_ask_options o = options_of(REUSE_OFF);
    struct vlqa_cache_stats info;
    struct vlqa_answer a;
    struct listing l;
    struct run r;
    remove_keys(NULL);
    CHECK(scan(dir, 1, 0, &l) == VLQA_OK);
    CHECK_EQ(l.n, 0);
    REQUIRE(run_open(&r, NULL, 0));
    add_many(r.session);
    REQUIRE(vlqa_warm(r.session, &o, &a, sizeof a) == VLQA_OK);
    CHECK(scan(dir, 1, 0, &l) == VLQA_OK);
    CHECK_EQ(l.of_kind[VLQA_RECORD_VISUAL], 2);
    CHECK_EQ(l.of_kind[VLQA_RECORD_CHUNK], a.n_chunks);
    CHECK_EQ(l.intact, l.n);
    REQUIRE(vlqa_cache_read_stats(r.engine, &info, sizeof info) == VLQA_OK);
    CHECK_EQ(info.disk_records, l.n);
    CHECK_EQ(info.disk_bytes, l.bytes);
    CHECK_EQ(info.ram_records, l.n);
    CHECK_EQ(info.misses, l.n);
    CHECK_EQ(info.rejected + info.write_failures, 0);
    CHECK_STR(info.disk_problem, "");
    CHECK(scan(dir, 0, 3, &l) == VLQA_OK);
    CHECK_EQ(l.n, 3);
    run_close(&r);
}

TEST(records_are_removed_by_the_beginning_of_their_key)
{
    struct listing l;
    int n;
    char key[65];
    CHECK(scan(dir, 0, 0, &l) == VLQA_OK);
    n = l.n;
    REQUIRE(n > 4);
    memcpy(key, l.key, sizeof key);
    key[20] = 0;
    CHECK_EQ(remove_keys(key), 1);
    CHECK_EQ(remove_keys(key), 0);
    CHECK_EQ(remove_keys(NULL), n - 1);
    CHECK(scan(dir, 0, 0, &l) == VLQA_OK);
    CHECK_EQ(l.n, 0);
}

TEST(a_flipped_byte_is_found_and_made_good)
{
    static float cold[VOCAB], again[VOCAB];
    struct vlqa_cache_stats info;
    struct vlqa_answer a;
    struct listing l;
    struct run r;
    int n;
    remove_keys(NULL);
    REQUIRE(run_open(&r, NULL, 0));
    add_many(r.session);
    ask(r.session, REUSE_NONE, cold);
    run_close(&r);
    CHECK(scan(dir, 0, 0, &l) == VLQA_OK);
    n = l.n;
    flip_bit(l.key);
    CHECK(scan(dir, 0, 0, &l) == VLQA_OK);
    CHECK_EQ(l.intact, n); /* headers are */
    CHECK(scan(dir, 1, 0, &l) == VLQA_OK);
    CHECK_EQ(l.intact, n - 1);
    REQUIRE(run_open(&r, NULL, 0));
    add_many(r.session);
    a = ask(r.session, REUSE_NONE, again);
    CHECK_EQ(a.chunks_computed + a.visual_computed, 1);
    CHECK(memcmp(cold, again, sizeof cold) == 0);
    CHECK(vlqa_cache_read_stats(r.engine, &info, sizeof info) == VLQA_OK);
    CHECK_EQ(info.rejected, 1);
    run_close(&r);
    CHECK(scan(dir, 1, 0, &l) == VLQA_OK);
    CHECK_EQ(l.intact, n);
}

TEST(salts_do_not_see_each_other)
{
    static float logits[VOCAB];
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, NULL, 0));
    add_many(r.session);
    ask(r.session, REUSE_NONE, logits);
    run_close(&r);
    REQUIRE(run_open(&r, "another", 0));
    add_many(r.session);
    a = ask(r.session, REUSE_NONE, logits);
    CHECK_EQ(a.chunks_disk + a.visual_disk, 0);
    run_close(&r);
    REQUIRE(run_open(&r, "another", 0));
    add_many(r.session);
    a = ask(r.session, REUSE_NONE, logits);
    CHECK_EQ(a.chunks_computed + a.visual_computed, 0);
    run_close(&r);
}

TEST(the_directory_stays_within_its_budget)
{
    static float logits[VOCAB];
    const int64_t budget = 1 << 19;
    struct vlqa_cache_stats info;
    struct listing l;
    struct run r;
    remove_keys(NULL);
    REQUIRE(run_open(&r, NULL, budget));
    add_many(r.session);
    ask(r.session, REUSE_NONE, logits);
    CHECK(vlqa_cache_flush(r.engine) == VLQA_OK);
    CHECK(vlqa_cache_read_stats(r.engine, &info, sizeof info) == VLQA_OK);
    CHECK(info.evicted_disk > 0);
    CHECK(scan(dir, 1, 0, &l) == VLQA_OK);
    CHECK(l.n > 0 && l.bytes <= (uint64_t)budget);
    run_close(&r);
}

/* Smaller than any chunk: nothing is written, nothing that is there goes, the answer is the same.
 */
TEST(a_budget_below_one_record_is_told_and_does_no_harm)
{
    static float large[VOCAB], small[VOCAB];
    struct vlqa_cache_stats info;
    struct vlqa_answer a;
    struct listing before, after;
    struct run r;
    remove_keys(NULL);
    REQUIRE(run_open(&r, NULL, 0));
    add_many(r.session);
    ask(r.session, REUSE_NONE, large);
    run_close(&r);
    CHECK(scan(dir, 1, 0, &before) == VLQA_OK);
    REQUIRE(run_open(&r, "nobody has this", 1));
    add_many(r.session);
    a = ask(r.session, REUSE_NONE, small);
    CHECK(memcmp(large, small, sizeof large) == 0);
    CHECK(vlqa_cache_flush(r.engine) == VLQA_OK);
    CHECK(vlqa_cache_read_stats(r.engine, &info, sizeof info) == VLQA_OK);
    CHECK_EQ(info.write_failures, a.chunks_computed + a.visual_computed);
    CHECK_EQ(info.evicted_disk, 0);
    run_close(&r);
    CHECK(scan(dir, 1, 0, &after) == VLQA_OK);
    CHECK(after.n == before.n && after.bytes == before.bytes && after.intact == after.n);
}

TEST(an_unusable_directory_is_told_and_does_no_harm)
{
    static float logits[VOCAB];
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_cache_stats info;
    struct run r = {NULL, NULL};
    eo.model = MODEL;
    eo.cache_dir = MODEL "/config.json";
    REQUIRE(vlqa_engine_open(&eo, &r.engine) == VLQA_OK);
    REQUIRE((r.session = session_of(r.engine, 0)));
    ask(r.session, REUSE_NONE, logits);
    CHECK(vlqa_cache_read_stats(r.engine, &info, sizeof info) == VLQA_OK);
    CHECK_HAS(info.disk_problem, "config.json");
    run_close(&r);
}

int main(int argc, char **argv)
{
    char command[64];
    int code;
    if (!mkdtemp(dir)) return 1;
    code = check_main(argc, argv);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) == 0 ? code : 1;
}
