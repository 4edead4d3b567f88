/* bom.c - byte order marks and what they say about the encoding. */
#include "base/bom.h"

#include <string.h>

size_t bom_bytes(const void *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

const char *bom_foreign(const void *text, size_t bytes)
{
    const unsigned char *t = text;
    if (bytes >= 4 && (memcmp(t, "\xff\xfe\0\0", 4) == 0 || memcmp(t, "\0\0\xfe\xff", 4) == 0))
        return "UTF-32";
    if (bytes >= 2 && (memcmp(t, "\xff\xfe", 2) == 0 || memcmp(t, "\xfe\xff", 2) == 0))
        return "UTF-16";
    /* Two ASCII characters without a mark: "x0y0" or "0x0y". */
    if (bytes >= 4 && ((t[0] && !t[1] && t[2] && !t[3]) || (!t[0] && t[1] && !t[2] && t[3])))
        return "UTF-16";
    return NULL;
}
