/* comm_mpi.c - ranks by MPI: pieces from each to each, and words that end a wait.
 *
 * Memory that MPI may still read or write is never a caller's: each rank has two windows with a
 * piece of every rank, so that one piece crosses while the next is copied. A call that fails leaves
 * what is under way as it is. When ranks meet anew they tell each other how many pieces they have
 * given since the last time, so each takes those that nobody waited for, and nothing is left. The
 * tag of pieces changes from one meeting to the next, so that what is new never ends in the windows
 * of what has failed. Of several ranks that fail, rank 0 decides whose reason is that of all.
 * Nothing waits inside of MPI, where no time-out would hold. */
#include "kernels/mpi/mpi_module.h"

#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SPIN_MS 0.05
#define YIELD_MS 1
#define NAP_NS 50000L
#define BEAT_MS 50.0
#define STOPPED_MS 200.0 /* a turn that takes longer: all were stopped, by Ctrl-Z */

enum tag { TAG_PIECE, TAG_PIECE_ODD, TAG_MEET, TAG_TOLD };

enum row { /* of requests, one for each rank */
           TAKE,
           TAKE_ODD,
           GIVE,
           GIVE_ODD,
           MEET_TAKE,
           MEET_GIVE,
           TELL, /* one for each struct told that goes out */
           TELL_ODD,
           TELL_LOST,
           BEAT,
           ROWS,
           NOTHING = ROWS
};

struct told { /* to rank 0 by one that has failed; to all others by rank 0, or where one is lost */
    int32_t beat; /* none has failed: this rank works by itself */
    int32_t lost, status;
    uint32_t meeting;
    char message[512];
};

struct mpi {
    const struct mpi_host *host;
    MPI_Comm comm;
    int initialised; /* by this module */
    int lost;        /* for ever */
    int failed;      /* since they met, and rank 0 has said why */
    uint32_t meeting;
    int heard_beat;
    double beaten; /* when this rank did, ms */
    struct told why, why_lost, in, pulse,
        out[3]; /* out: of even and odd meetings, and of what is lost */
    MPI_Request inbox, request[ROWS][VLQA_RANKS_MOST];
    /* pieces since they met; what another has given until they meet */
    int64_t given[VLQA_RANKS_MOST], taken[VLQA_RANKS_MOST], met[VLQA_RANKS_MOST];
    uint8_t *window; /* [2, n, COMM_PIECE] */
};

/* ---- failures ---- */

static int take_reason(struct vlqa_ranks *r, const struct told *why)
{
    r->status = (vlqa_status)why->status;
    snprintf(r->env.message, sizeof r->env.message, "%s", why->message);
    return -1;
}

