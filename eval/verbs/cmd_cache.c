/* cmd_cache.c - the verb cache: what is kept on disk, is it whole, away with it. */
#include "base/heap.h"
#include "eval/cli/report.h"
#include "eval/options/cache_flags.h"
#include "eval/verbs/verbs.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

struct look_args {
    struct cli_args common;
    struct cache_args cache;
    const char *key;
    int all;
};

struct look {
    struct cli cli; /* first: the user of cli_log is this, too */
    struct look_args args;
    char path[CACHE_PATH];
    const char *dir; /* NULL: a default that is not there yet */
    int64_t now;
    struct report report; /* with --json, from ls and verify: the list of records is open */
    struct total {
        int records;
        int64_t bytes;
    } of_kind[3];
};

static const char *kind_name(enum vlqa_record_kind kind)
{
    return kind == VLQA_RECORD_VISUAL ? "visual" : kind == VLQA_RECORD_CHUNK ? "chunk" : "damaged";
}

/* CLI_GO_ON, or an exit code. */
static int look_begin(struct look *l, const struct verb *verb, int argc, char **argv)
{
    int code;
    memset(l, 0, sizeof *l);
    code = cli_begin(&l->cli, verb, argc, argv, &l->args.common);
    if (code != CLI_GO_ON) return code;
    l->now = (int64_t)time(NULL);
    l->dir = cache_dir(&l->args.cache, l->path);
    if (!l->dir)
        return cli_fail(&l->cli, VLQA_EUSAGE,
                        "the environment names no cache directory: give --cache-dir DIR");
    if (!l->args.cache.dir && access(l->dir, F_OK) != 0) l->dir = NULL;
    return CLI_GO_ON;
}

static struct vlqa_cache_options look_options(struct look *l, int verify)
{
    struct vlqa_cache_options o = vlqa_cache_options_default();
    o.dir = l->dir;
    o.verify = verify;
    o.log = cli_log;
    o.user = l;
    return o;
}

static int scan(struct look *l, int verify, vlqa_record_fn fn)
{
    struct vlqa_cache_options o = look_options(l, verify);
    return l->dir ? cli_exit_code(vlqa_cache_scan(&o, fn)) : CLI_OK;
}

/* ---- ls ---- */

#define FUTURE_S 3600 /* clocks of file systems may be ahead, but not by more */

/* "future": the time says nothing of the last use. */
static void age_text(int64_t now, int64_t then, char out[32])
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    int64_t seconds;
    int i = 0;
    if (__builtin_sub_overflow(now, then, &seconds)) seconds = then < now ? INT64_MAX : -INT64_MAX;
    if (seconds < -FUTURE_S) {
        snprintf(out, 32, "future");
        return;
    }
    if (seconds < 0) seconds = 0;
    while (i < 3 && seconds < units[i].seconds)
        i++;
    snprintf(out, 32, "%lld %s", (long long)(seconds / units[i].seconds), units[i].name);
}

static void print_record(const struct look *l, const struct vlqa_record *r)
{
    char grid[32] = "", size[32], age[32];
    if (r->grid_h) snprintf(grid, sizeof grid, "%d x %d", r->grid_w, r->grid_h);
    report_bytes((int64_t)r->bytes, size);
    age_text(l->now, r->mtime, age);
    printf("%-8s %5d tokens %10s %12s %8s  %.16s\n", r->intact ? kind_name(r->kind) : "damaged",
           r->tokens, grid, size, age, r->key);
    if (!r->intact) printf("         %s.vlqa %s\n", r->key, r->problem);
}

static void report_record(struct report *to, const struct vlqa_record *r)
{
    report_open(to, NULL);
    report_string(to, "key", r->key);
    report_string(to, "kind", r->intact ? kind_name(r->kind) : "damaged");
    report_string(to, "problem", r->problem);
    report_int(to, "tokens", r->tokens);
    report_open(to, "grid");
    report_int(to, "width", r->grid_w);
    report_int(to, "height", r->grid_h);
    report_close(to);
    report_int(to, "bytes", (int64_t)r->bytes);
    report_int(to, "mtime", r->mtime);
    report_close(to);
}

static void show_record(struct look *l, const struct vlqa_record *r)
{
    if (l->args.common.json)
        report_record(&l->report, r);
    else
        print_record(l, r);
}

static int count(void *user, const struct vlqa_record *r)
{
    struct look *l = user;
    struct total *t = &l->of_kind[r->intact ? r->kind : VLQA_RECORD_UNKNOWN];
    t->records++;
    t->bytes += (int64_t)r->bytes;
    return 0;
}

static int on_ls(void *user, const struct vlqa_record *r)
{
    show_record(user, r);
    return count(user, r);
}

/* As scan, with --json into a list that end_list closes. */
static int scan_list(struct look *l, int verify, vlqa_record_fn fn)
{
    int code;
    if (l->args.common.json) {
        l->report = report_begin();
        report_open_list(&l->report, "records");
    }
    code = scan(l, verify, fn);
    if (code != CLI_OK && l->args.common.json) {
        report_close(&l->report);
        heap_free(report_end(&l->report));
    }
    return code;
}

