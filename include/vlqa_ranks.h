/* vlqa_ranks.h - several processes that answer a question together.
 *
 * Each of them is a rank, from 0 to n - 1, and runs the same program over the same model, images
 * and texts: ranks make the same calls on engines and sessions, in the same order and with the same
 * arguments, and each gets the answer that one process would have given, to the last bit on the
 * CPU. The work of a question is divided among them.
 *
 *   struct vlqa_ranks *ranks;
 *   vlqa_ranks_local(4, 0, &ranks);
 *   for (int rank = 0; rank < 4; rank++)
 *       if (fork() == 0) {
 *           vlqa_ranks_join(ranks, rank);
 *           engine_options.ranks = ranks;
 *           ...
 *       }
 *
 * A call that fails on one rank fails on all of them, with one status and a message that names the
 * rank; the next call can succeed. Ranks that were not given the same are told, VLQA_ESTATE. Where
 * a rank ends or does not answer in time, calls of the others are VLQA_EDEVICE, then and from then
 * on. An engine of several ranks is used by one thread at a time, and what it calls back decides on
 * rank 0 alone.
 */
#ifndef VLQA_RANKS_H
#define VLQA_RANKS_H

#include "vlqa.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VLQA_RANKS_MOST 64

/* Memory for n processes of this host (1 to VLQA_RANKS_MOST), made before they are forked.
 * timeout_ms is how long ranks wait for one another; 0: ten minutes. On failure *out may still be a
 * handle that holds the message. */
VLQA_API vlqa_status vlqa_ranks_local(int n, int64_t timeout_ms, struct vlqa_ranks **out);
/* The processes of MPI_COMM_WORLD, on any hosts, by the module libvlqa-mpi.so; all of them make
 * this call, and no vlqa_ranks_join. MPI is initialised where the program has not done so, and is
 * then finalised when the ranks are closed; a program that initialises it allows calls of the
 * thread that uses the engine. VLQA_EDEVICE: the module or MPI is missing, or MPI has failed. After
 * a rank was lost MPI is not finalised, which would wait for that rank: when a process ends so,
 * mpirun ends the others. On failure *out may still be a handle that holds the message. */
VLQA_API vlqa_status vlqa_ranks_mpi(int64_t timeout_ms, struct vlqa_ranks **out);
/* This process is that rank from now on. VLQA_EUSAGE: there is no such rank; VLQA_ESTATE: some
 * process has been that rank, or this one is one. */
VLQA_API vlqa_status vlqa_ranks_join(struct vlqa_ranks *ranks, int rank);
/* In the process that forked them, which is no rank: one has ended, and the others shall not wait
 * for it. why is the rest of the sentence, "was killed by signal 9". */
VLQA_API void vlqa_ranks_lost(struct vlqa_ranks *ranks, int rank, const char *why);
/* Before an engine is opened. Zero, the default: each rank holds the whole model; tokens of a
 * prefill are divided, which is the fastest. Nonzero: each holds and reads a part of the decoder's
 * weights, for models that one does not hold; all products are divided, and ranks wait for one
 * another four times a layer. */
VLQA_API void vlqa_ranks_divide_weights(struct vlqa_ranks *ranks, int divide);
VLQA_API int vlqa_ranks_count(const struct vlqa_ranks *ranks);
VLQA_API int vlqa_ranks_rank(const struct vlqa_ranks *ranks); /* -1: this process is none */
/* Those on this rank's host, itself among them: they share its cores. */
VLQA_API int vlqa_ranks_on_host(const struct vlqa_ranks *ranks);

struct vlqa_ranks_traffic {
    uint64_t given; /* bytes of this rank since it joined: once, however many ranks took them */
    uint64_t taken;
    double ms;     /* in the calls that exchanged them, waiting for others included */
    char name[16]; /* "control", "kv", "chunks", "hidden", "scores", "vision" */
};

/* Of kind 0, 1, ... of what ranks gave one another. VLQA_EUSAGE: there is no such kind. */
VLQA_API vlqa_status vlqa_ranks_read_traffic(const struct vlqa_ranks *ranks, int kind,
                                             struct vlqa_ranks_traffic *out, size_t bytes);
VLQA_API const char *vlqa_ranks_message(const struct vlqa_ranks *ranks);
/* After the engines that use them. NULL is fine. */
VLQA_API void vlqa_ranks_close(struct vlqa_ranks *ranks);

#ifdef __cplusplus
}
#endif

#endif
