/* st_explain.c - which key a missing tensor would have, and which key of the files is most like it.
 */
#include "base/st_files.h"

#include <stdio.h>
#include <string.h>

/* Bytes that two texts share at their beginnings and ends. */
static size_t likeness(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), least = n < m ? n : m, front = 0, back = 0;
    while (front < least && a[front] == b[front])
        front++;
    while (back < least - front && a[n - 1 - back] == b[m - 1 - back])
        back++;
    return front + back;
}

/* The row of the table that makes names that begin so, or NULL. */
static const struct st_rename *row_of(const struct st_files *files, const char *name)
{
    for (int i = 0; i < files->n_rename; i++) {
        const struct st_rename *r = &files->rename[i];
        if (r->to && *r->to && strncmp(name, r->to, strlen(r->to)) == 0) return r;
    }
    return NULL;
}

/* Writes the name with the prefix that its neighbours have in the files, or else the usual one. */
static void key_for(const struct st_files *files, const char *name, char out[ST_MAX_NAME])
{
    const struct st_rename *row = row_of(files, name);
    size_t to = row ? strlen(row->to) : 0;
    for (int i = 0; row && i < files->count; i++) {
        const struct st_tensor *t = &files->sorted[i]->tensor;
        size_t rest = strncmp(t->name, row->to, to) == 0 ? strlen(t->name + to) : 0;
        size_t key = strlen(t->key);
        if (!rest || key < rest || strcmp(t->key + key - rest, t->name + to) != 0) continue;
        (void)snprintf(out, ST_MAX_NAME, "%.*s%s", (int)(key - rest), t->key, name + to);
        return;
    }
    (void)snprintf(out, ST_MAX_NAME, "%s%s", row ? row->from : "", name + to);
}

vlqa_status st_fail_missing(struct env *env, const struct st_files *files, const char *name,
                            int rank, const int64_t *dim)
{
    char key[ST_MAX_NAME];
    const char *file = files->n_parts == 1 ? files->parts[0].name : ST_INDEX;
    const struct st_record *nearest = NULL;
    size_t best;
    key_for(files, name, key);
    best = strlen(key) / 2; /* less alike than that says nothing */
    for (int i = 0; i < files->count; i++) {
        size_t like = likeness(key, files->sorted[i]->tensor.key);
        if (files->sorted[i]->used || like <= best) continue;
        best = like;
        nearest = files->sorted[i];
    }
    if (!nearest)
        return env_fail(env, VLQA_EMODEL, "%s: %.200s is missing, expected %s", file, key,
                        st_shape(rank, dim).text);
    return env_fail(
        env, VLQA_EMODEL,
        "%s: %.160s is missing, expected %s; the nearest unused key is %.160s, %s, in %.60s", file,
        key, st_shape(rank, dim).text, nearest->tensor.key,
        st_shape(nearest->tensor.rank, nearest->tensor.dim).text, files->parts[nearest->part].name);
}
