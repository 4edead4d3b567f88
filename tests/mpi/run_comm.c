/* run_comm.c - one claim of comm_lab.h on a process of mpirun; what is right leaves a file.
 *
 *   mpirun -n N run_comm CLAIM TIMEOUT_MS FOLDER
 */
#include "tests/kernels/comm_lab.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static const struct claim {
    const char *name;
    rank_fn run;
} claims[] = {{"gathers", gathers},
              {"agrees", agrees},
              {"leaves", leaves},
              {"looks", looks},
              {"looks_too_long", looks_too_long},
              {"leaves_too", leaves_too},
              {"leaves_much", leaves_much},
              {"differs", differs},
              {"hangs", hangs},
              {"works_by_itself", works_by_itself}};

static int run(struct vlqa_ranks *r, const char *name)
{
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        if (strcmp(name, claims[i].name) == 0) return claims[i].run(r);
    return 0;
}

static void path_of(const char *folder, int rank, char path[512])
{
    snprintf(path, 512, "%s/%d", folder, rank);
}

/* Where one ends without the others mpirun ends them, so each waits until all are right. */
static void wait_for_all(int n, const char *folder)
{
    char path[512];
    for (int i = 0, turn = 0; i < n && turn < 600; turn++) {
        path_of(folder, i, path);
        if (access(path, F_OK) == 0)
            i++;
        else
            usleep(100000);
    }
}

int main(int argc, char **argv)
{
    struct vlqa_ranks *r = NULL;
    char path[512];
    if (argc != 4) return 2;
    if (vlqa_ranks_mpi(atoi(argv[2]), &r) != VLQA_OK || !run(r, argv[1])) {
        fprintf(stderr, "rank %d: %s\n", vlqa_ranks_rank(r), vlqa_ranks_message(r));
        return 1;
    }
    if (vlqa_ranks_on_host(r) != vlqa_ranks_count(r)) return 3;
    path_of(argv[3], vlqa_ranks_rank(r), path);
    if (creat(path, 0600) < 0) return 4;
    wait_for_all(vlqa_ranks_count(r), argv[3]);
    vlqa_ranks_close(r);
    return 0;
}
