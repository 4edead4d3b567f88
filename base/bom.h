/* bom.h - the byte order mark that some editors put before a text. */
#ifndef BASE_BOM_H
#define BASE_BOM_H

#include <stddef.h>

/* Bytes of a UTF-8 byte order mark at the beginning of the text: 3 or 0. Readers of texts skip
 * them: they are no part of what was written. */
size_t bom_bytes(const void *text, size_t bytes);
/* "UTF-16" or "UTF-32" when the text begins with a byte order mark of that encoding, or as ASCII
 * looks in it; else NULL. For the message of a reader that expects UTF-8. */
const char *bom_foreign(const void *text, size_t bytes);

#endif
