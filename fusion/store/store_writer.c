/* store_writer.c - records on their way to disk: one thread takes what has come, a batch at a time.
 *
 * The thread logs nothing: callbacks of the log belong to the threads of the program. It keeps the
 * words of the first failure, and the next call that has an env tells them. */
#include "fusion/store/store_writer.h"

#include "base/heap.h"
#include "base/stack.h"
#include "fusion/store/store_file.h"
#include "fusion/store/store_lock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define BATCH_BYTES ((uint64_t)32 << 20) /* other processes wait for the lock meanwhile */
#define MOST_RECORDS 4096                /* unwritten, however small they are */
#define SILENT_MS 2000.0                 /* after so long, closing says for what it waits */
#define TURN_NS 1000000                  /* twice what another process sleeps between its tries */

struct store_writer {
    struct store_writer_options o; /* constant */
    atomic_uint steps;             /* signs of life */
    pthread_mutex_t lock;
    pthread_cond_t go, changed;
    /* under the lock */
    pthread_t thread;
    struct store_write *first, **end; /* of the queue; what is being written is no longer in it */
    uint64_t added, done;             /* records so far */
    size_t bytes;                     /* in memory, of those that are not done */
    int started, stop, orphan;
    int is_locked; /* another process kept the lock for a whole wait: nobody waits again until it is
                      found free */
    int stuck;     /* somebody lost patience, and no batch has ended since */
    uint64_t failures, evicted;
    int told;
    char message[sizeof((struct env *)0)->message]; /* of the first failure */
};

/* Under the lock. */

static void note_failures(struct store_writer *w, uint64_t n, const char *message)
{
    if (n && !w->failures) memcpy(w->message, message, strlen(message) + 1);
    w->failures += n;
}

/* Takes what one batch may have from the front of the queue. */
static struct store_write *take_batch(struct store_writer *w, struct store_batch *batch)
{
    uint64_t quarter = w->o.quota / 4, bytes = 0; /* room that is made and not used yet */
    uint64_t most = quarter < BATCH_BYTES ? quarter : BATCH_BYTES;
    struct store_write *list = w->first, **end = &w->first;
    *batch =
        (struct store_batch){.steps = &w->steps, .lock_ms = w->is_locked ? 0 : STORE_LOCK_WAIT_MS};
    while (*end && batch->n < STORE_BATCH) {
        bytes += store_file_bytes((*end)->record);
        if (batch->n && bytes > most) break;
        batch->record[batch->n++] = (*end)->record;
        end = &(*end)->next;
    }
    w->first = *end;
    if (!w->first) w->end = &w->first;
    *end = NULL;
    return list;
}

/* Empties the queue; the caller releases the list when it has dropped the lock. */
static struct store_write *give_up(struct store_writer *w)
{
    struct store_write *list = w->first;
    struct env env = {0};
    uint64_t n = 0;
    w->stuck = 1;
    w->first = NULL;
    w->end = &w->first;
    for (struct store_write *i = list; i; i = i->next, n++)
        w->bytes -= i->record->bytes;
    w->added -= n;
    (void)env_fail(&env, VLQA_EIO, "%s does not answer", w->o.dir->path);
    note_failures(w, n, env.message);
    (void)pthread_cond_broadcast(&w->changed); /* others wait for these records, too */
    return list;
}

static struct timespec time_in(double ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1e3);
    t.tv_nsec += (long)((ms - (double)(time_t)(ms / 1e3) * 1e3) * 1e6);
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static int is_awaited(const struct store_writer *w, uint64_t number)
{
    return w->done < number && w->done < w->added;
}

/* Waits until so many records are done. 0: no sign of life for patience_ms. */
static int await(struct store_writer *w, uint64_t number, double patience_ms)
{
    for (;;) {
        unsigned seen = atomic_load(&w->steps);
        struct timespec until = time_in(patience_ms);
        int error = 0;
        while (!error && is_awaited(w, number))
            error = pthread_cond_timedwait(&w->changed, &w->lock, &until);
        if (!is_awaited(w, number)) return 1; /* even where time was up in the same moment */
        if (atomic_load(&w->steps) == seen) return 0;
    }
}

/* The thread. */

static void release_all(struct store_writer *w, struct store_write *list)
{
    while (list) {
        struct store_write *next = list->next; /* the place goes with its record */
        w->o.release(w->o.owner, list->record);
        list = next;
    }
}

/* Under the lock. */
static void note_batch(struct store_writer *w, const struct store_batch *batch, size_t bytes,
                       const char *message)
{
    note_failures(w, (uint64_t)batch->failed, message);
    w->evicted += batch->evicted;
    w->done += (uint64_t)batch->n;
    w->bytes -= bytes;
    w->is_locked = batch->is_locked;
    w->stuck = 0;
    (void)pthread_cond_broadcast(&w->changed);
}

/* One batch, without the lock but at its beginning and end. */
static void write_batch(struct store_writer *w)
{
    struct store_batch batch;
    struct store_write *list = take_batch(w, &batch);
    struct env env = {0};
    size_t bytes = 0;
    (void)pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < batch.n; i++)
        bytes += batch.record[i]->bytes;
    (void)store_dir_publish(&env, w->o.dir, w->o.quota, &batch);
    release_all(w, list);
    (void)pthread_mutex_lock(&w->lock);
    note_batch(w, &batch, bytes, env.message);
    if (!w->first) return;
    (void)pthread_mutex_unlock(&w->lock); /* another process gets its turn */
    nanosleep(&(struct timespec){0, TURN_NS}, NULL);
    (void)pthread_mutex_lock(&w->lock);
}