static int records_of(const struct look *l)
{
    int n = 0;
    for (int i = 0; i < 3; i++)
        n += l->of_kind[i].records;
    return n;
}

static int end_list(struct look *l)
{
    if (!l->args.common.json) return cli_flush();
    report_close(&l->report);
    report_int(&l->report, "read", records_of(l));
    report_int(&l->report, "damaged", l->of_kind[VLQA_RECORD_UNKNOWN].records);
    report_string(&l->report, "version", vlqa_version());
    return cli_write_report(&l->cli, &l->report);
}

static int run_ls(const struct verb *verb, int argc, char **argv)
{
    struct look l;
    int code = look_begin(&l, verb, argc, argv);
    if (code != CLI_GO_ON) return code;
    code = scan_list(&l, 0, on_ls);
    return code == CLI_OK ? end_list(&l) : code;
}

/* ---- stat ---- */

static void print_total(const char *name, struct total t, const char *behind)
{
    char size[32];
    report_bytes(t.bytes, size);
    printf("%-8s %6d records %12s%s\n", name, t.records, size, behind);
}

static int print_stat(const struct look *l, struct total all)
{
    char size[32], budget[64];
    report_bytes(l->args.cache.disk_mib << 20, size);
    snprintf(budget, sizeof budget, " of %s", size);
    print_total("visual", l->of_kind[VLQA_RECORD_VISUAL], "");
    print_total("chunk", l->of_kind[VLQA_RECORD_CHUNK], "");
    if (l->of_kind[VLQA_RECORD_UNKNOWN].records)
        print_total("damaged", l->of_kind[VLQA_RECORD_UNKNOWN], "");
    print_total("all", all, budget);
    return cli_flush();
}

static void report_total(struct report *r, const char *name, struct total t)
{
    report_open(r, name);
    report_int(r, "records", t.records);
    report_int(r, "bytes", t.bytes);
    report_close(r);
}

static int report_stat(struct look *l, struct total all)
{
    struct report r = report_begin();
    report_total(&r, "visual", l->of_kind[VLQA_RECORD_VISUAL]);
    report_total(&r, "chunk", l->of_kind[VLQA_RECORD_CHUNK]);
    report_total(&r, "damaged", l->of_kind[VLQA_RECORD_UNKNOWN]);
    report_total(&r, "all", all);
    report_int(&r, "budget_bytes", l->args.cache.disk_mib << 20);
    report_string(&r, "version", vlqa_version());
    return cli_write_report(&l->cli, &r);
}

static int run_stat(const struct verb *verb, int argc, char **argv)
{
    struct look l;
    struct total all = {0, 0};
    int code = look_begin(&l, verb, argc, argv);
    if (code != CLI_GO_ON) return code;
    code = scan(&l, 0, count);
    if (code != CLI_OK) return code;
    for (int i = 0; i < 3; i++) {
        all.records += l.of_kind[i].records;
        all.bytes += l.of_kind[i].bytes;
    }
    return l.args.common.json ? report_stat(&l, all) : print_stat(&l, all);
}

/* ---- verify ---- */

static int on_verify(void *user, const struct vlqa_record *r)
{
    if (!r->intact) show_record(user, r);
    return count(user, r);
}

static int run_verify(const struct verb *verb, int argc, char **argv)
{
    struct look l;
    int code = look_begin(&l, verb, argc, argv), damaged;
    if (code != CLI_GO_ON) return code;
    code = scan_list(&l, 1, on_verify);
    if (code != CLI_OK) return code;
    damaged = l.of_kind[VLQA_RECORD_UNKNOWN].records;
    if (!l.args.common.json) printf("%d records, %d damaged\n", records_of(&l), damaged);
    code = end_list(&l);
    return code == CLI_OK && damaged ? CLI_CACHE : code;
}

/* ---- rm ---- */

static int run_rm(const struct verb *verb, int argc, char **argv)
{
    struct look l;
    struct vlqa_cache_options o;
    vlqa_status status = VLQA_OK;
    int removed = 0, code = look_begin(&l, verb, argc, argv);
    if (code != CLI_GO_ON) return code;
    if (!l.args.key == !l.args.all)
        return cli_fail(&l.cli, VLQA_EUSAGE, "give the beginning of a key, or --all");
    o = look_options(&l, 0);
    if (l.dir) status = vlqa_cache_remove(&o, l.args.key, &removed);
    if (status != VLQA_OK) return cli_exit_code(status);
    if (l.args.key && !removed) {
        (void)env_fail(&l.cli.env, VLQA_EIO, "no key begins with %s", l.args.key);
        return cli_fail(&l.cli, VLQA_EIO, l.cli.env.message);
    }
    printf("%d records removed\n", removed);
    return cli_flush();
}

/* ---- the table ---- */

