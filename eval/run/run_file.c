/* run_file.c - lines that are there to stay. */
#include "eval/run/run_file.h"

#include "base/heap.h"
#include "eval/run/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MAX ((size_t)1 << 20)
#define BEGINNING "{\"" RUN_FILE_MARK "\":" /* of a header, also of one that was cut */

int run_file_is_header(const struct json *root)
{
    return json_get(root, RUN_FILE_MARK) != NULL;
}

static vlqa_status fail_errno(struct env *env, const char *path, const char *what)
{
    return env_fail(env, VLQA_EIO, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* ---- the header ---- */

static void value_text(const struct json *value, char out[200])
{
    if (json_text(value))
        snprintf(out, 200, "\"%.190s\"", json_text(value));
    else if (value && json_kind(value) == JSON_NUMBER)
        snprintf(out, 200, "%.15g", json_number(value));
    else
        snprintf(out, 200, "%s", value ? json_kind_name(value) : "nothing");
}

/* Texts and numbers. */
static int is_same(const struct json *a, const struct json *b)
{
    if (json_text(a) && json_text(b)) return strcmp(json_text(a), json_text(b)) == 0;
    return !(json_number(a) < json_number(b)) && !(json_number(a) > json_number(b)) &&
           json_kind(a) == JSON_NUMBER && json_kind(b) == JSON_NUMBER;
}

/* Who chose the prompt decides nothing, what it is does. */
static int is_note(const char *member)
{
    return origin_is_member(member) || strcmp(member, "prompt_by") == 0;
}

static vlqa_status fail_other(struct env *env, const char *path, const char *member,
                              const struct json *found, const struct json *wanted)
{
    char a[200], b[200];
    value_text(found, a);
    value_text(wanted, b);
    return env_fail(
        env, VLQA_EUSAGE,
        "%.150s was begun with another command%s: %s was %.100s and is %.100s now; go on "
        "as it was begun, or give another --out",
        path, wanted ? "" : " or version of this program", member, a, b);
}

/* Which member of one is another in the other, or not there. */
static vlqa_status compare_headers(struct env *env, const char *path, const struct json *found,
                                   const struct json *wanted)
{
    for (const struct json *i = json_first(wanted); i; i = json_next(i)) {
        const struct json *other = json_get(found, json_name(i));
        if (is_note(json_name(i)) || (other && is_same(other, i))) continue;
        return fail_other(env, path, json_name(i), other, i);
    }
    for (const struct json *i = json_first(found); i; i = json_next(i))
        if (!is_note(json_name(i)) && !json_get(wanted, json_name(i)))
            return fail_other(env, path, json_name(i), i, NULL);
    return VLQA_OK;
}

static vlqa_status not_ours(struct env *env, const char *path)
{
    return env_fail(env, VLQA_EUSAGE,
                    "%.200s is there and no file that vlqa eval --out began; it is left alone",
                    path);
}

static vlqa_status check_header(struct env *env, const char *path, const char *line, size_t bytes,
                                const char *header)
{
    struct json_doc *found = NULL, *wanted = NULL;
    vlqa_status status;
    if (json_parse(env, path, line, bytes, HEADER_MAX, &found) != VLQA_OK ||
        !run_file_is_header(json_root(found)))
        status = not_ours(env, path);
    else if ((status = json_parse(env, path, header, strlen(header), HEADER_MAX, &wanted)) ==
             VLQA_OK)
        status = compare_headers(env, path, json_root(found), json_root(wanted));
    json_free(found);
    json_free(wanted);
    return status;
}

/* ---- opening ---- */

/* Counts the whole lines. A file without one is a header that was cut, or no file of ours. */
static vlqa_status scan(struct env *env, struct run_file *f, int64_t size, const char *header)
{
    const char *line;
    size_t bytes;
    int n = 0;
    TRY(lines_open(env, f->path, &f->lines));
    for (;; n++) {
        TRY(lines_next(env, &f->lines, &line, &bytes));
        if (!line || f->bytes + (int64_t)bytes == size) break; /* the last has no end */
        if (n == 0) TRY(check_header(env, f->path, line, bytes, header));
        f->bytes += (int64_t)bytes + 1;
    }
    if (n == 0 && memcmp(line, BEGINNING, bytes < strlen(BEGINNING) ? bytes : strlen(BEGINNING)))
        return not_ours(env, f->path);
    f->rows = n ? n - 1 : 0;
    lines_close(&f->lines);
    return VLQA_OK;
}

static vlqa_status prepare(struct env *env, struct run_file *f, const char *header)
{
    const char *line;
    size_t bytes;
    struct stat st;
    if (fstat(f->fd, &st) != 0) return fail_errno(env, f->path, "look at it");
    if (!S_ISREG(st.st_mode))
        return env_fail(env, VLQA_EUSAGE, "%.200s: expected a regular file", f->path);
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        return env_fail(env, VLQA_ESTATE, "%.200s is being written by another run", f->path);
    if (fstat(f->fd, &st) != 0) return fail_errno(env, f->path, "look at it");
    if (st.st_size) TRY(scan(env, f, st.st_size, header));
    if (f->bytes < st.st_size && ftruncate(f->fd, f->bytes) != 0)
        return fail_errno(env, f->path, "cut");
    if (!f->bytes) return run_file_append(env, f, header);
    TRY(lines_open(env, f->path, &f->lines));
    TRY(lines_next(env, &f->lines, &line, &bytes));
    f->next = (int64_t)bytes + 1;
    return VLQA_OK;
}

vlqa_status run_file_open(struct env *env, const char *path, const char *header,
                          struct run_file *out)
{
    vlqa_status status;
    *out = (struct run_file){.path = path};
    out->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (out->fd < 0) return fail_errno(env, path, "open");
    out->is_open = 1;
    status = prepare(env, out, header);
    if (status != VLQA_OK) run_file_close(out);
    return status;
}

void run_file_close(struct run_file *f)
{
    if (f->is_open) close(f->fd);
    lines_close(&f->lines);
    f->is_open = 0;
}

/* ---- rows ---- */

vlqa_status run_file_next(struct env *env, struct run_file *f, const char **line, size_t *bytes)
{
    *line = NULL;
    if (f->read == f->rows) return VLQA_OK;
    TRY(lines_next(env, &f->lines, line, bytes));
    f->read += *line != NULL;
    f->line = f->next;
    f->next += (int64_t)*bytes + 1;
    return VLQA_OK;
}

vlqa_status run_file_cut(struct env *env, struct run_file *f)
{
    f->rows = --f->read;
    f->bytes = f->next = f->line;
    return ftruncate(f->fd, f->bytes) == 0 ? VLQA_OK : fail_errno(env, f->path, "cut");
}

vlqa_status run_file_append(struct env *env, struct run_file *f, const char *line)
{
    size_t bytes = strlen(line) + 1, done = 0;
    char *whole = heap_alloc(bytes);
    int code;
    if (!whole) return env_no_memory(env, "line", bytes);
    memcpy(whole, line, bytes - 1);
    whole[bytes - 1] = '\n';
    while (done < bytes) {
        ssize_t put = write(f->fd, whole + done, bytes - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) break;
        done += (size_t)put;
    }
    code = errno;
    heap_free(whole);
    if (done == bytes) {
        f->bytes += (int64_t)bytes;
        return VLQA_OK;
    }
    (void)!ftruncate(f->fd, f->bytes);
    errno = code;
    return fail_errno(env, f->path, "write");
}
