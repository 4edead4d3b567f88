/* comm.c - ranks over any transport: agreement, parts of blocks, and copies of a device's memory.
 */
#include "kernels/comm.h"

#include "base/heap.h"
#include "kernels/backend.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS (10 * 60 * 1000)
#define LOOK_MS 200 /* more between two looks is no wait: all were stopped, by Ctrl-Z */

/* ---- handles ---- */

vlqa_status comm_new(const struct comm_ops *op, int n, int64_t timeout_ms, struct vlqa_ranks **out)
{
    struct vlqa_ranks *r = heap_alloc_zero(sizeof *r);
    *out = r;
    if (!r) return VLQA_EMEMORY;
    *r = (struct vlqa_ranks){.op = op,
                             .rank = -1,
                             .n = n,
                             .on_host = n,
                             .timeout_ms = timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS};
    if (timeout_ms < 0)
        return env_fail(&r->env, VLQA_EUSAGE, "timeout_ms is %lld, expected 0 or more",
                        (long long)timeout_ms);
    if (n < 1 || n > VLQA_RANKS_MOST)
        return env_fail(&r->env, VLQA_EUSAGE, "there are %d ranks, expected 1 to %d", n,
                        VLQA_RANKS_MOST);
    return VLQA_OK;
}

vlqa_status vlqa_ranks_join(struct vlqa_ranks *r, int rank)
{
    if (!r || !r->impl) return VLQA_EUSAGE; /* its message says why it is of no use */
    if (rank < 0 || rank >= r->n)
        return env_fail(&r->env, VLQA_EUSAGE, "there is no rank %d of %d", rank, r->n);
    if (r->rank >= 0)
        return env_fail(&r->env, VLQA_ESTATE, "this process is rank %d already", r->rank);
    if (!r->op->join || r->op->join(r, rank) != 0)
        return env_fail(&r->env, VLQA_ESTATE, "another process has been rank %d", rank);
    r->rank = rank;
    return VLQA_OK;
}

void vlqa_ranks_lost(struct vlqa_ranks *r, int rank, const char *why)
{
    if (r && r->impl && r->op->lost && rank >= 0 && rank < r->n)
        r->op->lost(r, rank, why ? why : "has ended");
}

void vlqa_ranks_divide_weights(struct vlqa_ranks *r, int divide)
{
    if (r) r->divides_weights = divide != 0;
}

vlqa_status vlqa_ranks_read_traffic(const struct vlqa_ranks *r, int kind,
                                    struct vlqa_ranks_traffic *out, size_t bytes)
{
    static const char *const names[] = {
        [COMM_CONTROL] = "control", [COMM_KV] = "kv",         [COMM_CHUNKS] = "chunks",
        [COMM_HIDDEN] = "hidden",   [COMM_SCORES] = "scores", [COMM_VISION] = "vision"};
    struct vlqa_ranks_traffic t = {0};
    if (!r || !out || kind < 0 || kind >= COMM_KINDS || bytes < sizeof t) return VLQA_EUSAGE;
    t.given = r->count[kind].given;
    t.taken = r->count[kind].taken;
    t.ms = r->count[kind].ms;
    snprintf(t.name, sizeof t.name, "%s", names[kind]);
    memset(out, 0, bytes);
    memcpy(out, &t, sizeof t);
    return VLQA_OK;
}

int vlqa_ranks_count(const struct vlqa_ranks *r)
{
    return r ? r->n : 1;
}

int vlqa_ranks_rank(const struct vlqa_ranks *r)
{
    return r ? r->rank : -1;
}

int vlqa_ranks_on_host(const struct vlqa_ranks *r)
{
    return r ? r->on_host : 1;
}

const char *vlqa_ranks_message(const struct vlqa_ranks *r)
{
    return r ? r->env.message : "no ranks";
}

void vlqa_ranks_close(struct vlqa_ranks *r)
{
    if (!r) return;
    if (r->impl) r->op->close(r);
    heap_free(r->room);
    heap_free(r);
}

