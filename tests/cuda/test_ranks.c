/* test_ranks.c - ranks with an emulated GPU each give one another device memory by NCCL, of which
 * tests/cuda/nccl_stub.cu stands in for the library. */
#include "kernels/comm.h"
#include "kernels/ops.h"
#include "tests/check.h"
#include "tests/cuda/emu_device.h"
#include "tests/cuda/nccl_stub.h"

#include <sys/wait.h>
#include <unistd.h>

#define MOST 4
#define BLOCK (MOST * 4 * COMM_PIECE)

static const uint8_t same[COMM_KEY];

struct lab { /* of a rank */
    struct vlqa_ranks *r;
    struct env env;
    struct device *device;
    struct queue *queue;
    uint8_t *block; /* of the device */
    void *host;
    int warnings;
    char log[512]; /* the last line */
};

/* Nonzero: right. */
typedef int (*rank_fn)(struct lab *l);

/* Runs fn on n ranks; who ends otherwise than by returning is lost. Returns on how many of them it
 * was right. */
static int right_on(int n, int64_t timeout_ms, rank_fn fn)
{
    struct vlqa_ranks *r = NULL;
    pid_t child[MOST], ended;
    int right = 0, status;
    if (vlqa_ranks_local(n, timeout_ms, &r) != VLQA_OK) return -1;
    fflush(NULL);
    for (int i = 0; i < n; i++) {
        struct lab l = {.r = r};
        child[i] = fork();
        if (child[i] == 0) _exit(vlqa_ranks_join(r, i) == VLQA_OK && fn(&l) ? 0 : 1);
    }
    while ((ended = wait(&status)) > 0) {
        right += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        for (int i = 0; i < n; i++)
            if (child[i] == ended && status != 0) vlqa_ranks_lost(r, i, "has ended");
    }
    vlqa_ranks_close(r);
    return right;
}

static void keep_line(void *user, enum vlqa_log_level level, const char *line)
{
    struct lab *l = user;
    l->warnings += level == VLQA_LOG_WARN;
    snprintf(l->log, sizeof l->log, "%s", line);
}

/* With the n-th GPU of the machine, and NCCL where that is installed. */
static int start_on(struct lab *l, int gpu)
{
    l->env = (struct env){.log = keep_line, .user = l};
    nccl_stub_gpu(gpu);
    if (emu_open(&l->env, &l->device) != VLQA_OK ||
        comm_open(l->r, &l->env, l->device) != VLQA_OK ||
        comm_begin(l->r, &l->env, "it", same) != VLQA_OK ||
        comm_connect(l->r, &l->env, l->device) != VLQA_OK ||
        queue_open(l->device, &l->env, &l->queue) != VLQA_OK)
        return 0;
    l->queue->ranks = l->r;
    l->block = device_alloc(l->device, BLOCK);
    l->host = device_alloc_host(l->device, 64);
    return l->block && l->host;
}

static int start(struct lab *l)
{
    nccl_stub_install();
    return start_on(l, l->r->rank);
}

static int stop(struct lab *l)
{
    queue_close(l->queue);
    device_release(l->device, l->block);
    device_close(l->device);
    return 1;
}

/* ---- gathers ---- */

/* Parts of many sizes, empty ones and ones of several pieces among them. */
static size_t size_of(int turn, int rank)
{
    static const size_t sizes[] = {
        0, 1, 100, COMM_PIECE - 1, COMM_PIECE, COMM_PIECE + 1, 3 * COMM_PIECE + 17};
    return sizes[(size_t)(turn * 3 + rank * 5) % (sizeof sizes / sizeof *sizes)];
}

static uint8_t value_of(int turn, int rank, size_t i)
{
    return (uint8_t)(i * 31 + i / 251 + (size_t)rank * 7 + (size_t)turn);
}

