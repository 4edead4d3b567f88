/* ranks.h - processes that answer together: they are started here, and looked after. */
#ifndef EVAL_RANKS_H
#define EVAL_RANKS_H

#include "eval/cli/cli.h"

/* How many there are to be: those that were started together, or --ranks. */
int ranks_wanted(const struct cli *cli);
/* With --ranks above 1: forks that many, and returns CLI_OK in each of them, with cli->rank,
 * options->ranks, and its share of cores or its GPU. The process that called does not return: it
 * waits, and exits with the code of rank 0, or CLI_FAILED after a message. An exit code otherwise:
 * they could not be started. No thread may exist. Processes that mpirun has started together are
 * ranks already: each returns. */
int ranks_start(struct cli *cli, struct vlqa_engine_options *options);

#endif
