/* lab_amx.h - the instruction set AMX over tile registers in memory, for tests on machines without
 * them. */
#ifndef TESTS_KERNELS_LAB_AMX_H
#define TESTS_KERNELS_LAB_AMX_H

#include "tests/kernels/lab.h"

extern const struct backend_ops cpu_ops_amx_emulated;

static const struct lab_cpu emulated = {VLQA_CPU_AMX, &cpu_ops_amx_emulated, NULL};

#ifdef __x86_64__ /* where few rows of products are compiled for AVX2 */
#define CAN_EMULATE device_has_cpu(VLQA_CPU_AVX2)
#else
#define CAN_EMULATE 1
#endif

#define EMULATED_TEST(name)                             \
    static void name(struct lab_cpu cpu);               \
    TEST(name##_on_emulated_amx)                        \
    {                                                   \
        if (!CAN_EMULATE) SKIP("this CPU has no avx2"); \
        name(emulated);                                 \
    }

/* As CPU_TEST, and once more over AMX tiles in memory. */
#define EMULATED_CPU_TEST(name) \
    EMULATED_TEST(name)         \
    CPU_TEST(name)

/* Only over AMX tiles, in memory and of the hardware. */
#define AMX_TEST(name)                   \
    EMULATED_TEST(name)                  \
    CPU_TEST_ON(name, amx, VLQA_CPU_AMX) \
    static void name(struct lab_cpu cpu)

#endif