/* What is uploaded before goes, what is downloaded behind has come, whatever is enqueued next. */
static void enqueue_turn(struct lab *l, int turn, size_t at[MOST + 1], uint8_t *mine, uint8_t *got)
{
    size_t bytes = size_of(turn, l->r->rank);
    at[0] = 0;
    for (int i = 0; i < l->r->n; i++)
        at[i + 1] = at[i] + size_of(turn, i);
    for (size_t k = 0; k < bytes; k++)
        mine[k] = value_of(turn, l->r->rank, k);
    queue_clear(l->queue, l->block, BLOCK);
    queue_upload(l->queue, l->block + at[l->r->rank], mine, bytes);
    comm_gather(l->queue, COMM_KV, l->block, at);
    queue_download(l->queue, got, l->block, at[l->r->n] + 1);
    queue_clear(l->queue, l->block, BLOCK);
}

static int has_come(const struct lab *l, int turn, const size_t *at, const uint8_t *got)
{
    for (int i = 0; i < l->r->n; i++)
        for (size_t k = at[i]; k < at[i + 1]; k++)
            if (got[k] != value_of(turn, i, k - at[i])) return 0;
    return got[at[l->r->n]] == 0;
}

/* Nonzero: it was. */
static int is_gathered(struct lab *l, int turn)
{
    static uint8_t mine[4 * COMM_PIECE], got[BLOCK + 1];
    size_t at[MOST + 1];
    enqueue_turn(l, turn, at, mine, got);
    return queue_sync(l->queue) == VLQA_OK && has_come(l, turn, at, got);
}

static int gathers_both_ways(struct lab *l)
{
    uint64_t count[2];
    if (!start(l)) return 0;
    for (int host = 0; host < 2; host++) {
        uint64_t before = l->r->count[COMM_KV].given + 3 * l->r->count[COMM_KV].taken;
        l->r->through_host = host;
        for (int turn = 0; turn < 21; turn++) {
            if (turn % 3 == l->r->rank) usleep(2000);
            if (!is_gathered(l, turn)) return 0;
        }
        count[host] = l->r->count[COMM_KV].given + 3 * l->r->count[COMM_KV].taken - before;
        if (nccl_stub_count().gathers > 21) return 0; /* none where all parts are empty */
    }
    return nccl_stub_count().gathers >= 20 && count[0] == count[1] && stop(l);
}

TEST(device_memory_is_gathered_by_nccl_as_through_the_host)
{
    for (int n = 2; n <= MOST; n++)
        CHECK_EQ(right_on(n, 20000, gathers_both_ways), n);
}

/* Three turns before a sync, and another queue between them. */
static int gathers_without_waiting(struct lab *l)
{
    static uint8_t mine[3][4 * COMM_PIECE], got[3][BLOCK + 1];
    size_t at[3][MOST + 1];
    struct queue *first, *second;
    if (!start(l) || queue_open(l->device, &l->env, &second) != VLQA_OK) return 0;
    first = l->queue;
    second->ranks = l->r;
    for (int turn = 0; turn < 3; turn++) {
        l->queue = turn == 1 ? second : first;
        if (turn) (void)queue_sync(turn == 1 ? first : second); /* they have one block */
        enqueue_turn(l, turn, at[turn], mine[turn], got[turn]);
    }
    for (int i = 0; i < 3; i++)
        comm_gather(first, COMM_KV, l->block, at[2]);
    if (queue_sync(first) != VLQA_OK) return 0;
    for (int turn = 0; turn < 3; turn++)
        if (!has_come(l, turn, at[turn], got[turn])) return 0;
    queue_close(second);
    return nccl_stub_count().gathers == 6 && stop(l);
}

TEST(queues_of_a_device_give_in_turn)
{
    CHECK_EQ(right_on(3, 20000, gathers_without_waiting), 3);
}

/* Rows in the reverse order before and behind, by kernels: of a decode pass, too, which are only
 * written down until something else is asked for. */
