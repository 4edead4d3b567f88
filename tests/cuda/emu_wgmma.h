/* emu_wgmma.h - products of a warpgroup as device.cuh names them: what descriptors of shared memory
 * say is read bit by bit. Included by emu_ptx.h. */
#ifndef TESTS_CUDA_EMU_WGMMA_H
#define TESTS_CUDA_EMU_WGMMA_H

#include "tests/cuda/emu_block.h"

namespace ptx
{
enum { HAS_WGMMA = 1 };
static inline void wgmma_publish()
{
}
template <int N> static inline void wgmma_begin(float (*)[4])
{
}
template <int N> static inline void wgmma_end(float (*)[4])
{
}
static inline uint64_t wgmma_panel(const void *panel)
{
    const unsigned char *at = (const unsigned char *)panel;
    if (at < emu::s.smem || at >= emu::s.smem + emu::s.smem_bytes || (at - emu::s.smem) % 16)
        emu::die("a panel does not begin on 16 bytes of shared memory");
    return (uint64_t)((at - emu::s.smem) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}
struct wgmma {
    float (*d)[4];
    const uint32_t *a;
    uint64_t b;
};
/* Value `col` of a row of the panel, for panels on 1,024: bits 4 to 6 are swapped by bits 7 to 9.
 */
static inline float panel_value(uint64_t panel, int row, int col)
{
    size_t at = (size_t)(panel & 0x3fff) << 4, group = (size_t)(panel >> 32 & 0x3fff) << 4;
    if (panel >> 62 != 1) emu::die("this panel is not of the 128-byte swizzle");
    at += (size_t)(row / 8) * group + (size_t)(row % 8) * 128 + (size_t)col * 2;
    at ^= (at >> 7 & 7) << 4;
    if (at + 2 > emu::s.smem_bytes) emu::die("wgmma reads outside shared memory");
    uint16_t h = *(const uint16_t *)(emu::s.smem + at); /* watched */
    return __builtin_bit_cast(float, (uint32_t)h << 16);
}
template <int N, int TRANS> EMU_PLAIN static void wgmma_exec(void **all)
{
    float b[16][8 * N];
    for (int lane = 1; lane < 128; lane++)
        if (((wgmma *)all[lane])->b != ((wgmma *)all[0])->b) emu::die("wgmma names two panels");
    for (int k = 0; k < 16; k++)
        for (int j = 0; j < 8 * N; j++)
            b[k][j] = panel_value(((wgmma *)all[0])->b, TRANS ? k : j, TRANS ? j : k);
    for (int i = 0; i < 64; i++) {
        float a[16];
        for (int k = 0; k < 16; k++) { /* as mma_bf16 */
            int lane = i / 16 * 32 + i % 8 * 4 + k % 8 / 2, at = i % 16 / 8 + k / 8 * 2;
            uint32_t two = ((wgmma *)all[lane])->a[at];
            a[k] = __builtin_bit_cast(float, k % 2 ? two & 0xffff0000u : two << 16);
        }
        for (int j = 0; j < 8 * N; j++) {
            int lane = i / 16 * 32 + i % 8 * 4 + j % 8 / 2;
            float *d = &((wgmma *)all[lane])->d[j / 8][i % 16 / 8 * 2 + j % 2];
            double sum = *d;
            for (int k = 0; k < 16; k++)
                sum += (double)(a[k] * b[k][j]);
            *d = (float)sum;
        }
    }
}
template <int N, int TRANS>
static inline void wgmma_bf16(float (*d)[4], const uint32_t (&a)[4], uint64_t b)
{
    wgmma x = {d, a, b};
    emu::meet_group(TRANS ? "wgmma of values" : "wgmma of keys", &x, wgmma_exec<N, TRANS>);
}
} // namespace ptx

#endif
