/* lines.c - a buffer that grows to the longest line. */
#include "eval/data/lines.h"

#include "base/bom.h"
#include "base/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_CAP ((size_t)256 << 10)

vlqa_status lines_open(struct env *env, const char *path, struct lines *out)
{
    *out = (struct lines){.path = path, .fd = STDIN_FILENO};
    if (strcmp(path, "-") == 0) {
        out->path = "standard input";
        return VLQA_OK;
    }
    out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (out->fd >= 0) return VLQA_OK;
    return env_fail(env, VLQA_EIO, "%s: cannot open: %s", path, strerror(errno));
}

void lines_name(const struct lines *lines, char out[256])
{
    snprintf(out, 256, "%.200s, line %d", lines->path, lines->number);
}

/* Room for more behind what is there: by moving it to the front, else by doubling. */
static vlqa_status make_room(struct env *env, struct lines *l)
{
    size_t used = l->end - l->begin, cap = l->cap ? 2 * l->cap : FIRST_CAP;
    char *grown;
    if (l->begin) memmove(l->data, l->data + l->begin, used);
    l->begin = 0;
    l->end = used;
    if (used < l->cap) return VLQA_OK;
    if (used > LINES_MAX)
        return env_fail(env, VLQA_ELIMIT, "%s, line %d has more than %zu bytes", l->path, l->number,
                        LINES_MAX);
    grown = l->data ? heap_resize(l->data, l->cap, cap) : heap_alloc(cap);
    if (!grown) return env_no_memory(env, "line", cap);
    l->data = grown;
    l->cap = cap;
    return VLQA_OK;
}

static vlqa_status read_more(struct env *env, struct lines *l)
{
    ssize_t got;
    if (l->end == l->cap) TRY(make_room(env, l));
    do
        got = read(l->fd, l->data + l->end, l->cap - l->end);
    while (got < 0 && errno == EINTR);
    if (got < 0) return env_fail(env, VLQA_EIO, "%s: cannot read: %s", l->path, strerror(errno));
    l->end += (size_t)got;
    l->at_end = got == 0;
    return VLQA_OK;
}

vlqa_status lines_next(struct env *env, struct lines *l, const char **line, size_t *bytes)
{
    size_t seen = 0;
    char *stop = NULL;
    l->number++;
    for (;;) {
        if (l->end > l->begin + seen)
            stop = memchr(l->data + l->begin + seen, '\n', l->end - l->begin - seen);
        seen = l->end - l->begin;
        if (stop || l->at_end) break;
        TRY(read_more(env, l));
    }
    *line = stop || seen ? l->data + l->begin : NULL;
    *bytes = stop ? (size_t)(stop - *line) : seen;
    l->begin += *bytes + (stop != NULL);
    return VLQA_OK;
}

vlqa_status lines_next_full(struct env *env, struct lines *l, const char **line, size_t *bytes)
{
    for (;;) {
        size_t i;
        TRY(lines_next(env, l, line, bytes));
        if (!*line) return VLQA_OK;
        i = bom_bytes(*line, *bytes);
        while (i < *bytes && ((*line)[i] == ' ' || (*line)[i] == '\t' || (*line)[i] == '\r'))
            i++;
        if (i < *bytes) return VLQA_OK;
    }
}

void lines_close(struct lines *l)
{
    if (l->fd > STDIN_FILENO) close(l->fd);
    heap_free(l->data);
    *l = (struct lines){0};
}
