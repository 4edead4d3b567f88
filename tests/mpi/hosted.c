/* hosted.c - a program that has MPI for itself opens and closes ranks, and goes on with MPI. */
#include "tests/kernels/comm_lab.h"

#include <mpi.h>
#include <stdio.h>

int main(void)
{
    struct vlqa_ranks *r = NULL;
    struct env env = {0};
    int provided, one = 1, all = 0, good;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
    for (int turn = 0; turn < 2; turn++) {
        good = vlqa_ranks_mpi(60000, &r) == VLQA_OK && vlqa_ranks_join(r, 0) == VLQA_ESTATE &&
               comm_begin(r, &env, "it", same) == VLQA_OK && comm_choose(r, r->rank + 7) == 7;
        if (!good) fprintf(stderr, "%s %s\n", vlqa_ranks_message(r), env.message);
        if (!good) MPI_Abort(MPI_COMM_WORLD, 1);
        vlqa_ranks_close(r);
    }
    MPI_Allreduce(&one, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    return all == 2 ? 0 : 1;
}
