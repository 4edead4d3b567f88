/* bench_ops.c - the times of single operations, as a table that grows or as JSON. */
#include "base/heap.h"
#include "eval/run/origin.h"
#include "eval/verbs/bench.h"

#include <math.h>
#include <string.h>

#define MAX_ROWS 65536
#define SAMPLES 7 /* unless --repeat says another number */

static const char *const peer_names[] = {[PEER_F32] = "f32", [PEER_BF16] = "bf16"};

struct table {
    struct bench *b;
    struct ops_machine machine;
    struct report report; /* with --json */
};

int bench_read_rows(const char *text, void *field)
{
    struct bench_rows *rows = field;
    char word[128];
    rows->n = 0;
    while (args_next_word(&text, word)) {
        const char *end;
        if (rows->n == OPS_MAX_ROWS) return 0;
        if (!args_number(word, 1, MAX_ROWS, &end, &rows->row[rows->n++]) || *end) return 0;
    }
    return rows->n > 0;
}

static double per_second(double amount, double ms)
{
    return amount > 0 && ms > 0 ? amount / ms * 1e3 : (double)NAN;
}

/* ---- JSON ---- */

static void report_machine(struct table *t)
{
    const struct ops_machine *m = &t->machine;
    struct report *r = &t->report;
    report_string(r, "shape", bench_shapes[t->b->args.shape]);
    report_string(r, "dtype", m->dtype);
    report_string(r, "weights", m->weights);
    report_string(r, "cpu", m->cpu);
    report_int(r, "threads", m->threads);
    report_open(r, "peak");
    report_real(r, "gflops", m->flops / 1e9);
    report_real(r, "gflops_f32", m->flops_f32 / 1e9);
    report_real(r, "gbytes", m->bytes / 1e9);
    report_close(r);
    report_int(r, "rotation_bytes", m->rotation);
    report_string(r, "onednn", m->onednn);
    report_open_list(r, "ops");
}

static void report_result(struct table *t, const struct ops_result *o)
{
    struct report *r = &t->report;
    double flops = per_second(o->flops, o->ms), bytes = per_second(o->bytes, o->ms);
    report_open(r, NULL);
    report_string(r, "op", o->op);
    report_string(r, "part", o->part);
    report_string(r, "shape", o->shape);
    report_int(r, "rows", o->rows);
    report_number(r, "ms", o->ms);
    report_number(r, "flops", o->flops > 0 ? o->flops : (double)NAN);
    report_number(r, "bytes", o->bytes);
    report_real(r, "gflops", flops / 1e9);
    report_real(r, "gbytes", bytes / 1e9);
    report_real(r, "of_peak", flops / t->machine.flops);
    report_real(r, "of_bandwidth", bytes / t->machine.bytes);
    for (int p = 0; p < N_PEERS; p++) {
        char name[32];
        (void)snprintf(name, sizeof name, "onednn_%s_ms", peer_names[p]);
        report_number(r, name, o->peer_ms[p]);
        (void)snprintf(name, sizeof name, "onednn_%s_ratio", peer_names[p]);
        report_real(r, name, o->peer_ms[p] / o->ms);
    }
    report_close(r);
}

static int print_json(struct table *t)
{
    report_close(&t->report);
    report_string(&t->report, "version", vlqa_version());
    origin_report(&t->report, t->b->cli.verb->name, t->b->cli.argc, t->b->cli.argv);
    return cli_write_report(&t->b->cli, &t->report);
}

/* ---- text ---- */

static void print_machine(const struct table *t)
{
    const struct ops_machine *m = &t->machine;
    char machine[ORIGIN_MACHINE], rotation[32];
    origin_machine(machine);
    report_bytes(m->rotation, rotation);
    printf("%-10s %s\n", "shape", bench_shapes[t->b->args.shape]);
    printf("%-10s %s\n", "machine", machine);
    printf("%-10s %s, %s, %d threads; at most %.1f GFLOP/s (f32: %.1f) and %.1f GB/s\n",
           "processor", m->cpu, m->dtype, m->threads, m->flops / 1e9, m->flops_f32 / 1e9,
           m->bytes / 1e9);
    printf("%-10s %s in the decoder; each product takes its turn among copies of %s\n", "weights",
           m->weights, rotation);
    printf("%-10s %s\n\n", "oneDNN", *m->onednn ? m->onednn : "none");
    printf("%-15s %-10s %-22s %5s %10s %9s %5s %8s %5s", "operation", "part", "shape", "rows", "ms",
           "GFLOP/s", "peak", "GB/s", "read");
    if (*m->onednn) printf("  oneDNN's time / ours: f32, bf16");
    putchar('\n');
}

static void print_rate(double rate, double limit, int width)
{
    if (isfinite(rate))
        printf(" %*.1f %3.0f %%", width, rate / 1e9, 100 * rate / limit);
    else
        printf(" %*s %5s", width, "", "");
}

static void print_result(const struct table *t, const struct ops_result *o)
{
    printf("%-15s %-10s %-22s %5d %10.4f", o->op, o->part, o->shape, o->rows, o->ms);
    print_rate(per_second(o->flops, o->ms), t->machine.flops, 9);
    print_rate(per_second(o->bytes, o->ms), t->machine.bytes, 8);
    for (int p = 0; p < N_PEERS; p++)
        if (isfinite(o->peer_ms[p])) printf(" %6.2f %s", o->peer_ms[p] / o->ms, peer_names[p]);
    putchar('\n');
    (void)fflush(stdout);
}

/* ---- the run ---- */

static void on_machine(void *user, const struct ops_machine *machine)
{
    struct table *t = user;
    t->machine = *machine;
    if (t->b->args.common.json)
        report_machine(t);
    else
        print_machine(t);
}

static int on_result(void *user, const struct ops_result *result)
{
    struct table *t = user;
    if (t->b->args.common.json)
        report_result(t, result);
    else
        print_result(t, result);
    return cli_interrupted();
}

static const char *library_of(const char *option)
{
    return option && strcmp(option, "off") == 0 ? "" : option;
}

int bench_ops(struct bench *b)
{
    static const char *const unused[] = {"image",       "prompt-tokens", "decode",       "reuse",
                                         "max-seq-len", "ranks",         "rank-timeout", NULL};
    const struct bench_args *a = &b->args;
    struct table t = {.b = b, .report = report_begin()};
    struct ops_options options = {.shape = bench_shapes[a->shape],
                                  .seed = a->seed,
                                  .threads = a->common.threads,
                                  .cpu = (enum vlqa_cpu)a->common.cpu,
                                  .dtype = (enum vlqa_dtype)a->common.dtype,
                                  .kv_dtype = (enum vlqa_dtype)a->common.kv_dtype,
                                  .weights = (enum vlqa_weights)a->common.weights,
                                  .filter = a->filter,
                                  .n_rows = a->rows.n,
                                  .samples = a->repeat,
                                  .onednn = library_of(a->onednn)};
    const struct ops_watch watch = {on_machine, on_result, &t};
    vlqa_status status;
    cli_note_unused(&b->cli, unused, "with --ops");
    if (!args_is_given(b->cli.verb, b->cli.argc, b->cli.argv, "repeat")) options.samples = SAMPLES;
    memcpy(options.row, a->rows.row, sizeof options.row);
    status = ops_time(&b->cli.env, &options, &watch);
    if (status == VLQA_OK && a->common.json) return print_json(&t);
    heap_free(report_end(&t.report));
    return status == VLQA_OK ? cli_flush() : cli_fail(&b->cli, status, b->cli.env.message);
}
