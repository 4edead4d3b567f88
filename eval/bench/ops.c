/* ops.c - goes through operations and rows, and times each in turn with oneDNN. */
#include "eval/bench/ops.h"

#include "base/heap.h"
#include "eval/bench/lab.h"
#include "eval/bench/onednn.h"
#include "eval/bench/peak.h"
#include "fusion/engine/shape.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#define SAMPLE_MS 10.0      /* of calls, one behind the other, at least */
#define QUIET_MS 20         /* after oneDNN: its threads go on looking for work for a while */
#define MAX_DIFFERENCE 0.02 /* of the largest value: inputs of a format may be rounded */

struct run {
    struct env *env;
    const struct ops_options *options;
    const struct ops_watch *watch;
    struct lab lab;
    struct cases cases;
    struct pool *pool;
    struct onednn *dnn;
    struct ops_machine machine;
};

struct timed { /* one operation at some rows, and who computes it */
    struct run *run;
    const struct call *call;
    struct onednn_product *peer[N_PEERS]; /* NULL: no such */
    int turn;
    double ms[1 + N_PEERS][OPS_MAX_SAMPLES]; /* ours first */
};

/* ---- times ---- */

static vlqa_status run_once(struct timed *t, int who)
{
    int turn = t->turn++;
    if (who > 0) return onednn_product_run(t->peer[who - 1], turn);
    t->call->run(t->run->lab.queue, t->call, turn);
    return VLQA_OK;
}

static vlqa_status run_many(struct timed *t, int who, int calls, double *ms)
{
    double begin = env_ms();
    for (int i = 0; i < calls; i++)
        TRY(run_once(t, who));
    TRY(queue_sync(t->run->lab.queue));
    *ms = (env_ms() - begin) / calls;
    if (who > 0) {
        const struct timespec quiet = {0, QUIET_MS * 1000000};
        nanosleep(&quiet, NULL);
    }
    return VLQA_OK;
}

/* How many calls take as long as a sample shall; the first is not counted. */
static vlqa_status calls_of(struct timed *t, int who, int *calls)
{
    double ms = 0;
    TRY(run_many(t, who, 1, &ms));
    for (*calls = 1;; *calls *= 4) {
        TRY(run_many(t, who, *calls, &ms));
        if (ms * *calls >= SAMPLE_MS / 4 || *calls >= 1 << 16) break;
    }
    *calls = ms > 0 && ms < SAMPLE_MS ? (int)(SAMPLE_MS / ms) + 1 : 1;
    return VLQA_OK;
}

static double least_of(const double *value, int n)
{
    double least = value[0];
    for (int i = 1; i < n; i++)
        if (value[i] < least) least = value[i];
    return least;
}

/* In turn, so that what slows the machine down meets all of them. */
static vlqa_status take_samples(struct timed *t, struct ops_result *out)
{
    int n = t->run->options->samples, calls[1 + N_PEERS] = {0};
    for (int who = 0; who <= N_PEERS; who++)
        if (who == 0 || t->peer[who - 1]) TRY(calls_of(t, who, &calls[who]));
    for (int i = 0; i < n; i++)
        for (int who = 0; who <= N_PEERS; who++)
            if (calls[who]) TRY(run_many(t, who, calls[who], &t->ms[who][i]));
    out->ms = least_of(t->ms[0], n);
    for (int p = 0; p < N_PEERS; p++)
        out->peer_ms[p] = t->peer[p] ? least_of(t->ms[1 + p], n) : (double)NAN;
    return VLQA_OK;
}

/* ---- the same product? ---- */

static double difference_of(const float *a, const float *b, size_t n)
{
    double largest = 0, difference = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]), size = fabs((double)b[i]);
        if (!(d <= difference)) difference = d; /* a NaN is large, too */
        if (size > largest) largest = size;
    }
    return difference / (largest > 0 ? largest : 1);
}

static vlqa_status compare(struct timed *t, const struct op_case *c, int peer)
{
    struct run *r = t->run;
    struct mat y = t->call->y;
    size_t n = (size_t)y.rows * (size_t)y.cols;
    float *ours = heap_alloc(n * sizeof *ours);
    vlqa_status status;
    double difference;
    if (!ours) return env_no_memory(r->env, "outputs", n * sizeof *ours);
    t->call->run(r->lab.queue, t->call, 0);
    status = queue_read(r->lab.queue, ours, y);
    if (status == VLQA_OK) status = onednn_product_run(t->peer[peer], 0);
    difference = status == VLQA_OK ? difference_of(onednn_product_out(t->peer[peer]), ours, n) : 0;
    heap_free(ours);
    TRY(status);
    if (difference <= MAX_DIFFERENCE) return VLQA_OK;
    return env_fail(r->env, VLQA_EDEVICE,
                    "%s %s, %d rows: oneDNN's values differ from ours by %g of the largest, "
                    "expected at most %g",
                    c->op, c->part, y.rows, difference, MAX_DIFFERENCE);
}

