/* device_choose.c - the CPU or a GPU, as the options of an engine say. */
#include "kernels/cuda/cuda_open.h"

vlqa_status device_choose(struct env *env, enum vlqa_device device, enum vlqa_cpu cpu, int gpu,
                          struct device **out)
{
    vlqa_status status;
    *out = NULL;
    if (device == VLQA_DEVICE_CPU) return device_open(env, cpu, out);
    status = cuda_open(env, gpu, out);
    if (status != VLQA_EDEVICE || device == VLQA_DEVICE_CUDA) return status;
    env_log(env, VLQA_LOG_INFO, "%s; the CPU is used", env->message);
    env->message[0] = '\0';
    return device_open(env, cpu, out);
}
