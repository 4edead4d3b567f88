/* comm_local.c - ranks of one host: memory that processes have from the one that forked them.
 *
 * Each rank has two windows. It writes a piece of its part into one of them, raises its step, and
 * copies the others' pieces when their steps are as high. Step k + 2 uses the window of step k:
 * whoever has finished step k + 1 knows that all had finished reading step k. The memory has no
 * name, so nothing of it stays when the last process has ended, however that happens. */
#include "base/heap.h"
#include "kernels/comm.h"

#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 2000
#define NAP_MS 20 /* between looks at the clock, and at who was lost */

struct word { /* what others wait for */
    atomic_uint value, sleepers;
};

struct place { /* of a rank; on lines of its own */
    _Alignas(128) struct word step;
    struct word meeting;
    atomic_int joined;
    atomic_uint beats; /* signs of life of a rank that works by itself */
};

struct reason {       /* set once */
    atomic_int state; /* 0, 1: being written, 2 */
    int status;
    char message[512];
};

struct shared {
    struct reason failed, lost; /* until they meet anew; for ever */
    struct place place[VLQA_RANKS_MOST];
    _Alignas(4096) uint8_t window[];
};

struct local {
    struct shared *shared;
    size_t bytes;
    unsigned step, meeting; /* this rank's own */
};

static uint8_t *window_of(const struct local *l, int rank, unsigned step)
{
    return l->shared->window + ((size_t)rank * 2 + step % 2) * COMM_PIECE;
}

/* ---- reasons ---- */

/* Nonzero: it is this one. */
static int reason_set(struct reason *to, int status, const char *message)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&to->state, &none, 1)) return 0;
    to->status = status;
    snprintf(to->message, sizeof to->message, "%s", message);
    atomic_store(&to->state, 2);
    return 1;
}

/* Whoever writes it may have been killed over it. */
static int take_reason(struct vlqa_ranks *r, struct reason *from)
{
    for (int i = 0; i < 50 && atomic_load(&from->state) == 1; i++)
        usleep(NAP_MS * 1000);
    if (r->status != VLQA_OK) return -1;
    r->status = VLQA_EDEVICE;
    if (atomic_load(&from->state) == 2) {
        r->status = (vlqa_status)from->status;
        snprintf(r->env.message, sizeof r->env.message, "%s", from->message);
    } else {
        snprintf(r->env.message, sizeof r->env.message, "another rank has ended");
    }
    return -1;
}

/* ---- words ---- */

