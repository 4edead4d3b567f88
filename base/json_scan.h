/* json_scan.h - is a text exactly JSON? One pass, no memory, no recursion. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include <stddef.h>

#define JSON_MAX_VALUES 4000000 /* of a document: bounds the tree at some 100 bytes each */

/* NULL, or what is wrong at byte *offset. Stricter than RFC 8259: no NUL in strings, no number of
 * more than 63 bytes, no nesting beyond JSON_MAX_DEPTH. */
const char *json_scan(const char *text, size_t bytes, size_t *offset);

#endif
