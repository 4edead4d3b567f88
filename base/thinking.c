/* thinking.c - finds the tags around thoughts. */
#include "base/thinking.h"

#include <string.h>

int thinking_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct thinking thinking_find(const char *text, size_t bytes, int begun)
{
    const size_t open_bytes = strlen(THINKING_OPEN), close_bytes = strlen(THINKING_CLOSE);
    struct thinking t = {.found = begun};
    const char *open, *close;
    int at_start;
    while (t.begin < bytes && thinking_is_space(text[t.begin]))
        t.begin++;
    open = memmem(text, bytes, THINKING_OPEN, open_bytes);
    close = memmem(text, bytes, THINKING_CLOSE, close_bytes);
    at_start = open == text + t.begin;
    if (open && (at_start || (!begun && close && open < close))) {
        t.found = 1;
        t.begin = (size_t)(open - text) + open_bytes;
    }
    t.found |= close != NULL;
    if (!t.found) return (struct thinking){0};
    t.is_open = close == NULL;
    t.end = close ? (size_t)(close - text) : bytes;
    t.answer = close ? t.end + close_bytes : bytes;
    while (t.answer < bytes && thinking_is_space(text[t.answer]))
        t.answer++;
    while (t.begin < t.end && thinking_is_space(text[t.begin]))
        t.begin++;
    while (t.end > t.begin && thinking_is_space(text[t.end - 1]))
        t.end--;
    return t;
}

int thinking_is_left_open(const char *text, size_t bytes)
{
    const size_t open_bytes = strlen(THINKING_OPEN), close_bytes = strlen(THINKING_CLOSE);
    const char *open, *end = text + bytes;
    int is_open = 0;
    while ((open = memmem(text, (size_t)(end - text), THINKING_OPEN, open_bytes))) {
        text = open + open_bytes;
        is_open = !memmem(text, (size_t)(end - text), THINKING_CLOSE, close_bytes);
    }
    return is_open;
}
