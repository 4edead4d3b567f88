/* emu_wrap.c - device_open opens the emulated GPU, or, where that is wanted, a real one: for the
 * suite of fusion. */
#include "kernels/cuda/cuda_open.h"
#include "tests/cuda/emu_device.h"
#include "tests/wants_cuda.h"

vlqa_status __wrap_device_open(struct env *env, enum vlqa_cpu cpu, struct device **out);

vlqa_status __wrap_device_open(struct env *env, enum vlqa_cpu cpu, struct device **out)
{
    (void)cpu;
    return wants_cuda() ? cuda_open(env, 0, out) : emu_open(env, out);
}