static int computes_around(struct lab *l)
{
    enum { ROWS = 6 };
    size_t row = 4 * sizeof(float), at[MOST + 1] = {0};
    float in[ROWS * 4], out[ROWS * 2 * 4];
    int32_t back[ROWS * 2];
    struct ints index = {back, NULL, ROWS};
    if (!start(l)) return 0;
    struct mat x = mat_of(l->block, DT_F32, ROWS, 4);
    struct mat all = mat_of(l->block + 4096, DT_F32, ROWS * 2, 4);
    struct mat y = mat_of(l->block + 8192, DT_F32, ROWS * 2, 4);
    at[1] = ROWS * row;
    at[2] = 2 * ROWS * row;
    for (int i = 0; i < ROWS * 4; i++)
        in[i] = (float)(100 * l->r->rank + i);
    for (int i = 0; i < ROWS * 2; i++)
        back[i] = ROWS * 2 - 1 - i;
    queue_upload(l->queue, l->block + 12288, back, sizeof back);
    index.at = (const int32_t *)(const void *)(l->block + 12288);
    for (int decode = 0; decode < 3; decode++) {
        l->queue->decode = decode > 0;
        queue_clear(l->queue, l->block, 12288);
        queue_upload(l->queue, x.data, in, sizeof in);
        k_gather(l->queue, mat_rows(all, l->r->rank * ROWS, ROWS), x,
                 (struct ints){back + ROWS, index.at + ROWS, ROWS});
        comm_gather(l->queue, COMM_KV, all.data, at);
        k_gather(l->queue, y, all, (struct ints){back, index.at, ROWS * 2});
        if (queue_read(l->queue, out, y) != VLQA_OK) return 0;
        for (int i = 0; i < ROWS * 2 * 4; i++) {
            int from = i / 4 < ROWS ? 1 : 0, of = i / 4 % ROWS;
            if (out[i] != (float)(100 * from + of * 4 + i % 4)) return 0;
        }
    }
    return nccl_stub_count().gathers == 3 && stop(l);
}

TEST(kernels_before_and_behind_see_the_right_bytes)
{
    CHECK_EQ(right_on(2, 20000, computes_around), 2);
}

static int asks_for_less(struct lab *l)
{
    size_t at[MOST + 1] = {0, 64, l->r->rank ? 96 : 128};
    if (!start(l)) return 0;
    for (int i = 0; i < 2; i++) /* whoever is first goes on */
        comm_gather(l->queue, COMM_KV, l->block, at);
    return queue_sync(l->queue) == VLQA_OK;
}

TEST(ranks_that_ask_for_different_things_are_seen)
{
    CHECK_EQ(right_on(2, 5000, asks_for_less), 0);
}

/* ---- who cannot ---- */

static int goes_through_the_host(struct lab *l, const char *why)
{
    struct nccl_stub_counts count;
    for (int turn = 0; turn < 7; turn++)
        if (!is_gathered(l, turn)) return 0;
    count = nccl_stub_count();
    if (count.gathers || l->env.message[0]) return 0;
    if (l->r->rank) return l->warnings == 0 && stop(l);
    return l->warnings == 1 && strstr(l->log, "through memory of the host") &&
           strstr(l->log, why) && stop(l);
}

static int has_no_library(struct lab *l)
{
    if (l->r->rank != 1) nccl_stub_install();
    return start_on(l, l->r->rank) &&
           goes_through_the_host(l, "rank 1: no NCCL: libnccl.so.2: there is none");
}

TEST(where_one_rank_has_no_nccl_all_go_through_the_host)
{
    CHECK_EQ(right_on(3, 20000, has_no_library), 3);
}

static int shares_a_gpu(struct lab *l)
{
    nccl_stub_install();
    return start_on(l, l->r->rank == 2 ? 1 : l->r->rank) &&
           goes_through_the_host(l, "ranks 1 and 2 have one");
}

