/* emu_device.h - the CUDA backend on the host: its kernels over emu.h, its memory and streams over
 * cuda_stub.h.
 *
 * A program that is linked with -Wl,--wrap=device_open and emu_wrap.c opens it in place of the CPU.
 */
#ifndef TESTS_CUDA_EMU_DEVICE_H
#define TESTS_CUDA_EMU_DEVICE_H

#include "kernels/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Work runs as late as it may. */
vlqa_status emu_open(struct env *env, struct device **out);

/* From now on: this many more allocations, pieces of work, or calls that make and launch graphs
 * succeed; below 0: all. */
void emu_fail_alloc(long after);
void emu_fail_work(long after);
void emu_fail_graph(long after);

struct emu_counts {
    unsigned long long allocs, works, syncs, launches;
    unsigned long long taken; /* bytes that are allocated now */
    unsigned long long graphs_made, graph_launches;
};
struct emu_counts emu_count(void);

#ifdef __cplusplus
}
#endif

#endif
