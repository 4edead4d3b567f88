/* run_file.h - a file of lines that only grows, by whole lines, under a lock. */
#ifndef EVAL_RUN_FILE_H
#define EVAL_RUN_FILE_H

#include "base/json.h"
#include "eval/data/lines.h"

#define RUN_FILE_MARK "vlqa_run" /* the first member of its first line */

struct run_file { /* zeroed: there is none */
    const char *path;
    int is_open, fd;
    int64_t bytes, line; /* of whole lines; where the line that was last given begins */
    int64_t next;        /* and where it ends */
    int rows, read;      /* behind the header: when it was opened; given by run_file_next so far */
    struct lines lines;
};

/* Begins the file with the header, or finds one there that differs in members of origin.h alone and
 * stays, locks the file, and cuts off a last line without an end. VLQA_EUSAGE where the file is of
 * another run, with what differs, or no such file: it is left alone then. VLQA_ESTATE where another
 * process has it. */
vlqa_status run_file_open(struct env *env, const char *path, const char *header,
                          struct run_file *out);
/* The rows that were there, one after the other; *line is NULL behind the last. */
vlqa_status run_file_next(struct env *env, struct run_file *f, const char **line, size_t *bytes);
/* Cuts off the line that was last given and what follows. */
vlqa_status run_file_cut(struct env *env, struct run_file *f);
/* One write of line and line end; the file is as before where that fails. */
vlqa_status run_file_append(struct env *env, struct run_file *f, const char *line);
void run_file_close(struct run_file *f);

/* The first line of a file of answers, which is no row. */
int run_file_is_header(const struct json *root);

#endif