TEST(where_two_ranks_have_one_gpu_all_go_through_the_host)
{
    CHECK_EQ(right_on(3, 20000, shares_a_gpu), 3);
}

static int is_refused(struct lab *l)
{
    if (l->r->rank == 1) nccl_stub_refuse();
    return start(l) && goes_through_the_host(l, "rank 1: NCCL failed at the opening");
}

TEST(where_one_rank_cannot_open_all_go_through_the_host)
{
    CHECK_EQ(right_on(3, 20000, is_refused), 3);
}

static int ends_before(struct lab *l)
{
    double begin = env_ms();
    if (l->r->rank == 1) _exit(3);
    return !start(l) && l->r->status == VLQA_EDEVICE && env_ms() - begin < 10000;
}

TEST(a_rank_that_ends_while_others_open_is_an_error)
{
    CHECK_EQ(right_on(3, 600000, ends_before), 2);
}

/* ---- who fails ---- */

/* All have gathered by NCCL before one of them fails. */
static int start_and_gather(struct lab *l)
{
    return start(l) && is_gathered(l, 2) && comm_agree(l->r, &l->env, VLQA_OK) == VLQA_OK;
}

/* The next call goes through the host, on all ranks, and each of them says so once. */
static int goes_on(struct lab *l)
{
    uint64_t before = nccl_stub_count().gathers;
    if (comm_begin(l->r, &l->env, "it", same) != VLQA_OK) return 0;
    for (int turn = 0; turn < 3; turn++)
        if (!is_gathered(l, turn)) return 0;
    return nccl_stub_count().gathers == before && l->r->through_host && l->warnings == 1 &&
           strstr(l->log, "from now on") && stop(l);
}

static int has_an_error(struct lab *l)
{
    double begin = env_ms();
    if (!start_and_gather(l)) return 0;
    if (l->r->rank == 1) nccl_stub_fail(0);
    if (is_gathered(l, 3)) return 0;
    if (queue_sync(l->queue) != VLQA_EDEVICE || env_ms() - begin > 10000) return 0;
    return strstr(l->env.message, "rank 1: NCCL failed at ") && /* the gather, or work */
           strstr(l->env.message, ": a rank has ended") && goes_on(l);
}

TEST(an_error_of_nccl_ends_the_sync_on_all_ranks_and_the_next_call_works)
{
    CHECK_EQ(right_on(3, 600000, has_an_error), 3);
}

/* One rank's call fails elsewhere, and it gives nothing any more. */
static int leaves(struct lab *l)
{
    size_t at[MOST + 1] = {0, 64, 128, 192};
    if (!start_and_gather(l)) return 0;
    if (l->r->rank == 1) {
        (void)env_fail(&l->env, VLQA_EIO, "the disk");
        if (comm_end(l->r, &l->env, VLQA_EIO) != VLQA_EIO) return 0;
        comm_settle(l->queue);
        return strcmp(l->env.message, "the disk") == 0 && goes_on(l);
    }
    for (int i = 0; i < 3; i++)
        comm_gather(l->queue, COMM_KV, l->block, at);
    if (queue_sync(l->queue) != VLQA_EIO || !strstr(l->env.message, "rank 1: the disk")) return 0;
    return comm_end(l->r, &l->env, VLQA_EIO) == VLQA_EIO && goes_on(l);
}

TEST(a_rank_that_fails_ends_the_sync_of_others_and_the_next_call_works)
{
    CHECK_EQ(right_on(3, 600000, leaves), 3);
}

enum waits {
    BY_SYNC,
    BY_ALLOC,
    BY_ALLOC_HOST,
    BY_NO_MEMORY,
    BY_RELEASE,
    BY_RELEASE_HOST,
    BY_HEADERS,
    BY_UPLOAD,
    BY_DOWNLOAD,
    BY_CLOSE
};
static enum waits waits_by; /* the ranks that are forked next, for the device */