vlqa_status comm_check(const struct vlqa_ranks *r, struct env *env)
{
    if (!r || r->rank >= 0) return VLQA_OK;
    return env_fail(env, VLQA_EUSAGE,
                    "engine options: this process is none of the ranks: join them first");
}

vlqa_status comm_open(struct vlqa_ranks *r, struct env *env, const struct device *d)
{
    size_t bytes = r ? (size_t)r->n * COMM_PIECE : 0;
    if (!r) return VLQA_OK;
    if (device_shares_host(d) || r->room) return VLQA_OK;
    r->room = heap_alloc(bytes);
    return r->room ? VLQA_OK : env_no_memory(env, "copies for other ranks", bytes);
}

vlqa_status comm_connect(struct vlqa_ranks *r, struct env *env, struct device *d)
{
    static const uint8_t none[COMM_KEY];
    char why[sizeof env->message];
    if (!r || r->n == 1 || r->through_host || !d->op->ranks_open) return VLQA_OK;
    if (d->op->ranks_open(env, d, r) == VLQA_OK) {
        d->ranks = r;
        return VLQA_OK;
    }
    memcpy(why, env->message, sizeof why);
    TRY(comm_begin(r, env, "the engine", none)); /* whoever could not has marked them as failed */
    if (r->rank == 0)
        env_log(env, VLQA_LOG_WARN,
                "ranks give one another memory of devices through memory of the host: %s", why);
    env->message[0] = 0;
    return VLQA_OK;
}

int comm_n(const struct queue *q)
{
    return q->ranks ? q->ranks->n : 1;
}

int comm_rank(const struct queue *q)
{
    return q->ranks ? q->ranks->rank : 0;
}

/* ---- statuses ---- */

int comm_failed(struct vlqa_ranks *r, vlqa_status status, const char *format, ...)
{
    va_list args;
    if (r->status != VLQA_OK) return -1;
    va_start(args, format);
    vsnprintf(r->env.message, sizeof r->env.message, format, args);
    va_end(args);
    r->status = status;
    r->op->tell(r);
    return -1;
}

int comm_look(struct vlqa_ranks *r, struct comm_wait *w)
{
    if (r->status == VLQA_OK && r->op->look) (void)r->op->look(r);
    if (r->status != VLQA_OK) return 1;
    if (w->mark == 0) w->mark = env_ms();
    w->waited += fmin(env_since(&w->mark), LOOK_MS);
    if (w->waited <= (double)r->timeout_ms) return 0;
    (void)comm_failed(r, VLQA_EDEVICE, "rank %d has waited for device memory for %.1f s", r->rank,
                      (double)r->timeout_ms / 1000);
    return 1;
}

vlqa_status comm_status(const struct vlqa_ranks *r, struct env *env)
{
    if (!r || r->status == VLQA_OK) return VLQA_OK;
    return env_fail(env, r->status, "%s", r->env.message);
}

vlqa_status comm_end(struct vlqa_ranks *r, struct env *env, vlqa_status mine)
{
    if (!r || mine == VLQA_OK) return mine;
    if (r->rank == 0)
        (void)comm_failed(r, mine, "%s", env->message);
    else
        (void)comm_failed(r, mine, "rank %d: %s", r->rank, env->message);
    return r->status == mine ? mine : comm_status(r, env); /* another one was first */
}

static void same_size(size_t at[VLQA_RANKS_MOST + 1], int n, size_t bytes)
{
    for (int i = 0; i <= n; i++)
        at[i] = (size_t)i * bytes;
}

/* Of the rank `root` alone. */
static void one_part(size_t at[VLQA_RANKS_MOST + 1], int n, int root, size_t bytes)
{
    for (int i = 0; i <= n; i++)
        at[i] = i > root ? bytes : 0;
}

