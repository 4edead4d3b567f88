/* run_cli.h - runs the program in a scratch directory and keeps what it wrote. */
#ifndef TESTS_EVAL_RUN_CLI_H
#define TESTS_EVAL_RUN_CLI_H

#include "base/json.h"

#include <stddef.h>
#include <sys/types.h>

struct setup {
    const char *program;     /* path; NULL: what run_begin was told */
    const char *script;      /* of the fake: lines KEY=VALUE */
    const char *input;       /* standard input; NULL: /dev/null */
    const char *output;      /* standard output goes to this path; "closed"; NULL: it is kept */
    const char *environment; /* one NAME=VALUE, or NULL */
    int terminal;            /* standard error is a terminal */
};

struct run {
    int code; /* exit code, or 128 + signal */
    size_t out_bytes;
    char out[32768], err[32768]; /* cut there; NUL behind */
    char calls[8192];            /* what the fake noted */
};

/* Makes a scratch directory the working one; it is removed at exit. */
void run_begin(const char *program);
/* args ends with NULL and begins behind the name of the program. What comes back is valid until the
 * next run. */
struct run *run_cli(struct setup setup, const char *const *args);
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
struct run *run_script(const char *script, const char *const *args); /* only that set up */

/* Standard output as one JSON object on one line, or NULL. */
struct json_doc *run_json(const struct run *r);
/* A member of an object of the root, or of the root where object is NULL. */
double run_number(const struct json_doc *doc, const char *object, const char *name);
const char *run_text(const struct json_doc *doc, const char *name); /* of the root */

/* For signals: start, look, end. */
pid_t run_start(struct setup setup, const char *const *args);
int run_wait_for_call(const char *part); /* until fake.calls contains it; 0 after ten seconds */
struct run *run_finish(pid_t pid);

/* Files of the scratch directory. */
void put_file(const char *path, const void *data, size_t bytes);
size_t get_file(const char *path, char *out, size_t cap); /* NUL behind; 0 when it is not there */

#endif