static int broken(struct vlqa_ranks *r, int code)
{
    struct mpi *m = r->impl;
    char words[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    (void)MPI_Error_string(code, words, &n);
    m->lost = 1;
    return m->host->failed(r, VLQA_EDEVICE, "rank %d: MPI: %s", r->rank, words);
}

#define TRY_MPI(r, call)                                   \
    do {                                                   \
        int code_ = (call);                                \
        if (code_ != MPI_SUCCESS) return broken(r, code_); \
    } while (0)

/* To ranks [0, end) but this one. */
static void send_told(struct vlqa_ranks *r, const struct told *t, int end)
{
    struct mpi *m = r->impl;
    int k = t->lost ? 2 : (int)(t->meeting % 2);
    m->out[k] = *t;
    for (int i = 0; i < end; i++)
        if (i != r->rank)
            (void)MPI_Isend(&m->out[k], sizeof *t, MPI_BYTE, i, TAG_TOLD, m->comm,
                            &m->request[TELL + k][i]);
}

static void decide(struct vlqa_ranks *r, const struct told *t)
{
    struct mpi *m = r->impl;
    m->failed = 1;
    m->why = *t;
    if (r->rank == 0) send_told(r, t, r->n);
}

static int open_inbox(struct mpi *m)
{
    return MPI_Irecv(&m->in, sizeof m->in, MPI_BYTE, MPI_ANY_SOURCE, TAG_TOLD, m->comm, &m->inbox);
}

/* What others have told. Who has failed before this meeting is over with it. */
static int hear(struct vlqa_ranks *r)
{
    struct mpi *m = r->impl;
    for (;;) {
        int here = 0;
        TRY_MPI(r, MPI_Test(&m->inbox, &here, MPI_STATUS_IGNORE));
        if (!here) return 0;
        if (m->in.lost && !m->lost) m->why_lost = m->in;
        if (m->in.beat)
            m->heard_beat = 1;
        else if (m->in.lost)
            m->lost = 1;
        else if (!m->failed && m->in.meeting == m->meeting)
            decide(r, &m->in);
        TRY_MPI(r, open_inbox(m));
    }
}

/* Nonzero: others have failed; where this rank is failing already, only for ever. */
static int look(struct vlqa_ranks *r, int failing)
{
    const struct mpi *m = r->impl;
    if (hear(r) != 0) return -1;
    /* Whoever has failed may have ended since: why it failed says more. */
    if (m->failed && !failing) return take_reason(r, &m->why);
    return m->lost ? take_reason(r, &m->why_lost) : 0;
}

/* ---- waiting ---- */

/* Others may need this core: who sleeps is also the next to have it. */
static void rest(double waited_ms)
{
    static const struct timespec nap = {0, NAP_NS};
    if (waited_ms < SPIN_MS) return;
    if (waited_ms < YIELD_MS)
        sched_yield();
    else
        nanosleep(&nap, NULL);
}

/* Takes requests of a row that are done out of it. Returns 1 when none is left, 0, or -1. */
static int test_row(struct vlqa_ranks *r, enum row row, int *n)
{
    struct mpi *m = r->impl;
    int index[VLQA_RANKS_MOST], code;
    MPI_Status status[VLQA_RANKS_MOST];
    code = MPI_Testsome(r->n, m->request[row], n, index, status);
    for (int k = 0; code == MPI_ERR_IN_STATUS && k < *n; k++)
        if (status[k].MPI_ERROR != MPI_SUCCESS) code = status[k].MPI_ERROR;
    if (code != MPI_SUCCESS) return broken(r, code);
    if (*n == MPI_UNDEFINED) return 1;
    for (int k = 0; k < *n && (row == TAKE || row == TAKE_ODD); k++) {
        int cancelled = 0;
        TRY_MPI(r, MPI_Test_cancelled(&status[k], &cancelled));
        m->taken[index[k]] += !cancelled;
    }
    return 0;
}

static int timed_out(struct vlqa_ranks *r, enum row row)
{
    struct mpi *m = r->impl;
    int rank = 0;
    while (row != NOTHING && rank < r->n - 1 && m->request[row][rank] == MPI_REQUEST_NULL)
        rank++;
    m->lost = 1;
    return m->host->failed(r, VLQA_EDEVICE, "rank %d has not answered for %.1f s", rank,
                           (double)r->timeout_ms / 1000);
}

/* Until a row of requests is done. failing: also where ranks have failed. */
static int wait_row(struct vlqa_ranks *r, enum row row, int failing)
{
    struct mpi *m = r->impl;
    double waited = 0, mark = m->host->ms();
    for (;;) {
        int n = 0, done = row == NOTHING ? 0 : test_row(r, row, &n);
        double now = m->host->ms();
        if (done) return done < 0 ? -1 : 0;
        if (look(r, failing) != 0) return -1;
        if (m->heard_beat) waited = 0;
        m->heard_beat = 0;
        if (waited > (double)r->timeout_ms) return timed_out(r, row);
        waited += now - mark < STOPPED_MS ? now - mark : STOPPED_MS;
        mark = now;
        rest(waited);
    }
}

/* Others wait for what rank 0 says; it hears them when it waits for anything. */
static void tell(struct vlqa_ranks *r)
{
    struct mpi *m = r->impl;
    struct told t = {.lost = m->lost, .status = (int32_t)r->status, .meeting = m->meeting};
    snprintf(t.message, sizeof t.message, "%s", r->env.message);
    if (m->lost) {
        m->why_lost = t;
        send_told(r, &t, r->n);
        return;
    }
    if (r->rank == 0 && !m->failed) decide(r, &t);
    if (r->rank != 0) send_told(r, &t, 1);
    r->status = VLQA_OK;
    (void)wait_row(r, NOTHING, 0);
}

/* ---- pieces ---- */

static uint8_t *piece_at(const struct vlqa_ranks *r, int odd, int rank)
{
    const struct mpi *m = r->impl;
    return m->window + (size_t)(odd * r->n + rank) * COMM_PIECE;
}

static int take_piece(struct vlqa_ranks *r, int odd, int from, size_t bytes, uint32_t meeting)
{
    struct mpi *m = r->impl;
    TRY_MPI(r, MPI_Irecv(piece_at(r, odd, from), (int)bytes, MPI_BYTE, from,
                         TAG_PIECE + (int)(meeting % 2), m->comm, &m->request[TAKE + odd][from]));
    return 0;
}

static int give_piece(struct vlqa_ranks *r, int odd, int to, size_t bytes)
{
    struct mpi *m = r->impl;
    m->given[to]++;
    TRY_MPI(r, MPI_Isend(piece_at(r, odd, r->rank), (int)bytes, MPI_BYTE, to,
                         TAG_PIECE + (int)(m->meeting % 2), m->comm, &m->request[GIVE + odd][to]));
    return 0;
}

static size_t piece_bytes(const size_t *at, int rank, size_t piece)
{
    size_t bytes = at[rank + 1] - at[rank], done = piece * COMM_PIECE;
    size_t left = bytes > done ? bytes - done : 0;
    return left < COMM_PIECE ? left : COMM_PIECE;
}

static int start_piece(struct vlqa_ranks *r, const uint8_t *block, const size_t *at, size_t piece)
{
    int odd = (int)(piece % 2);
    size_t mine = piece_bytes(at, r->rank, piece);
    if (mine) memcpy(piece_at(r, odd, r->rank), block + at[r->rank] + piece * COMM_PIECE, mine);
    for (int k = 1; k < r->n; k++) { /* who is next first */
        int i = (r->rank + k) % r->n;
        size_t theirs = piece_bytes(at, i, piece);
        if (theirs && take_piece(r, odd, i, theirs, ((struct mpi *)r->impl)->meeting) != 0)
            return -1;
        if (mine && give_piece(r, odd, i, mine) != 0) return -1;
    }
    return 0;
}

static int finish_piece(struct vlqa_ranks *r, uint8_t *block, const size_t *at, size_t piece)
{
    int odd = (int)(piece % 2);
    if (wait_row(r, TAKE + (unsigned)odd, 0) != 0) return -1;
    if (wait_row(r, GIVE + (unsigned)odd, 0) != 0) return -1;
    for (int i = 0; i < r->n && block; i++)
        if (i != r->rank && piece_bytes(at, i, piece))
            memcpy(block + at[i] + piece * COMM_PIECE, piece_at(r, odd, i),
                   piece_bytes(at, i, piece));
    return 0;
}

/* ---- the transport ---- */

static int gather(struct vlqa_ranks *r, void *block, const size_t *at)
{
    size_t most = 0, pieces;
    for (int i = 0; i < r->n; i++)
        most = at[i + 1] - at[i] > most ? at[i + 1] - at[i] : most;
    pieces = (most + COMM_PIECE - 1) / COMM_PIECE;
    for (size_t k = 0; k <= pieces; k++) {
        if (k < pieces && start_piece(r, block, at, k) != 0) return -1;
        if (k > 0 && finish_piece(r, block, at, k - 1) != 0) return -1;
    }
    return 0;
}

/* Takes what was given before this meeting. */
static int drain(struct vlqa_ranks *r)
{
    struct mpi *m = r->impl;
    int left = 1;
    for (int i = 0; i < r->n; i++)
        for (int odd = 0; odd < 2; odd++)
            if (m->request[TAKE + odd][i] != MPI_REQUEST_NULL)
                TRY_MPI(r, MPI_Cancel(&m->request[TAKE + odd][i]));
    if (wait_row(r, TAKE, 1) != 0 || wait_row(r, TAKE_ODD, 1) != 0) return -1;
    while (left) {
        left = 0;
        for (int i = 0; i < r->n; i++) {
            if (m->taken[i] >= m->met[i]) continue;
            if (take_piece(r, 0, i, COMM_PIECE, m->meeting - 1) != 0) return -1;
            left = 1;
        }
        if (wait_row(r, TAKE, 1) != 0) return -1;
    }
    memset(m->taken, 0, sizeof m->taken);
    memset(m->given, 0, sizeof m->given);
    return wait_row(r, GIVE, 1) != 0 || wait_row(r, GIVE_ODD, 1) != 0 ? -1 : 0;
}

static int begin(struct vlqa_ranks *r)
{
    struct mpi *m = r->impl;
    if (m->lost) return take_reason(r, &m->why_lost);
    m->meeting++;
    m->failed = 0;
    for (int i = 0; i < r->n; i++) {
        if (i == r->rank) continue;
        TRY_MPI(r, MPI_Irecv(&m->met[i], 1, MPI_INT64_T, i, TAG_MEET, m->comm,
                             &m->request[MEET_TAKE][i]));
        TRY_MPI(r, MPI_Isend(&m->given[i], 1, MPI_INT64_T, i, TAG_MEET, m->comm,
                             &m->request[MEET_GIVE][i]));
    }
    if (wait_row(r, MEET_TAKE, 1) != 0) return -1;
    if (wait_row(r, MEET_GIVE, 1) != 0 || wait_row(r, BEAT, 1) != 0 ||
        wait_row(r, TELL + (m->meeting - 1) % 2, 1) != 0)
        return -1;
    return drain(r);
}

/* Also an occasion for MPI to go on with what it has begun, and for rank 0 to hear the others. */
static void beat(struct vlqa_ranks *r)
{
    struct mpi *m = r->impl;
    double now = m->host->ms();
    int n;
    if (now - m->beaten < BEAT_MS || m->lost) return;
    m->beaten = now;
    m->pulse.beat = 1;
    if (test_row(r, BEAT, &n) < 0 || hear(r) != 0) return;
    for (int i = 0; i < r->n; i++)
        if (i != r->rank && m->request[BEAT][i] == MPI_REQUEST_NULL)
            (void)MPI_Isend(&m->pulse, sizeof m->pulse, MPI_BYTE, i, TAG_TOLD, m->comm,
                            &m->request[BEAT][i]);
}

static int look_once(struct vlqa_ranks *r)
{
    return look(r, 0);
}

/* MPI_Finalize waits for all processes, and without end: so only where all of them are here. Where
 * they are not, MPI may still write to the memory of ranks, which stays. */
static void close_mpi(struct vlqa_ranks *r)
{
    struct mpi *m = r->impl;
    const struct mpi_host *host = m->host;
    int finalised = 0;
    (void)MPI_Finalized(&finalised);
    if (!finalised) {
        r->status = VLQA_OK;
        if (begin(r) != 0) return;
        (void)MPI_Cancel(&m->inbox);
        (void)MPI_Wait(&m->inbox, MPI_STATUS_IGNORE);
        (void)MPI_Comm_free(&m->comm);
        if (m->initialised) (void)MPI_Finalize();
    }
    host->free(m->window);
    host->free(m);
}

static const struct comm_ops ops = {.name = "MPI",
                                    .close = close_mpi,
                                    .gather = gather,
                                    .begin = begin,
                                    .tell = tell,
                                    .beat = beat,
                                    .look = look_once};

/* ---- opening ---- */

/* A communicator of their own, whose errors return. */
static int enter(struct mpi *m, int *rank, int *on_host)
{
    MPI_Comm host = MPI_COMM_NULL;
    int code = MPI_Comm_dup(MPI_COMM_WORLD, &m->comm);
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(m->comm, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS) code = MPI_Comm_rank(m->comm, rank);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_split_type(m->comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    if (code == MPI_SUCCESS) code = MPI_Comm_size(host, on_host);
    if (code == MPI_SUCCESS) code = MPI_Comm_free(&host);
    return code == MPI_SUCCESS ? open_inbox(m) : code;
}

/* The number of processes, which decides how much memory there is. */
static vlqa_status start(const struct mpi_host *host, struct env *env, int *n, int *initialised)
{
    int ready = 0, ended = 0, provided, code = MPI_SUCCESS;
    (void)MPI_Finalized(&ended);
    (void)MPI_Initialized(&ready);
    if (ended)
        return host->fail(env, VLQA_EDEVICE,
                          "MPI has been finalised in this process: open ranks once");
    if (!ready) code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
    *initialised = !ready;
    if (code == MPI_SUCCESS) code = MPI_Comm_size(MPI_COMM_WORLD, n);
    if (code != MPI_SUCCESS)
        return host->fail(env, VLQA_EDEVICE, "MPI cannot be initialised: code %d", code);
    if (*n > VLQA_RANKS_MOST)
        return host->fail(env, VLQA_EUSAGE, "MPI has %d processes, expected 1 to %d", *n,
                          VLQA_RANKS_MOST);
    return VLQA_OK;
}

static vlqa_status open_mpi(const struct mpi_host *host, struct vlqa_ranks *r)
{
    int n = 0, rank = 0, on_host = 0, initialised = 0, code = MPI_SUCCESS;
    size_t bytes;
    struct mpi *m;
    TRY(start(host, &r->env, &n, &initialised));
    bytes = (size_t)n * 2 * COMM_PIECE;
    m = host->alloc_zero(sizeof *m);
    if (m) m->window = host->alloc_zero(bytes);
    if (!m || !m->window) {
        host->free(m);
        return host->fail(&r->env, VLQA_EMEMORY, "out of memory: ranks needs %zu bytes", bytes);
    }
    m->host = host;
    m->initialised = initialised;
    for (int i = 0; i < ROWS * VLQA_RANKS_MOST; i++)
        m->request[i / VLQA_RANKS_MOST][i % VLQA_RANKS_MOST] = MPI_REQUEST_NULL;
    code = enter(m, &rank, &on_host);
    if (code != MPI_SUCCESS) {
        host->free(m->window);
        host->free(m);
        return host->fail(&r->env, VLQA_EDEVICE, "MPI has failed with code %d", code);
    }
    r->op = &ops;
    r->n = n;
    r->rank = rank;
    r->on_host = on_host;
    r->impl = m;
    return VLQA_OK;
}

const struct mpi_module *vlqa_mpi_module(void)
{
    static const struct mpi_module module = {MPI_MODULE_VERSION, open_mpi};
    return &module;
}