vlqa_status comm_agree(struct vlqa_ranks *r, struct env *env, vlqa_status mine)
{
    int32_t all[VLQA_RANKS_MOST];
    size_t at[VLQA_RANKS_MOST + 1];
    char message[sizeof env->message];
    int first = 0;
    if (!r) return mine;
    all[r->rank] = (int32_t)mine;
    same_size(at, r->n, sizeof *all);
    comm_gather_host(r, COMM_CONTROL, all, at);
    TRY(comm_status(r, env));
    while (first < r->n && all[first] == VLQA_OK)
        first++;
    if (first == r->n) return VLQA_OK;
    memcpy(message, env->message, sizeof message);
    one_part(at, r->n, first, sizeof message);
    comm_gather_host(r, COMM_CONTROL, message, at);
    TRY(comm_status(r, env));
    message[sizeof message - 1] = 0;
    if (first == 0) return env_fail(env, (vlqa_status)all[0], "%s", message);
    return env_fail(env, (vlqa_status)all[first], "rank %d: %s", first, message);
}

/* How device memory goes is one rank's loss (through_host) and has to be all ranks'. */
static void agree_on_way(struct vlqa_ranks *r, struct env *env)
{
    int here = r->through_host, n;
    r->through_host = comm_first(r, here, &n) >= 0;
    if (r->through_host && !here)
        env_log(env, VLQA_LOG_WARN,
                "rank %d: memory of devices goes through memory of the host from now on, as on "
                "other ranks",
                r->rank);
}

vlqa_status comm_begin(struct vlqa_ranks *r, struct env *env, const char *what,
                       const uint8_t key[COMM_KEY])
{
    if (!r) return VLQA_OK;
    r->status = VLQA_OK;
    if (r->op->begin(r) != 0) return comm_status(r, env);
    agree_on_way(r, env);
    return comm_same(r, env, what, key);
}

vlqa_status comm_same(struct vlqa_ranks *r, struct env *env, const char *what,
                      const uint8_t key[COMM_KEY])
{
    uint8_t all[VLQA_RANKS_MOST * COMM_KEY];
    size_t at[VLQA_RANKS_MOST + 1];
    if (!r) return VLQA_OK;
    memcpy(all + r->rank * COMM_KEY, key, COMM_KEY);
    same_size(at, r->n, COMM_KEY);
    comm_gather_host(r, COMM_CONTROL, all, at);
    TRY(comm_status(r, env));
    for (int i = 1; i < r->n; i++)
        if (memcmp(all, all + i * COMM_KEY, COMM_KEY) != 0)
            return env_fail(env, VLQA_ESTATE,
                            "%s: rank %d was given something else than rank 0; ranks need the same "
                            "model, options, images and texts",
                            what, i);
    return VLQA_OK;
}

int comm_choose(struct vlqa_ranks *r, int mine)
{
    int32_t said = mine;
    size_t at[VLQA_RANKS_MOST + 1];
    if (!r) return mine;
    one_part(at, r->n, 0, sizeof said);
    comm_gather_host(r, COMM_CONTROL, &said, at);
    return r->status == VLQA_OK ? said : mine;
}

void comm_beat(struct vlqa_ranks *r)
{
    if (r && r->op->beat) r->op->beat(r);
}

int comm_first(struct vlqa_ranks *r, int has, int *n)
{
    uint8_t all[VLQA_RANKS_MOST] = {0};
    size_t at[VLQA_RANKS_MOST + 1];
    int first = -1;
    *n = 0;
    all[r ? r->rank : 0] = has != 0;
    if (r) {
        same_size(at, r->n, 1);
        comm_gather_host(r, COMM_CONTROL, all, at);
    }
    for (int i = vlqa_ranks_count(r) - 1; i >= 0; i--)
        if (all[i]) first = i, ++*n;
    return first;
}

vlqa_status comm_progress(struct vlqa_ranks *r, struct env *env, const char *phase, int64_t done,
                          int64_t total)
{
    vlqa_status mine = env_progress(env, phase, done, total), said;
    if (!r) return mine;
    said = (vlqa_status)comm_choose(r, (int)mine);
    TRY(comm_status(r, env));
    if (said != VLQA_OK) return env_fail(env, said, "cancelled during %s", phase);
    env->message[0] = 0; /* only rank 0 can cancel */
    return VLQA_OK;
}

/* ---- parts ---- */

