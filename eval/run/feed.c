/* feed.c - rows of a data set to questions whose images are ready. */
#include "eval/run/feed.h"

#include "base/file.h"
#include "base/heap.h"
#include "base/placeholder.h"
#include "eval/run/ahead.h"

#include <string.h>

/* ---- rows ---- */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Whether the next row is asked: the first ones, or each with the probability that leaves all
 * choices of so many rows equally probable. */
static int is_wanted(struct feed_rows *r)
{
    int taken = !r->shuffle || (int64_t)(next_random(&r->random) % (uint64_t)r->left) < r->wanted;
    r->left--;
    r->wanted -= taken;
    return taken;
}

vlqa_status feed_rows_open(struct env *env, const struct run_args *args, int64_t rows,
                           struct feed_rows *out)
{
    int64_t limit = args->limit;
    *out = (struct feed_rows){.left = rows,
                              .wanted = limit && limit < rows ? limit : rows,
                              .shuffle = args->shuffle != 0,
                              .random = args->shuffle};
    return dataset_open(env, args->dataset, &args->data, &out->d);
}

vlqa_status feed_rows_next(struct env *env, struct feed_rows *r, const struct dataset_item **out)
{
    do {
        *out = NULL;
        if (!r->wanted) return VLQA_OK;
        TRY(dataset_next(env, r->d, out));
    } while (*out && !is_wanted(r));
    return VLQA_OK;
}

void feed_rows_close(struct feed_rows *rows)
{
    dataset_close(rows->d);
    *rows = (struct feed_rows){.d = NULL};
}

/* ---- questions ---- */

struct feed {
    struct feed_rows rows;
    const struct vlqa_engine *engine;
    int next, skip; /* the number of the question to come; the first that is asked */
    struct ahead *ahead;
};

int feed_is_bad_question(vlqa_status status)
{
    return status == VLQA_EIMAGE || status == VLQA_ELIMIT || status == VLQA_ETEXT;
}

vlqa_status feed_fail(struct env *env, const struct dataset_item *item, vlqa_status status,
                      const char *reason)
{
    char copy[sizeof env->message];
    snprintf(copy, sizeof copy, "%s", reason);
    return env_fail(env, status, "%.150s, %s %d (%.60s): %s", item->file, item->unit, item->line,
                    item->id, copy);
}

static void digest_image(const void *data, size_t bytes, char out[65])
{
    struct hash h;
    hash_begin(&h, "image");
    hash_bytes(&h, data, bytes);
    key_hex(hash_end(&h), out);
}

static vlqa_status read_image(struct env *env, const struct feed *f, int i,
                              const struct dataset_image *image, struct feed_question *q)
{
    struct file_map map = {.data = NULL};
    const uint8_t *data = image->data;
    size_t bytes = image->bytes;
    char name[32];
    vlqa_status status;
    if (image->path) {
        status = file_map_open(env, image->path, &map);
        if (status != VLQA_OK) return status == VLQA_EIO ? VLQA_EIMAGE : status; /* a wrong one */
        data = map.data;
        bytes = map.size;
    }
    snprintf(name, sizeof name, "image %d", i + 1);
    digest_image(data, bytes, q->digest[i]);
    status = placeholder_check(env, VLQA_EIMAGE, image->path ? image->path : name, data, bytes);
    if (status == VLQA_OK) {
        status =
            vlqa_image_open(f->engine, data, bytes, image->path ? image->path : name, &q->image[i]);
        if (status != VLQA_OK)
            (void)env_fail(env, status, "%s",
                           q->image[i] ? vlqa_image_message(q->image[i]) : "no memory");
    }
    file_map_close(&map);
    return status;
}

static size_t image_bytes(const struct vlqa_image *image)
{
    struct vlqa_image_info info;
    if (vlqa_image_read_info(image, &info, sizeof info) != VLQA_OK) return 0;
    return (size_t)info.resized_width * (size_t)info.resized_height * 3;
}

/* Up to the first that cannot be used. */
static vlqa_status read_images(struct env *env, const struct feed *f,
                               const struct dataset_item *item, struct feed_question *q,
                               size_t *bytes)
{
    for (int i = 0; i < item->n_images && q->status == VLQA_OK; i++) {
        vlqa_status status = read_image(env, f, i, &item->image[i], q);
        if (status != VLQA_OK && !feed_is_bad_question(status))
            return feed_fail(env, item, status, env->message);
        q->status = status;
        if (status != VLQA_OK) snprintf(q->reason, sizeof q->reason, "%s", env->message);
        *bytes += image_bytes(q->image[i]);
    }
    return VLQA_OK;
}

/* make and clear of the items ahead. */

static vlqa_status make_question(void *user, struct env *env, void *out, size_t *bytes, int *found)
{
    struct feed *f = user;
    struct feed_question *q = out;
    const struct dataset_item *item;
    TRY(feed_rows_next(env, &f->rows, &item));
    if (!item) return VLQA_OK;
    TRY(dataset_item_copy(env, item, &q->item, &q->texts));
    if (f->next++ >= f->skip) TRY(read_images(env, f, item, q, bytes));
    *found = 1;
    return VLQA_OK;
}

static void clear_question(void *user, void *item)
{
    struct feed_question *q = item;
    (void)user;
    for (int i = 0; i < DATASET_IMAGES; i++)
        vlqa_image_close(q->image[i]);
    heap_free(q->texts);
}

vlqa_status feed_open(struct env *env, const struct run_args *args, int64_t rows,
                      const struct vlqa_engine *engine, int skip, struct feed **out)
{
    struct feed *f = heap_alloc_zero(sizeof *f);
    struct ahead_maker maker = {f, sizeof(struct feed_question), make_question, clear_question};
    vlqa_status status;
    *out = f;
    if (!f) return env_no_memory(env, "questions", sizeof *f);
    f->engine = engine;
    f->skip = skip;
    status = feed_rows_open(env, args, rows, &f->rows);
    if (status == VLQA_OK)
        status = ahead_open(env, &maker, args->jobs - 1, FEED_MAX_BYTES, &f->ahead);
    if (status == VLQA_OK) return VLQA_OK;
    feed_close(f);
    *out = NULL;
    return status;
}

vlqa_status feed_next(struct env *env, struct feed *f, const struct feed_question **out)
{
    void *item;
    vlqa_status status = ahead_next(env, f->ahead, &item);
    *out = item;
    return status;
}

void feed_close(struct feed *f)
{
    if (!f) return;
    ahead_close(f->ahead);
    feed_rows_close(&f->rows);
    heap_free(f);
}
