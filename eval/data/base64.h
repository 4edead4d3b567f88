/* base64.h - images as data files write them (RFC 4648, section 4). */
#ifndef EVAL_BASE64_H
#define EVAL_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that so many characters make at most. */
size_t base64_bytes(size_t chars);
/* 1: all of it is base64 with its padding. Else 0 and *bad is the first character that is wrong, or
 * chars where something is missing. */
int base64_decode(const char *text, size_t chars, uint8_t *out, size_t *bytes, size_t *bad);

#endif