static void wait_for_device(struct lab *l)
{
    static uint8_t bytes[BLOCK];
    int times = waits_by == BY_HEADERS ? 40 : 2; /* more than staging and rings hold */
    for (int i = 0; i < times; i++) {
        if (waits_by == BY_HEADERS) queue_upload(l->queue, l->block, bytes, 32 << 10);
        if (waits_by == BY_UPLOAD) queue_upload(l->queue, l->block, bytes, BLOCK);
        if (waits_by == BY_DOWNLOAD) queue_download(l->queue, bytes, l->block, BLOCK);
    }
    if (waits_by == BY_SYNC) (void)queue_sync(l->queue);
    if (waits_by == BY_ALLOC) (void)device_alloc(l->device, 64);
    if (waits_by == BY_ALLOC_HOST) (void)device_alloc_host(l->device, 64);
    if (waits_by == BY_NO_MEMORY) (void)device_no_memory(&l->env, l->device, "it", 64);
    if (waits_by == BY_RELEASE_HOST) device_release_host(l->device, l->host);
    if (waits_by == BY_RELEASE) {
        device_release(l->device, l->block);
        l->block = NULL;
    }
}

static int loses_one(struct lab *l)
{
    size_t at[MOST + 1] = {0, 64, 128, 192};
    double begin = env_ms();
    if (!start_and_gather(l)) return 0;
    if (l->r->rank == 1) _exit(3);
    comm_gather(l->queue, COMM_KV, l->block, at);
    wait_for_device(l);
    if (waits_by != BY_CLOSE && (l->r->status != VLQA_EDEVICE || !l->r->through_host)) return 0;
    if (waits_by == BY_SYNC &&
        (queue_sync(l->queue) != VLQA_EDEVICE || !strstr(l->env.message, "rank 1 has ended")))
        return 0;
    return stop(l) && l->r->status == VLQA_EDEVICE && nccl_stub_count().aborts == 1 &&
           env_ms() - begin < 10000;
}

TEST(a_rank_that_ends_leaves_nobody_waiting_for_the_device)
{
    for (int by = BY_SYNC; by <= BY_CLOSE; by++) {
        waits_by = (enum waits)by;
        CHECK_EQ(right_on(3, 600000, loses_one), 2);
    }
}

static int hangs(struct lab *l)
{
    size_t at[MOST + 1] = {0, 64, 128, 192};
    double begin;
    if (!start_and_gather(l)) return 0;
    if (l->r->rank == 1) {
        usleep(2500000);
        return 1;
    }
    begin = env_ms();
    comm_gather(l->queue, COMM_KV, l->block, at);
    return queue_sync(l->queue) == VLQA_EDEVICE && env_ms() - begin < 10000 &&
           strstr(l->env.message, "device memory for 1.0 s") && stop(l);
}

TEST(a_rank_that_hangs_ends_the_sync_within_the_time)
{
    CHECK_EQ(right_on(3, 1000, hangs), 3);
}

static int knows_before; /* the ranks that are forked next: that the device fails */

/* Its device fails, before or while it gives, so its call does. */
static int breaks(struct lab *l)
{
    if (!start_and_gather(l)) return 0;
    if (l->r->rank == 1) emu_fail_work(0);
    if (l->r->rank == 1 && knows_before) {
        queue_clear(l->queue, l->block, 64);
        (void)queue_sync(l->queue);
    }
    if (is_gathered(l, 3)) return 0;
    if (knows_before && l->r->status != VLQA_EDEVICE) return 0; /* told without comm_end */
    if (l->r->rank == 1) (void)comm_end(l->r, &l->env, VLQA_EDEVICE);
    return queue_sync(l->queue) == VLQA_EDEVICE && strstr(l->env.message, "GPU 0 failed at");
}

TEST(a_gpu_that_fails_ends_the_sync_on_all_ranks)
{
    for (knows_before = 0; knows_before < 2; knows_before++)
        CHECK_EQ(right_on(3, 600000, breaks), 3);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
