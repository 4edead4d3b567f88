/* thoughts.c - tags of thoughts, as the references cut them. */
#include "eval/grade/thoughts.h"

#include "base/heap.h"

#include <string.h>

/* Where the tag begins first behind `from`, or SIZE_MAX. */
static size_t find(struct text text, size_t from, const char *tag)
{
    const char *at =
        from < text.bytes ? memmem(text.at + from, text.bytes - from, tag, strlen(tag)) : NULL;
    return at ? (size_t)(at - text.at) : SIZE_MAX;
}

/* What is behind the last of these tags; the text itself, if there is none. */
static struct text behind_last(struct text text, const char *tag)
{
    for (size_t at; (at = find(text, 0, tag)) != SIZE_MAX;) {
        size_t skip = at + strlen(tag);
        text = (struct text){text.at + skip, text.bytes - skip};
    }
    return text;
}

/* str.strip() */
static struct text strip(struct text text, struct arena *arena)
{
    return unicode_encode(unicode_strip(unicode_decode(text, arena)), arena);
}

struct text thoughts_cut_vlmevalkit(struct text prediction, struct arena *arena)
{
    if (find(prediction, 0, "</think>") == SIZE_MAX) return prediction;
    return strip(behind_last(prediction, "</think>"), arena);
}

char *thoughts_answer(const char *prediction)
{
    struct text text = text_of(prediction);
    char *out = heap_alloc(text.bytes + 1), *memory = heap_alloc(16 * text.bytes + 1024);
    if (out && memory) {
        struct arena arena = arena_over(memory, 16 * text.bytes + 1024);
        text = thoughts_cut_vlmevalkit(text, &arena);
        memcpy(out, text.at, text.bytes);
        out[text.bytes] = 0;
    }
    if (!memory) {
        heap_free(out);
        out = NULL;
    }
    heap_free(memory);
    return out;
}

/* Without the blocks between two tags, and what is before a closing tag alone. */
static struct text cut_pair(struct text text, const char *open, const char *close,
                            struct arena *arena)
{
    char *out = NULL;
    for (;;) {
        size_t begin = find(text, 0, open), end, behind;
        if (begin == SIZE_MAX) return behind_last(text, close);
        end = find(text, begin, close);
        if (end == SIZE_MAX) return text;
        if (!out) {
            out = arena_push(arena, text.bytes);
            memcpy(out, text.at, text.bytes);
            text.at = out;
        }
        behind = end + strlen(close);
        memmove(out + begin, out + behind, text.bytes - behind);
        text.bytes -= behind - begin;
    }
}

struct text thoughts_cut_lmms(struct text prediction, struct arena *arena)
{
    struct text text = cut_pair(prediction, "<think>", "</think>", arena);
    text = cut_pair(text, "<analysis>", "</analysis>", arena);
    return text.bytes < prediction.bytes ? strip(text, arena) : prediction;
}
