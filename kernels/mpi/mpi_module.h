/* mpi_module.h - what the library and its module for MPI know of each other.
 *
 * The module (libvlqa-mpi.so) is opened at run time. It exports one function and calls nothing of
 * the library but what it is handed. */
#ifndef KERNELS_MPI_MPI_MODULE_H
#define KERNELS_MPI_MPI_MODULE_H

#include "kernels/comm.h"

/* Grows with every change of this file or of a struct of comm.h: a module of another version is
 * refused. */
#define MPI_MODULE_VERSION 2

struct mpi_host { /* of the library; outlives all ranks */
    void *(*alloc_zero)(size_t bytes);
    void (*free)(void *block);
    vlqa_status (*fail)(struct env *env, vlqa_status status, const char *format, ...);
    int (*failed)(struct vlqa_ranks *r, vlqa_status status, const char *format, ...);
    double (*ms)(void);
};

struct mpi_module {
    int version; /* first, for good */
    /* Makes r those of MPI_COMM_WORLD. VLQA_EDEVICE, VLQA_EMEMORY, VLQA_EUSAGE: there are too many.
     */
    vlqa_status (*open)(const struct mpi_host *host, struct vlqa_ranks *r);
};

#define MPI_MODULE_ENTRY "vlqa_mpi_module"
typedef const struct mpi_module *mpi_module_fn(void);
__attribute__((visibility("default"))) mpi_module_fn vlqa_mpi_module;

#endif
