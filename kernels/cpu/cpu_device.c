/* cpu_device.c - which instruction sets this machine has, and a device over one of them. */
#include "base/heap.h"
#include "kernels/cpu/cpu.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef VLQA_CPU_X86
#include <cpuid.h>
#include <sys/syscall.h>

/* The kernel hands out the tile registers only to processes that ask. */
static int has_amx(void)
{
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (!(d & AMX_BF16) || !(d & AMX_TILE)) return 0;
    return syscall(SYS_arch_prctl, REQ_XCOMP_PERM, XTILEDATA) == 0;
}

static int has_avx2(void)
{
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
}

static const struct backend_ops *ops_of(enum vlqa_cpu cpu)
{
    switch (cpu) {
    case VLQA_CPU_AUTO:
    case VLQA_CPU_PLAIN:
        return &cpu_ops_plain;
    case VLQA_CPU_AVX2:
        return has_avx2() ? &cpu_ops_avx2 : NULL;
    case VLQA_CPU_AVX512:
        return has_avx512() ? &cpu_ops_avx512 : NULL;
    case VLQA_CPU_AMX:
        return has_avx512() && has_amx() ? &cpu_ops_amx : NULL;
    }
    return NULL;
}
#else
static const struct backend_ops *ops_of(enum vlqa_cpu cpu)
{
    return cpu == VLQA_CPU_AUTO || cpu == VLQA_CPU_PLAIN ? &cpu_ops_plain : NULL;
}
#endif

int device_has_cpu(enum vlqa_cpu cpu)
{
    return ops_of(cpu) != NULL;
}

static vlqa_status missing(struct env *env, enum vlqa_cpu cpu)
{
    static const char *const what[] = {
        [VLQA_CPU_AVX2] = "AVX2, FMA and F16C",
        [VLQA_CPU_AVX512] = "AVX-512 F, BW, VL, DQ, BF16 and VNNI",
        [VLQA_CPU_AMX] = "AMX-BF16",
    };
    return env_fail(env, VLQA_EDEVICE, "this CPU has no %s", what[cpu]);
}

vlqa_status cpu_open(struct env *env, enum vlqa_cpu cpu, struct device **out)
{
    *out = NULL;
    if (cpu < VLQA_CPU_AUTO || cpu > VLQA_CPU_AMX)
        return env_fail(env, VLQA_EUSAGE, "cpu is %d, expected %d to %d", (int)cpu, VLQA_CPU_AUTO,
                        VLQA_CPU_AMX);
    if (cpu == VLQA_CPU_AUTO)
        for (cpu = VLQA_CPU_AMX; !device_has_cpu(cpu);)
            cpu--;
    if (!device_has_cpu(cpu)) return missing(env, cpu);
    return cpu_open_over(env, ops_of(cpu), out);
}

vlqa_status cpu_open_over(struct env *env, const struct backend_ops *ops, struct device **out)
{
    struct device *d = heap_alloc_zero(sizeof *d);
    *out = NULL;
    if (!d) return env_no_memory(env, "device", sizeof *d);
    *d = (struct device){.op = ops, .env = env};
    *out = d;
    return VLQA_OK;
}

void cpu_close(struct device *d)
{
    heap_free(d);
}

void *cpu_alloc(struct device *d, size_t bytes)
{
    (void)d;
    return heap_alloc_zero(bytes);
}

void cpu_release(struct device *d, void *block)
{
    (void)d;
    heap_free(block);
}

/* Whole pages go back to the system. */
void cpu_forget(struct device *d, void *at, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), mask = ~(page - 1);
    uintptr_t begin = ((uintptr_t)at + page - 1) & mask, end = ((uintptr_t)at + bytes) & mask;
    (void)d;
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

vlqa_status cpu_queue_open(struct queue *q)
{
    int workers = pool_threads(q->env->pool);
    size_t bytes = (size_t)workers * CPU_WORK_BYTES;
    struct cpu *cpu = heap_alloc_zero(sizeof *cpu);
    uint8_t *work = heap_alloc(bytes);
    if (!cpu || !work) {
        heap_free(cpu);
        heap_free(work);
        return env_no_memory(q->env, "CPU workspace", bytes);
    }
    *cpu = (struct cpu){workers, work};
    q->impl = cpu;
    return VLQA_OK;
}

void cpu_queue_close(struct queue *q)
{
    struct cpu *cpu = q->impl;
    heap_free(cpu->work);
    heap_free(cpu);
}

void cpu_copy(struct queue *q, void *dst, const void *src, size_t bytes)
{
    (void)q;
    memcpy(dst, src, bytes);
}

void cpu_clear(struct queue *q, void *dst, size_t bytes)
{
    (void)q;
    memset(dst, 0, bytes);
}

vlqa_status cpu_sync(struct queue *q)
{
    (void)q;
    return VLQA_OK;
}
