/* report.h - results as one line of JSON, and numbers as people read them. */
#ifndef EVAL_REPORT_H
#define EVAL_REPORT_H

#include <stddef.h>
#include <stdint.h>

struct cJSON;

#define REPORT_DEPTH 6

struct report {
    struct cJSON *level[REPORT_DEPTH]; /* objects and lists that are open; level[0] owns all */
    int depth;
    int failed; /* no memory: report_end gives NULL */
};

struct report report_begin(void);
/* A member that is an object or a list; the members of a list have no name: NULL, also below. */
void report_open(struct report *r, const char *name);
void report_open_list(struct report *r, const char *name);
void report_close(struct report *r); /* the innermost that is open */
/* UTF-8; a NUL among the bytes becomes U+FFFD. */
void report_text(struct report *r, const char *name, const char *utf8, size_t bytes);
void report_string(struct report *r, const char *name, const char *utf8);
void report_ints(struct report *r, const char *name, const int *value, int n);
void report_int(struct report *r, const char *name, int64_t value);   /* exact up to 2^53 */
void report_number(struct report *r, const char *name, double value); /* NaN: null */
void report_real(struct report *r, const char *name, double value);   /* three digits; NaN: null */
/* {ram, disk, made}: where records came from. */
void report_counts(struct report *r, const char *name, int ram, int disk, int computed);
/* The line without its end, for heap_free; NULL: no memory. Frees everything else. */
char *report_end(struct report *r);

void report_bytes(int64_t bytes, char out[32]); /* "1.50 GiB" */

#endif