#define OPTIONS {ARG_HEADING, .name = "Options"}, CACHE_DIR_ARG(struct look_args, cache)
#define FIELD(member) .offset = offsetof(struct look_args, member)

#define JSON_ARG                                                                      \
    {                                                                                 \
        ARG_FLAG, .name = "json", .help = "print one JSON object", FIELD(common.json) \
    }

static const struct arg look_table[] = {OPTIONS, JSON_ARG, CLI_HELP_ARGS};
static const struct arg stat_table[] = {
    OPTIONS,
    {ARG_INT64, .name = "cache-disk", .value = "MIB", .min = 1, .max = 1 << 30, .fallback = "4096",
     FIELD(cache.disk_mib), .help = "budget that the total is compared with, in MiB"},
    JSON_ARG,
    CLI_HELP_ARGS,
};
static const struct arg rm_table[] = {
    {ARG_HEADING, .name = "What"},
    {ARG_POSITIONAL, .name = "key", .value = "KEY", FIELD(key),
     .help = "first digits of keys, as ls prints them"},
    {ARG_FLAG, .name = "all", FIELD(all), .help = "every record"},
    OPTIONS,
    CLI_HELP_ARGS,
};

#define TABLE(table) .arg = table, .n_args = (int)(sizeof table / sizeof *table)

static const struct verb verb_ls = {
    .name = "cache ls",
    .summary = "list the records, the least recently used first",
    .synopsis = "Usage: vlqa cache ls [--cache-dir DIR]\n",
    .notes = "A line is: kind (visual: the tower's output; chunk: keys and values), rows,\n"
             "cells of the image, size, time since the last use (future: the clock was\n"
             "wrong), beginning of the key. Behind what is no good record stands why.\n"
             "--json prints one line: records [{key, kind, problem, tokens, grid {width,\n"
             "height}, bytes, mtime in seconds since 1970}], read, damaged, version.\n",
    TABLE(look_table),
    .run = run_ls,
};

static const struct verb verb_rm = {
    .name = "cache rm",
    .summary = "remove records",
    .synopsis = "Usage: vlqa cache rm KEY | --all\n",
    .notes = "Running programs compute again what they miss. Links and FIFOs under the name of a\n"
             "record go, too; directories and files of other users stay, and are named.\n",
    TABLE(rm_table),
    .run = run_rm,
};

static const struct verb verb_stat = {
    .name = "cache stat",
    .summary = "count the records of each kind",
    .synopsis = "Usage: vlqa cache stat [--cache-dir DIR]\n",
    .notes = "Only headers are read. --json prints one line: visual, chunk, damaged and all, each\n"
             "{records, bytes}, then budget_bytes and version.\n",
    TABLE(stat_table),
    .run = run_stat,
};

static const struct verb verb_verify = {
    .name = "cache verify",
    .summary = "read every byte of every record",
    .synopsis = "Usage: vlqa cache verify [--cache-dir DIR]\n",
    .notes = "Lists damaged records, those of another version and what only has the name of one\n"
             "(links, FIFOs, directories, files of others), and exits with 6 where there are\n"
             "any. ask does not use them and computes them again. --json is that of ls, with\n"
             "damaged records only; read counts all.\n",
    TABLE(look_table),
    .run = run_verify,
};

static const struct verb *const cache_verbs[] = {&verb_ls, &verb_rm, &verb_stat, &verb_verify,
                                                 &verb_cache_warm};
enum { N_CACHE_VERBS = sizeof cache_verbs / sizeof *cache_verbs };

static int print_overview(const struct verb *verb)
{
    printf("vlqa cache - %s\n\n%s\n", verb->summary, verb->synopsis);
    for (int i = 0; i < N_CACHE_VERBS; i++)
        printf("  %-8s %s\n", cache_verbs[i]->name + 6, cache_verbs[i]->summary);
    printf("\n%s", verb->notes);
    return cli_flush();
}

static int run(const struct verb *verb, int argc, char **argv)
{
    const char *names[N_CACHE_VERBS], *nearest, *word = argc ? argv[0] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return print_overview(verb);
    for (int i = 0; i < N_CACHE_VERBS; i++)
        if (strcmp(word, names[i] = cache_verbs[i]->name + 6) == 0)
            return cache_verbs[i]->run(cache_verbs[i], argc - 1, argv + 1);
    nearest = args_nearest(word, names, N_CACHE_VERBS);
    fprintf(stderr, "vlqa: cache: expected ls, rm, stat, verify or warm%s%s%s\n",
            nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    fputs("Try 'vlqa cache --help'.\n", stderr);
    return CLI_USAGE;
}

const struct verb verb_cache = {
    .name = "cache",
    .summary = "list, verify, fill and empty the cache on disk",
    .synopsis = "Usage: vlqa cache ls | rm | stat | verify | warm [OPTION]...\n",
    .notes = "'vlqa cache VERB --help' tells more.\n",
    .sub = cache_verbs,
    .n_sub = N_CACHE_VERBS,
    .run = run,
};
