/* fake_ranks.c - ranks that only note what is done with them. The linker's --wrap puts them before
 * those of the library, which operations of bench bring along.
 *
 *   ranks, join = STATUS  that call fails
 *   mpi = STATUS          so does that of vlqa_ranks_mpi, which else finds mpi_ranks = N processes
 *                         and is mpi_rank = R of them
 *   hold_rank = R         the hold of the script is for rank R alone
 */
#include "include/vlqa_ranks.h"
#include "tests/eval/fake_script.h"

#include <stdlib.h>
#include <unistd.h>

struct vlqa_ranks {
    int n, rank;
    char message[256];
};

vlqa_status __wrap_vlqa_ranks_local(int n, int64_t timeout_ms, struct vlqa_ranks **out);
vlqa_status __wrap_vlqa_ranks_mpi(int64_t timeout_ms, struct vlqa_ranks **out);
vlqa_status __wrap_vlqa_ranks_join(struct vlqa_ranks *ranks, int rank);
void __wrap_vlqa_ranks_lost(struct vlqa_ranks *ranks, int rank, const char *why);
int __wrap_vlqa_ranks_count(const struct vlqa_ranks *ranks);
int __wrap_vlqa_ranks_rank(const struct vlqa_ranks *ranks);
int __wrap_vlqa_ranks_on_host(const struct vlqa_ranks *ranks);
const char *__wrap_vlqa_ranks_message(const struct vlqa_ranks *ranks);
void __wrap_vlqa_ranks_close(struct vlqa_ranks *ranks);
void __wrap_vlqa_ranks_divide_weights(struct vlqa_ranks *ranks, int divide);
vlqa_status __wrap_vlqa_ranks_read_traffic(const struct vlqa_ranks *ranks, int kind,
                                           struct vlqa_ranks_traffic *out, size_t bytes);

static int this_rank = -1;

vlqa_status __wrap_vlqa_ranks_local(int n, int64_t timeout_ms, struct vlqa_ranks **out)
{
    *out = calloc(1, sizeof **out);
    (*out)->n = n;
    (*out)->rank = -1;
    note_call("ranks %d timeout=%lld", n, (long long)timeout_ms);
    return script_status("ranks", (*out)->message);
}

vlqa_status __wrap_vlqa_ranks_mpi(int64_t timeout_ms, struct vlqa_ranks **out)
{
    *out = calloc(1, sizeof **out);
    (*out)->n = script_number("mpi_ranks");
    (*out)->rank = this_rank = script_number("mpi_rank");
    note_call("mpi timeout=%lld", (long long)timeout_ms);
    return script_status("mpi", (*out)->message);
}

vlqa_status __wrap_vlqa_ranks_join(struct vlqa_ranks *ranks, int rank)
{
    ranks->rank = this_rank = rank;
    return script_status("join", ranks->message);
}

void __wrap_vlqa_ranks_lost(struct vlqa_ranks *ranks, int rank, const char *why)
{
    (void)ranks;
    note_call("lost %d %s", rank, why);
}

void __wrap_vlqa_ranks_divide_weights(struct vlqa_ranks *ranks, int divide)
{
    if (divide) note_call("rank %d divides weights", ranks->rank);
}

vlqa_status __wrap_vlqa_ranks_read_traffic(const struct vlqa_ranks *ranks, int kind,
                                           struct vlqa_ranks_traffic *out, size_t bytes)
{
    (void)ranks, (void)kind, (void)out, (void)bytes;
    return VLQA_EUSAGE; /* nothing was given */
}

int __wrap_vlqa_ranks_count(const struct vlqa_ranks *ranks)
{
    return ranks ? ranks->n : 1;
}

int __wrap_vlqa_ranks_rank(const struct vlqa_ranks *ranks)
{
    return ranks ? ranks->rank : -1;
}

int __wrap_vlqa_ranks_on_host(const struct vlqa_ranks *ranks)
{
    return ranks ? ranks->n : 1;
}

const char *__wrap_vlqa_ranks_message(const struct vlqa_ranks *ranks)
{
    return ranks->message;
}

void __wrap_vlqa_ranks_close(struct vlqa_ranks *ranks)
{
    free(ranks);
}

void ranks_note(const struct vlqa_engine_options *o)
{
    if (o->ranks)
        note_call("rank %d is %d: %d threads, GPU %d", o->ranks->rank, (int)getpid(), o->threads,
                  o->gpu);
}

int ranks_hold(void)
{
    char value[64];
    script("hold_rank", value, sizeof value);
    return !value[0] || atoi(value) == this_rank;
}