/* ---- operations ---- */

static const char *shape_of(const struct op_case *c, const struct call *call, char out[64])
{
    if (c->out > 0)
        (void)snprintf(out, 64, "%dx%d", c->out, c->in);
    else if (c->kv_heads)
        (void)snprintf(out, 64, "%d/%dx%d, %d keys", c->heads, c->kv_heads, c->in,
                       call->attn.k.rows > call->score.k.rows ? call->attn.k.rows
                                                              : call->score.k.rows);
    else if (c->heads)
        (void)snprintf(out, 64, "%dx%d", c->heads, c->in / c->heads);
    else
        (void)snprintf(out, 64, "%d", c->in);
    return out;
}

static vlqa_status prepare(struct lab *lab, const struct op_case *c, int rows,
                           struct device_room *room, struct call *call)
{
    struct workspace dry = {0};
    *call = (struct call){.run = NULL};
    c->setup(lab, c, rows, &dry, call);
    TRY(device_room_open(lab->env, lab->device, c->op, &dry, room));
    *call = (struct call){.run = NULL};
    c->setup(lab, c, rows, &room->ws, call);
    return queue_sync(lab->queue);
}

static vlqa_status time_prepared(struct run *r, const struct op_case *c, const struct call *call,
                                 struct onednn_product *const peer[N_PEERS], int rows)
{
    struct timed t = {.run = r, .call = call};
    struct ops_result out = {.op = c->op, .part = c->part, .rows = rows};
    char shape[64];
    for (int p = 0; p < N_PEERS; p++) {
        t.peer[p] = peer[p];
        if (!peer[p]) continue;
        TRY(onednn_product_take(peer[p], r->lab.queue, call));
        TRY(compare(&t, c, p));
    }
    TRY(take_samples(&t, &out));
    out.shape = shape_of(c, call, shape);
    out.flops = call->flops;
    out.bytes = call->bytes;
    return r->watch->result(r->watch->user, &out) ? env_fail(r->env, VLQA_ECANCELLED, "cancelled")
                                                  : VLQA_OK;
}

static vlqa_status time_rows(struct run *r, const struct op_case *c,
                             struct onednn_product *const peer[N_PEERS], int rows)
{
    struct device_room room = {0};
    struct call call;
    vlqa_status status = prepare(&r->lab, c, rows, &room, &call);
    if (status == VLQA_OK) status = time_prepared(r, c, &call, peer, rows);
    device_room_close(&room);
    return status;
}

static vlqa_status time_all_rows(struct run *r, const struct op_case *c,
                                 struct onednn_product *const peer[N_PEERS])
{
    static const int usual[] = {1, 4, 16, 64, 256, 1024, 4096};
    const struct ops_options *o = r->options;
    for (int i = 0; i < o->n_rows; i++)
        TRY(time_rows(r, c, peer, o->row[i]));
    for (size_t i = 0; !o->n_rows && i < sizeof usual / sizeof *usual; i++)
        if (usual[i] >= c->least && usual[i] <= c->most) TRY(time_rows(r, c, peer, usual[i]));
    return VLQA_OK;
}

static vlqa_status time_with_peers(struct run *r, const struct op_case *c)
{
    static const enum dtype dtype[] = {[PEER_F32] = DT_F32, [PEER_BF16] = DT_BF16};
    struct onednn_product *peer[N_PEERS] = {NULL};
    vlqa_status status = VLQA_OK;
    int has_peers = r->dnn && strcmp(c->op, "matmul") == 0 && c->format == WEIGHT_BF16;
    for (int p = 0; p < N_PEERS && has_peers; p++)
        if (status == VLQA_OK) status = onednn_product_open(r->dnn, c, dtype[p], &peer[p]);
    if (status == VLQA_OK) status = time_all_rows(r, c, peer);
    for (int p = 0; p < N_PEERS; p++)
        onednn_product_close(peer[p]);
    return status;
}

static vlqa_status time_case(struct run *r, struct op_case c)
{
    struct lab_weights weights = {0};
    vlqa_status status = VLQA_OK;
    if (c.out > 0) status = lab_weights_open(&r->lab, c.out, c.in, c.format, &weights);
    c.weights = &weights;
    if (status == VLQA_OK) status = time_with_peers(r, &c);
    lab_weights_close(&r->lab, &weights);
    return status;
}

static int is_wanted(const struct run *r, const struct op_case *c)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s %s", c->op, c->part);
    return !r->options->filter || strstr(name, r->options->filter) != NULL;
}

