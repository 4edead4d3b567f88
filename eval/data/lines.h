/* lines.h - a file or a pipe line by line, in memory for the longest line alone. */
#ifndef EVAL_LINES_H
#define EVAL_LINES_H

#include "base/env.h"

#define LINES_MAX ((size_t)1 << 30) /* bytes of a line */

struct lines {
    const char *path; /* borrowed */
    int fd, number;   /* of the line last given, from 1 */
    int at_end;
    char *data;
    size_t cap, begin, end; /* what is read and not yet given */
};

/* "-" is standard input. */
vlqa_status lines_open(struct env *env, const char *path, struct lines *out);
/* The next line without its end, in memory until the next call; *line is NULL behind the last. */
vlqa_status lines_next(struct env *env, struct lines *lines, const char **line, size_t *bytes);
/* The next that is not blank, which JSON lines leave out. */
vlqa_status lines_next_full(struct env *env, struct lines *lines, const char **line, size_t *bytes);
/* "PATH, line N", for messages */
void lines_name(const struct lines *lines, char out[256]);
void lines_close(struct lines *lines); /* zeroed is fine */

#endif
