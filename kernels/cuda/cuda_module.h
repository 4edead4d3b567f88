/* cuda_module.h - what the library and its module for CUDA know of each other.
 *
 * The module (libvlqa-cuda.so) is opened at run time. It exports one function and calls nothing of
 * the library but what it is handed. */
#ifndef KERNELS_CUDA_CUDA_MODULE_H
#define KERNELS_CUDA_CUDA_MODULE_H

#include "kernels/comm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with every change of this file, of backend.h, or of a struct that goes through either: a
 * module of another version is refused. */
#define CUDA_MODULE_VERSION 12

struct cuda_host { /* of the library; outlives all devices */
    void *(*alloc_zero)(size_t bytes);
    void (*free)(void *block);
    vlqa_status (*fail)(struct env *env, vlqa_status status, const char *format, ...);
    void (*copy)(struct env *env, void *dst, const void *src, size_t bytes); /* by its threads */
    void (*log)(struct env *env, enum vlqa_log_level level, const char *format, ...);
    /* comm.h: comm_gather_host, comm_agree, comm_look, comm_failed */
    void (*ranks_gather)(struct vlqa_ranks *r, enum comm_kind kind, void *block, const size_t *at);
    vlqa_status (*ranks_agree)(struct vlqa_ranks *r, struct env *env, vlqa_status mine);
    int (*ranks_look)(struct vlqa_ranks *r, struct comm_wait *w);
    int (*ranks_failed)(struct vlqa_ranks *r, vlqa_status status, const char *format, ...);
};

struct cuda_module {
    int version; /* first, for good */
    /* The gpu-th device of this machine, from 0; VLQA_EDEVICE with the reason. */
    vlqa_status (*open)(const struct cuda_host *host, struct env *env, int gpu,
                        struct device **out);
};

#define CUDA_MODULE_ENTRY "vlqa_cuda_module"
typedef const struct cuda_module *cuda_module_fn(void);
__attribute__((visibility("default"))) cuda_module_fn vlqa_cuda_module;

#ifdef __cplusplus
}
#endif

#endif