static long futex(atomic_uint *word, int op, unsigned value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

static void raise_word(struct word *w, unsigned value)
{
    atomic_store(&w->value, value);
    if (atomic_load(&w->sleepers)) futex(&w->value, FUTEX_WAKE, INT32_MAX, NULL);
}

static void nap(struct word *w, unsigned seen)
{
    const struct timespec most = {0, NAP_MS * 1000000L};
    atomic_fetch_add(&w->sleepers, 1);
    futex(&w->value, FUTEX_WAIT, seen, &most);
    atomic_fetch_sub(&w->sleepers, 1);
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static int timed_out(struct vlqa_ranks *r, int rank)
{
    struct local *l = r->impl;
    char message[128];
    snprintf(message, sizeof message, "rank %d has not answered for %.1f s", rank,
             (double)r->timeout_ms / 1000);
    (void)reason_set(&l->shared->lost, VLQA_EDEVICE, message);
    return take_reason(r, &l->shared->lost);
}

/* Until the word of a rank is at `value`. failing: ranks that have failed are waited for, too. */
static int wait_for(struct vlqa_ranks *r, int rank, struct word *w, unsigned value, int failing)
{
    struct shared *s = ((struct local *)r->impl)->shared;
    double waited = 0, mark = 0;
    unsigned beats = 0, heard;
    for (int turn = 0;; turn++) {
        unsigned seen = atomic_load(&w->value);
        if ((int)(seen - value) >= 0) return 0;
        if (turn < SPINS) {
            relax();
            continue;
        }
        /* Whoever has failed may have ended since: why it failed says more. */
        if (!failing && atomic_load(&s->failed.state)) return take_reason(r, &s->failed);
        if (atomic_load(&s->lost.state)) return take_reason(r, &s->lost);
        heard = atomic_load(&s->place[rank].beats);
        if (heard != beats) waited = 0;
        beats = heard;
        if (waited > (double)r->timeout_ms) return timed_out(r, rank);
        mark = env_ms();
        nap(w, seen);
        waited += fmin(env_since(&mark), 10 * NAP_MS); /* longer: all were stopped, by Ctrl-Z */
    }
}

/* ---- the transport ---- */

static int gather(struct vlqa_ranks *r, void *block, const size_t *at)
{
    struct local *l = r->impl;
    struct place *place = l->shared->place;
    size_t most = 0;
    for (int i = 0; i < r->n; i++)
        most = at[i + 1] - at[i] > most ? at[i + 1] - at[i] : most;
    for (size_t done = 0; done < most; done += COMM_PIECE) {
        l->step++;
        for (int k = 0; k < r->n; k++) { /* itself first, then who is next */
            int i = (r->rank + k) % r->n;
            size_t bytes = at[i + 1] - at[i], left = bytes > done ? bytes - done : 0;
            uint8_t *mine = block ? (uint8_t *)block + at[i] + done : NULL;
            uint8_t *window = window_of(l, i, l->step);
            if (left > COMM_PIECE) left = COMM_PIECE;
            if (k == 0) {
                if (left) memcpy(window, mine, left);
                raise_word(&place[i].step, l->step);
                continue;
            }
            if (wait_for(r, i, &place[i].step, l->step, 0) != 0) return -1;
            if (left && block) memcpy(mine, window, left);
        }
    }
    return 0;
}

static int meet(struct vlqa_ranks *r)
{
    struct local *l = r->impl;
    l->meeting++;
    raise_word(&l->shared->place[r->rank].meeting, l->meeting);
    for (int i = 0; i < r->n; i++)
        if (wait_for(r, i, &l->shared->place[i].meeting, l->meeting, 1) != 0) return -1;
    return 0;
}

static int begin(struct vlqa_ranks *r)
{
    struct local *l = r->impl;
    if (atomic_load(&l->shared->lost.state)) return take_reason(r, &l->shared->lost);
    if (meet(r) != 0) return -1;
    l->step = 0;
    atomic_store(&l->shared->place[r->rank].step.value, 0);
    if (r->rank == 0) atomic_store(&l->shared->failed.state, 0);
    return meet(r);
}

/* Where another one has told first, its reason is that of all. */
static void tell(struct vlqa_ranks *r)
{
    struct reason *failed = &((struct local *)r->impl)->shared->failed;
    if (reason_set(failed, (int)r->status, r->env.message)) return;
    r->status = VLQA_OK;
    (void)take_reason(r, failed);
}

static int look(struct vlqa_ranks *r)
{
    struct shared *s = ((struct local *)r->impl)->shared;
    if (atomic_load(&s->failed.state) == 2) return take_reason(r, &s->failed);
    return atomic_load(&s->lost.state) == 2 ? take_reason(r, &s->lost) : 0;
}

static int join(struct vlqa_ranks *r, int rank)
{
    int no = 0;
    struct place *place = &((struct local *)r->impl)->shared->place[rank];
    return !atomic_compare_exchange_strong(&place->joined, &no, 1);
}

static void lost(struct vlqa_ranks *r, int rank, const char *why)
{
    char message[256];
    snprintf(message, sizeof message, "rank %d %s", rank, why);
    (void)reason_set(&((struct local *)r->impl)->shared->lost, VLQA_EDEVICE, message);
}

static void beat(struct vlqa_ranks *r)
{
    atomic_fetch_add(&((struct local *)r->impl)->shared->place[r->rank].beats, 1);
}

static void close_local(struct vlqa_ranks *r)
{
    struct local *l = r->impl;
    munmap(l->shared, l->bytes);
    heap_free(l);
}

static const struct comm_ops ops = {.name = "memory of the host",
                                    .close = close_local,
                                    .gather = gather,
                                    .begin = begin,
                                    .tell = tell,
                                    .look = look,
                                    .join = join,
                                    .lost = lost,
                                    .beat = beat};

vlqa_status vlqa_ranks_local(int n, int64_t timeout_ms, struct vlqa_ranks **out)
{
    struct local *l;
    size_t bytes;
    if (!out) return VLQA_EUSAGE;
    TRY(comm_new(&ops, n, timeout_ms, out));
    bytes = sizeof(struct shared) + (size_t)n * 2 * COMM_PIECE;
    l = heap_alloc_zero(sizeof *l);
    if (!l) return env_no_memory(&(*out)->env, "ranks", sizeof *l);
    l->shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (l->shared == MAP_FAILED) {
        heap_free(l);
        return env_no_memory(&(*out)->env, "ranks", bytes);
    }
    l->bytes = bytes; /* zeroed */
    (*out)->impl = l;
    return VLQA_OK;
}
