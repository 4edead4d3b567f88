/* utf8.h - bytes of a growing answer to whole code points, never half of one. */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

struct utf8_stream {
    uint8_t tail[4];
    int n_tail;
};

/* Appends what is whole of tail + bytes to out and keeps an incomplete tail of at most 3 bytes.
 * Each maximal ill-formed part becomes one U+FFFD (Unicode 15, section 3.9, as Python does). out
 * holds at least 3 * (bytes + 3). Returns the bytes written. */
size_t utf8_stream_push(struct utf8_stream *s, const char *in, size_t bytes, char *out);
/* Flushes the tail at the end: U+FFFD for it, or nothing. out holds 3. */
size_t utf8_stream_end(struct utf8_stream *s, char *out);
/* Offset of the first ill-formed byte, or bytes when the text is well formed. */
size_t utf8_valid(const char *text, size_t bytes);

#endif
