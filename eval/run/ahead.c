/* ahead.c - a ring of items between the thread that makes them and the one that uses them. */
#include "eval/run/ahead.h"

#include "base/heap.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

struct slot {
    void *item;
    size_t bytes;
    vlqa_status status;
    int found;
    struct env env;
};

struct ahead {
    struct ahead_maker maker;
    struct slot slot[AHEAD_MAX + 1]; /* the one in use, then those that are made, then free ones */
    char *items;
    int n_slots, has_thread;
    size_t max_bytes;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    int first, n_made, stop; /* slots, from the oldest that is made and not in use */
    size_t bytes;            /* they hold so many */
    /* of the thread that uses them */
    struct slot *in_use;
    int is_over; /* in_use is the end, or the failure */
};

static void clear_item(struct ahead *a, struct slot *slot)
{
    a->maker.clear(a->maker.user, slot->item);
    memset(slot->item, 0, a->maker.item_bytes);
}

/* 0: nothing can follow. */
static int make_item(struct ahead *a, struct slot *slot)
{
    slot->env.message[0] = 0;
    slot->bytes = 0;
    slot->found = 0;
    slot->status = a->maker.make(a->maker.user, &slot->env, slot->item, &slot->bytes, &slot->found);
    return slot->status == VLQA_OK && slot->found;
}

/* ---- the thread that makes them ---- */

/* NULL: to stop. */
static struct slot *await_room(struct ahead *a)
{
    struct slot *slot = NULL;
    pthread_mutex_lock(&a->lock);
    while (!a->stop && (a->n_made == a->n_slots - 1 || (a->n_made && a->bytes >= a->max_bytes)))
        pthread_cond_wait(&a->changed, &a->lock);
    if (!a->stop) slot = &a->slot[(a->first + a->n_made) % a->n_slots];
    pthread_mutex_unlock(&a->lock);
    return slot;
}

static void *maker_main(void *arg)
{
    struct ahead *a = arg;
    for (int more = 1; more;) {
        struct slot *slot = await_room(a);
        if (!slot) break;
        more = make_item(a, slot);
        pthread_mutex_lock(&a->lock);
        a->n_made++;
        a->bytes += slot->bytes;
        pthread_cond_signal(&a->changed);
        pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

/* Signals stay with the thread that has the terminal. */
static int start_thread(struct ahead *a)
{
    sigset_t all, before;
    int error;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&a->thread, NULL, maker_main, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !error;
}

/* ---- the one that uses them ---- */

vlqa_status ahead_open(struct env *env, const struct ahead_maker *maker, int depth,
                       size_t max_bytes, struct ahead **out)
{
    size_t stride = (maker->item_bytes + 63) / 64 * 64;
    struct ahead *a = heap_alloc_zero(sizeof *a);
    assert(depth >= 0 && depth <= AHEAD_MAX);
    *out = NULL;
    if (a) a->items = heap_alloc_zero(stride * (size_t)(depth + 1));
    if (!a || !a->items) {
        heap_free(a);
        return env_no_memory(env, "reading ahead", stride * (size_t)(depth + 1));
    }
    a->maker = *maker;
    a->n_slots = depth + 1;
    a->max_bytes = max_bytes;
    for (int i = 0; i < a->n_slots; i++)
        a->slot[i].item = a->items + stride * (size_t)i;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    a->has_thread = depth && start_thread(a);
    *out = a;
    return VLQA_OK;
}

/* The oldest that is made. */
static struct slot *take(struct ahead *a)
{
    struct slot *slot;
    pthread_mutex_lock(&a->lock);
    while (!a->n_made)
        pthread_cond_wait(&a->changed, &a->lock);
    slot = &a->slot[a->first];
    a->first = (a->first + 1) % a->n_slots;
    a->n_made--;
    a->bytes -= slot->bytes;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return slot;
}

vlqa_status ahead_next(struct env *env, struct ahead *a, void **item)
{
    *item = NULL;
    if (!a->is_over) {
        if (a->in_use) clear_item(a, a->in_use);
        a->in_use = a->has_thread ? take(a) : a->slot;
        if (!a->has_thread) (void)make_item(a, a->in_use);
        a->is_over = !a->in_use->found || a->in_use->status != VLQA_OK;
    }
    if (a->in_use->status != VLQA_OK)
        return env_fail(env, a->in_use->status, "%s", a->in_use->env.message);
    if (a->in_use->found) *item = a->in_use->item;
    return VLQA_OK;
}

void ahead_close(struct ahead *a)
{
    if (!a) return;
    pthread_mutex_lock(&a->lock);
    a->stop = 1;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->has_thread) pthread_join(a->thread, NULL);
    for (int i = 0; i < a->n_slots; i++)
        clear_item(a, &a->slot[i]);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    heap_free(a->items);
    heap_free(a);
}
