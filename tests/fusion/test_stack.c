/* test_stack.c - threads of little stack: one of the size that the header names does everything,
 * and one that is too small for it is told so. */
#include "base/stack.h"
#include "tests/fusion/sample_lab.h"
#include "tests/vision/make_image.h"

#include "include/vlqa.h"

#include <sys/mman.h>
#include <unistd.h>

#define PAINT 0xa5
#define SCALE (VLQA_SANITIZED ? 16 : 1) /* sanitizers make frames larger, and calls more */

struct life {
    const char *dir;
    enum vlqa_cpu cpu;
    struct bytes jpeg;
    vlqa_status status;
    char message[512];
};

/* Settings of its own: those of options.h are a large part of a small stack. */
static vlqa_status ask_all(struct vlqa_session *s)
{
    static const enum vlqa_variant variant[] = {VLQA_VARIANT_INFOFLOW, VLQA_VARIANT_CACHEBLEND,
                                                VLQA_VARIANT_KVSHARE, VLQA_VARIANT_ORACLE};
    struct vlqa_answer a;
    TRY(vlqa_ask(s, QUESTION, NULL, &a, sizeof a));
    for (int i = 0; i < 4; i++) {
        struct vlqa_experimental x = vlqa_experimental_default();
        struct vlqa_ask_options o = vlqa_ask_options_default();
        x.variant = variant[i];
        o.reuse = VLQA_REUSE_ON;
        o.experimental = &x;
        o.max_tokens = 4;
        o.chunker = VLQA_CHUNK_GRID;
        o.temperature = (float)i;
        o.top_p = 0.9f;
        TRY(vlqa_ask(s, QUESTION, &o, &a, sizeof a));
    }
    return vlqa_warm(s, NULL, NULL, 0);
}

/* Everything that a program does. */
static void *live(void *arg)
{
    struct life *life = arg;
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct run r = {NULL, NULL};
    static const char text[] = "A means Apples and B means Bananas.\n\nPassage 2: none.";
    eo.model = MODEL;
    eo.threads = 2;
    eo.cpu = life->cpu;
    eo.cache_dir = life->dir;
    life->status = vlqa_engine_open(&eo, &r.engine);
    if (life->status == VLQA_OK) {
        struct vlqa_session_options so = session_options();
        so.max_seq_len = 640;
        life->status = vlqa_session_open(r.engine, &so, &r.session);
    }
    if (life->status == VLQA_OK) life->status = vlqa_add_image_file(r.session, CHART("february"));
    if (life->status == VLQA_OK)
        life->status = vlqa_add_image_bytes(r.session, life->jpeg.data, life->jpeg.n, "jpeg");
    if (life->status == VLQA_OK) life->status = vlqa_add_text(r.session, text, sizeof text - 1);
    if (life->status == VLQA_OK) life->status = ask_all(r.session);
    snprintf(life->message, sizeof life->message, "%s%s", vlqa_engine_message(r.engine),
             r.session ? vlqa_message(r.session) : "");
    run_close(&r);
    return NULL;
}

/* Runs it on a stack of so many bytes; returns how many of them it touched. A page that may not be
 * touched lies below: an overflow is a signal. */
static size_t live_on(struct life *life, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), untouched = 0;
    uint8_t *memory = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    uint8_t *stack = memory + page;
    pthread_attr_t attr;
    pthread_t thread;
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0) return bytes;
    memset(stack, PAINT, bytes);
    (void)pthread_attr_init(&attr);
    CHECK(pthread_attr_setstack(&attr, stack, bytes) == 0);
    CHECK(pthread_create(&thread, &attr, live, life) == 0);
    (void)pthread_join(thread, NULL);
    (void)pthread_attr_destroy(&attr);
    while (untouched < bytes && stack[untouched] == PAINT)
        untouched++;
    (void)munmap(memory, bytes + page);
    return bytes - untouched;
}

static struct bytes noise_jpeg(void)
{
    enum { SIDE = 300 };
    static uint8_t rgb[SIDE * SIDE * 3];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    return make_jpeg(rgb, SIDE, SIDE, TJFLAG_PROGRESSIVE);
}

/* With every set of instructions that is here; computed, then found on disk. */
TEST(a_thread_of_the_stack_that_the_header_names_does_everything)
{
    struct bytes jpeg = noise_jpeg();
    for (enum vlqa_cpu cpu = VLQA_CPU_AUTO; cpu <= VLQA_CPU_AMX; cpu++) {
        char dir[] = "/tmp/vlqa-stack-XXXXXX", command[64];
        struct life life = {.dir = dir, .cpu = cpu, .jpeg = jpeg};
        size_t used[2];
        REQUIRE(mkdtemp(dir));
        for (int i = 0; i < 2; i++) {
            used[i] = live_on(&life, (size_t)VLQA_STACK_BYTES * SCALE);
            if (life.status == VLQA_EDEVICE) continue;
            if (life.status != VLQA_OK) CHECK_FAIL("%s", life.message);
            if (!VLQA_SANITIZED)
                CHECK(used[i] < (size_t)56 << 10); /* with less opening is refused */
        }
        snprintf(command, sizeof command, "rm -rf %s", dir);
        CHECK(system(command) == 0);
        if (life.status == VLQA_OK)
            printf("     cpu %d: %zu and %zu KiB of stack used\n", (int)cpu, used[0] >> 10,
                   used[1] >> 10);
    }
    drop(&jpeg);
}

TEST(a_thread_of_too_little_stack_is_told_what_it_needs)
{
    static const size_t kib[] = {48, 32, 24};
    if (VLQA_SANITIZED) SKIP("sanitizers need more stack than that");
    for (int i = 0; i < 3; i++) {
        struct life life = {.dir = NULL};
        (void)live_on(&life, kib[i] << 10);
        CHECK_EQ(life.status, VLQA_ELIMIT);
        CHECK_HAS(life.message, "KiB of stack left: give it 128 KiB");
    }
}

TEST(a_thread_of_64_kib_of_stack_does_not_crash)
{
    struct bytes jpeg = noise_jpeg();
    struct life life = {.dir = NULL, .jpeg = jpeg};
    if (!VLQA_SANITIZED) (void)live_on(&life, (size_t)64 << 10);
    drop(&jpeg);
    if (VLQA_SANITIZED) SKIP("sanitizers need more stack than that");
    CHECK(life.status == VLQA_OK || life.status == VLQA_ELIMIT);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
