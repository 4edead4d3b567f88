/* nfc.h - canonical composition of a text (Unicode NFC) in borrowed memory, in linear time. */
#ifndef TEXT_NFC_H
#define TEXT_NFC_H

#include "base/arena.h"

/* *out is utf8 itself where it is ASCII, else lies in scratch and stays there. utf8 is well formed.
 * 0 when nfc_scratch(bytes) does not fit scratch. */
int nfc_compose(const char *utf8, size_t bytes, struct arena *scratch, const char **out,
                size_t *out_bytes);
size_t nfc_scratch(size_t bytes);
/* No text grows more than this in bytes (U+1D160 does). */
#define NFC_GROWTH 3

#endif
