/* base64.c - four characters to three bytes. */
#include "eval/data/base64.h"

size_t base64_bytes(size_t chars)
{
    return chars / 4 * 3 + 3;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t chars, uint8_t *out, size_t *bytes, size_t *bad)
{
    size_t padding = 0, n = 0;
    uint32_t bits = 0;
    while (padding < 2 && padding < chars && text[chars - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < chars - padding; i++) {
        int value = value_of(text[i]);
        if (value < 0) {
            *bad = i;
            return 0;
        }
        bits = bits << 6 | (uint32_t)value;
        if (i % 4) out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *bytes = n;
    *bad = chars;
    return chars > 0 && chars % 4 == 0;
}
