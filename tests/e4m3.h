/* e4m3.h - FP8 values by their definition, and the nearest one: what the tests compare with. */
#ifndef TESTS_E4M3_H
#define TESTS_E4M3_H

#include <math.h>
#include <stdint.h>

/* Sign, four bits of exponent, three of mantissa; no infinities. */
static inline double e4m3_value(int code)
{
    int exponent = code >> 3 & 15, mantissa = code & 7;
    double v = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
    if ((code & 0x7f) == 0x7f) return (double)NAN;
    return code & 0x80 ? -v : v;
}

static inline uint8_t e4m3_nearest(double x)
{
    double m = fabs(x);
    int exponent, code;
    (void)frexp(m, &exponent);
    code = exponent < -5 ? (int)nearbyint(m * 512)
                         : (int)nearbyint(ldexp(m, 4 - exponent)) - 8 + (exponent + 6) * 8;
    return (uint8_t)((x < 0 ? 0x80 : 0) | (code > 0x7e ? 0x7e : code));
}

#endif