static int part_begin(int all, int unit, int ranks, int rank)
{
    int units = all / unit + (all % unit != 0);
    int64_t begin = (int64_t)units * rank / ranks * unit;
    return begin < all ? (int)begin : all;
}

struct comm_part comm_part_of(int all, int unit, int ranks, int rank)
{
    int begin = part_begin(all, unit, ranks, rank);
    return (struct comm_part){all, unit, ranks, begin,
                              part_begin(all, unit, ranks, rank + 1) - begin};
}

/* ---- bytes ---- */

static size_t own_bytes(const struct vlqa_ranks *r, const size_t *at)
{
    return at[r->rank + 1] - at[r->rank];
}

static void count(struct vlqa_ranks *r, enum comm_kind kind, const void *block, const size_t *at)
{
    r->count[kind].given += own_bytes(r, at);
    if (block) r->count[kind].taken += at[r->n] - own_bytes(r, at);
}

void comm_gather_host(struct vlqa_ranks *r, enum comm_kind kind, void *block, const size_t *at)
{
    double begin = env_ms();
    assert(at[0] == 0 && (block || own_bytes(r, at) == 0));
    if (r->status != VLQA_OK || at[r->n] == 0) return;
    count(r, kind, block, at);
    (void)r->op->gather(r, block, at);
    r->count[kind].ms += env_ms() - begin;
}

/* What is enqueued is done; if that failed, no rank waits for this one. */
static void wait_for_device(struct queue *q)
{
    if (queue_sync(q) != VLQA_OK)
        (void)comm_failed(q->ranks, VLQA_EDEVICE, "rank %d: %s", comm_rank(q), q->env->message);
}

/* Through memory of the host, where each part has its next piece. */
static void gather_piece(struct queue *q, enum comm_kind kind, uint8_t *block, const size_t *at,
                         size_t done)
{
    struct vlqa_ranks *r = q->ranks;
    size_t piece[VLQA_RANKS_MOST + 1] = {0};
    uint8_t *room = r->room;
    for (int i = 0; i < r->n; i++) {
        size_t bytes = at[i + 1] - at[i], left = bytes > done ? bytes - done : 0;
        piece[i + 1] = piece[i] + (left < COMM_PIECE ? left : COMM_PIECE);
    }
    queue_download(q, room + piece[r->rank], block + at[r->rank] + done,
                   piece[r->rank + 1] - piece[r->rank]);
    wait_for_device(q);
    comm_gather_host(r, kind, room, piece);
    for (int i = 0; i < r->n; i++)
        if (i != r->rank)
            queue_upload(q, block + at[i] + done, room + piece[i], piece[i + 1] - piece[i]);
}

void comm_gather(struct queue *q, enum comm_kind kind, void *block, const size_t *at)
{
    struct vlqa_ranks *r = q->ranks;
    size_t most = 0;
    if (!r || r->status != VLQA_OK || at[r->n] == 0) return;
    if (q->device->ranks == r && !r->through_host) {
        double begin = env_ms();
        count(r, kind, block, at);
        q->op->ranks_gather(q, block, at);
        r->count[kind].ms += env_ms() - begin;
        return;
    }
    if (device_shares_host(q->device)) {
        wait_for_device(q);
        comm_gather_host(r, kind, block, at);
        return;
    }
    for (int i = 0; i < r->n; i++)
        most = at[i + 1] - at[i] > most ? at[i + 1] - at[i] : most;
    for (size_t done = 0; done < most; done += COMM_PIECE)
        gather_piece(q, kind, block, at, done);
}

void comm_broadcast(struct queue *q, enum comm_kind kind, int root, void *block, size_t bytes)
{
    size_t at[VLQA_RANKS_MOST + 1];
    if (!q->ranks) return;
    one_part(at, q->ranks->n, root, bytes);
    comm_gather(q, kind, block, at);
}

void comm_settle(struct queue *q)
{
    char message[sizeof q->env->message];
    memcpy(message, q->env->message, sizeof message);
    (void)q->op->sync(q);
    memcpy(q->env->message, message, sizeof message);
}
