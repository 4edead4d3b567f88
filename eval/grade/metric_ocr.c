/* metric_ocr.c - OCRBench: an answer is somewhere in the prediction. */
#include "eval/grade/metric.h"

/* Full-width ASCII and the ideographic blank as what they look like. */
static int32_t folded(int32_t c)
{
    if (c >= 0xFF01 && c <= 0xFF5E) return c - 0xFF01 + '!';
    return c == 0x3000 ? ' ' : c;
}

static struct unicode normalise(struct unicode c, int is_formula, int folds, struct arena *scratch)
{
    struct unicode text;
    int32_t *out;
    size_t n = 0;
    if (is_formula) { /* case counts, spaces and line ends do not */
        text = unicode_strip(c);
        out = arena_push(scratch, text.n * sizeof *out);
    } else {
        text = unicode_strip(unicode_lower(c, scratch));
        out = (int32_t *)(uintptr_t)text.at; /* ours */
    }
    for (size_t i = 0; i < text.n; i++) {
        int32_t code = text.at[i] == '\n' ? ' ' : text.at[i];
        if (folds && !is_formula) code = folded(code);
        if (!is_formula || code != ' ') out[n++] = code;
    }
    return (struct unicode){out, n};
}

int metric_ocr(struct unicode prediction, struct unicode target, int is_formula, int folds,
               struct arena *scratch)
{
    size_t mark = arena_mark(scratch);
    int hit = unicode_contain(normalise(prediction, is_formula, folds, scratch),
                              normalise(target, is_formula, folds, scratch), scratch);
    arena_rewind(scratch, mark);
    return hit;
}