static vlqa_status time_cases(struct run *r)
{
    int wanted = 0;
    cases_add_products(&r->cases, &r->lab);
    cases_add_attention(&r->cases, &r->lab);
    cases_add_rows(&r->cases, &r->lab);
    for (int i = 0; i < r->cases.n; i++)
        wanted += is_wanted(r, &r->cases.at[i]);
    if (!wanted)
        return env_fail(r->env, VLQA_EUSAGE,
                        "no operation has \"%s\" in its name, such as \"matmul text.q\"",
                        r->options->filter);
    r->watch->machine(r->watch->user, &r->machine);
    for (int i = 0; i < r->cases.n; i++)
        if (is_wanted(r, &r->cases.at[i])) TRY(time_case(r, r->cases.at[i]));
    return VLQA_OK;
}

/* ---- the machine ---- */

static vlqa_status measure_machine(struct run *r)
{
    struct ops_machine *m = &r->machine;
    const char *cpu = device_name(r->lab.device);
    size_t bytes = r->lab.rotation;
    void *buffer = device_alloc(r->lab.device, bytes);
    if (!buffer) return env_no_memory(r->env, "a buffer to read", bytes);
    if (device_shares_host(r->lab.device)) heap_large_pages(buffer, bytes); /* as weights have */
    memset(buffer, 1, bytes);
    m->bytes = peak_bytes(r->pool, buffer, bytes);
    device_release(r->lab.device, buffer);
    m->flops_f32 = peak_flops(r->pool, cpu, DT_F32);
    m->flops = r->lab.text.compute == DT_BF16 ? peak_flops(r->pool, cpu, DT_BF16) : m->flops_f32;
    m->cpu = cpu;
    m->dtype = r->lab.text.compute == DT_BF16 ? "bf16" : "f32";
    m->weights = r->lab.layers == WEIGHT_INT4   ? "int4"
                 : r->lab.layers == WEIGHT_INT8 ? "int8"
                                                : "bf16";
    m->threads = pool_threads(r->pool);
    m->rotation = (int64_t)bytes;
    if (r->dnn) (void)snprintf(m->onednn, sizeof m->onednn, "%s", onednn_text(r->dnn));
    return VLQA_OK;
}

/* Four times the largest cache, so that little of it is left when its turn comes again. */
static size_t rotation_of(void)
{
    size_t least = (size_t)128 << 20, most = (size_t)512 << 20, bytes = 4 * peak_cache();
    return bytes < least ? least : bytes > most ? most : bytes;
}

static vlqa_status begin(struct run *r)
{
    const struct ops_options *o = r->options;
    struct lab *lab = &r->lab;
    int is_f32 = o->dtype == VLQA_DTYPE_F32;
    *lab = (struct lab){.env = r->env, .seed = o->seed};
    lab->rotation = o->rotation ? (size_t)o->rotation : rotation_of();
    TRY(shape_named(r->env, o->shape, &lab->text, &lab->vision));
    lab->text.compute = lab->vision.compute = is_f32 ? DT_F32 : DT_BF16;
    lab->text.kv = o->kv_dtype == VLQA_DTYPE_F32    ? DT_F32
                   : o->kv_dtype == VLQA_DTYPE_BF16 ? DT_BF16
                                                    : lab->text.compute;
    lab->layers = o->weights == VLQA_WEIGHTS_INT4   ? WEIGHT_INT4
                  : o->weights == VLQA_WEIGHTS_INT8 ? WEIGHT_INT8
                                                    : WEIGHT_BF16;
    lab->head = lab->layers == WEIGHT_INT4 ? WEIGHT_INT8 : lab->layers;
    TRY(pool_create(r->env, o->threads, &r->pool));
    r->env->pool = r->pool;
    TRY(device_open(r->env, o->cpu, &lab->device));
    TRY(queue_open(lab->device, r->env, &lab->queue));
    if (!o->onednn || *o->onednn)
        TRY(onednn_open(r->env, o->onednn, pool_threads(r->pool), &r->dnn));
    return measure_machine(r);
}

vlqa_status ops_time(struct env *env, const struct ops_options *options,
                     const struct ops_watch *watch)
{
    struct run *r = heap_alloc_zero(sizeof *r);
    vlqa_status status;
    if (!r) return env_no_memory(env, "the measurement", sizeof *r);
    *r = (struct run){.env = env, .options = options, .watch = watch};
    assert(options->samples >= 1 && options->samples <= OPS_MAX_SAMPLES);
    status = begin(r);
    if (status == VLQA_OK) status = time_cases(r);
    onednn_close(r->dnn);
    queue_close(r->lab.queue);
    device_close(r->lab.device);
    env->pool = NULL;
    pool_free(r->pool);
    heap_free(r);
    return status;
}