static void writer_free(struct store_writer *w)
{
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->go);
    (void)pthread_cond_destroy(&w->changed);
    heap_free(w);
}

static void *writer_main(void *arg)
{
    struct store_writer *w = arg;
    struct store_writer_options o = w->o;
    int orphan;
    (void)pthread_mutex_lock(&w->lock);
    while (w->first || !w->stop)
        if (w->first)
            write_batch(w);
        else
            (void)pthread_cond_wait(&w->go, &w->lock);
    orphan = w->orphan;
    (void)pthread_mutex_unlock(&w->lock);
    if (orphan) {
        writer_free(w);
        o.orphaned(o.owner);
    }
    return NULL;
}

/* The writer. */

vlqa_status store_writer_create(struct env *env, const struct store_writer_options *options,
                                struct store_writer **out)
{
    struct store_writer *w = heap_alloc_zero(sizeof *w);
    pthread_condattr_t attr;
    *out = NULL;
    if (!w) return env_no_memory(env, "writer of records", sizeof *w);
    w->o = *options;
    w->end = &w->first;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->go, NULL);
    (void)pthread_cond_init(&w->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    *out = w;
    return VLQA_OK;
}

int store_writer_add(struct store_writer *w, struct store_write *write)
{
    int error = 0;
    (void)pthread_mutex_lock(&w->lock);
    if (!w->started) {
        struct env env = {0};
        error = stack_thread(&w->thread, writer_main, w);
        w->started = !error;
        if (error)
            (void)env_fail(&env, VLQA_EMEMORY, "the thread that writes cannot start: %s",
                           strerror(error));
        note_failures(w, error != 0, env.message);
    }
    if (!error) {
        write->next = NULL;
        *w->end = write;
        w->end = &write->next;
        w->added++;
        w->bytes += write->record->bytes;
        (void)pthread_cond_signal(&w->go);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return !error;
}

void store_writer_settle(struct store_writer *w)
{
    struct store_write *list = NULL;
    (void)pthread_mutex_lock(&w->lock);
    while (w->bytes > w->o.most_bytes || w->added - w->done > MOST_RECORDS) {
        if (!w->stuck && await(w, w->done + 1, w->o.patience_ms)) continue;
        list = give_up(w);
        break;
    }
    (void)pthread_mutex_unlock(&w->lock);
    release_all(w, list);
}

vlqa_status store_writer_flush(struct env *env, struct store_writer *w)
{
    struct store_write *list = NULL;
    int done;
    (void)pthread_mutex_lock(&w->lock);
    done = await(w, w->added, w->o.patience_ms);
    if (!done) list = give_up(w);
    (void)pthread_mutex_unlock(&w->lock);
    release_all(w, list);
    store_writer_tell(env, w);
    return done ? VLQA_OK : env_fail(env, VLQA_EIO, "%s does not answer", w->o.dir->path);
}

/* Flushes, and says for what it waits when that takes long. */
static void flush_aloud(struct env *env, struct store_writer *w)
{
    uint64_t n;
    size_t bytes;
    int done;
    (void)pthread_mutex_lock(&w->lock);
    done = await(w, w->added, w->o.patience_ms < SILENT_MS ? w->o.patience_ms : SILENT_MS);
    n = w->added - w->done;
    bytes = w->bytes;
    (void)pthread_mutex_unlock(&w->lock);
    if (done) return;
    env_log(env, VLQA_LOG_WARN, "waiting for %llu records (%.1f MiB) to be written to %s",
            (unsigned long long)n, (double)bytes / 1048576.0, w->o.dir->path);
    (void)store_writer_flush(env, w);
}

int store_writer_close(struct env *env, struct store_writer *w)
{
    uint64_t left;
    flush_aloud(env, w);
    store_writer_tell(env, w);
    (void)pthread_mutex_lock(&w->lock);
    left = w->added - w->done;
    (void)pthread_mutex_unlock(&w->lock);
    if (left)
        env_log(env, VLQA_LOG_WARN, "%s does not answer: %llu more records may not be on disk",
                w->o.dir->path, (unsigned long long)left);
    (void)pthread_mutex_lock(&w->lock);
    w->stop = 1;
    (void)pthread_cond_signal(&w->go);
    w->orphan = w->added != w->done; /* from now on the thread may free all of it */
    if (w->orphan) {
        (void)pthread_detach(w->thread);
        (void)pthread_mutex_unlock(&w->lock);
        return 0;
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (w->started) (void)pthread_join(w->thread, NULL);
    writer_free(w);
    return 1;
}

void store_writer_stats(struct store_writer *w, struct store_writer_stats *out)
{
    (void)pthread_mutex_lock(&w->lock);
    *out = (struct store_writer_stats){w->failures, w->evicted, w->added - w->done};
    (void)pthread_mutex_unlock(&w->lock);
}

void store_writer_tell(struct env *env, struct store_writer *w)
{
    char message[sizeof w->message];
    int tell;
    (void)pthread_mutex_lock(&w->lock);
    tell = w->failures && !w->told;
    w->told |= tell;
    memcpy(message, w->message, sizeof message);
    (void)pthread_mutex_unlock(&w->lock);
    if (tell) env_log(env, VLQA_LOG_WARN, "a record is not kept on disk: %s", message);
}
