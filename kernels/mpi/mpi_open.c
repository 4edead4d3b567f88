/* mpi_open.c - ranks by the module of MPI. */
#include "kernels/mpi/mpi_module.h"

#include "base/heap.h"
#include "kernels/module.h"

#define MODULE "libvlqa-mpi.so"

static const struct mpi_host host = {heap_alloc_zero, heap_free, env_fail, comm_failed, env_ms};
static const struct comm_ops none = {.name = "none"}; /* of ranks that only hold a message */

vlqa_status vlqa_ranks_mpi(int64_t timeout_ms, struct vlqa_ranks **out)
{
    const char *reason;
    const struct mpi_module *m;
    mpi_module_fn *entry;
    if (!out) return VLQA_EUSAGE;
    TRY(comm_new(&none, 1, timeout_ms, out));
    *(void **)&entry = module_symbol(MODULE, MPI_MODULE_ENTRY, 1, &reason);
    if (!entry) return env_fail(&(*out)->env, VLQA_EDEVICE, "no MPI: %s", reason);
    m = entry();
    if (m->version != MPI_MODULE_VERSION)
        return env_fail(&(*out)->env, VLQA_EDEVICE,
                        "no MPI: " MODULE " is of version %d, expected %d: install the module of "
                        "this library",
                        m->version, MPI_MODULE_VERSION);
    return m->open(&host, *out);
}
