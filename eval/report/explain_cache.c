/* explain_cache.c - what the cache did for an answer, in words. */
#include "eval/report/explain.h"

static const char *source_name(enum vlqa_source source)
{
    switch (source) {
    case VLQA_SOURCE_RAM:
        return "found in memory";
    case VLQA_SOURCE_DISK:
        return "found on disk";
    case VLQA_SOURCE_MADE:
        break;
    }
    return "not found, made";
}

static int count_selected(const struct vlqa_answer *a, struct vlqa_placed_chunk c)
{
    int n = 0, columns = c.image < 0 ? c.rows : c.w;
    int stride = c.image < 0 ? c.rows : vlqa_image_at(a, c.image).grid_w;
    for (int i = 0; a->row_selected && i < c.rows; i++)
        n += a->row_selected[c.first_row + i / columns * stride + i % columns] != 0;
    return n;
}

static void explain_chunk(struct cli *cli, const struct vlqa_answer *a, int index)
{
    const struct vlqa_placed_chunk c = vlqa_chunk_at(a, index);
    char of[96], why[96];
    if (c.image >= 0)
        snprintf(of, sizeof of, "image %d, %d x %d cells from (%d, %d)", c.image + 1, c.w, c.h, c.x,
                 c.y);
    else
        snprintf(of, sizeof of, "text %d", c.text + 1);
    if (c.rows_exact == c.rows)
        snprintf(why, sizeof why, "exact, nothing before it but the prefix");
    else
        snprintf(why, sizeof why, "%d exact, %d approximate, %d of them repaired", c.rows_exact,
                 c.rows - c.rows_exact, count_selected(a, c));
    cli_note(cli, "chunk %d: %s: %d rows, %s; %s", index + 1, of, c.rows, source_name(c.source),
             why);
}

void explain_cache(struct cli *cli, const struct vlqa_answer *a)
{
    for (int i = 0; i < a->n_images; i++) {
        const struct vlqa_placed_image im = vlqa_image_at(a, i);
        cli_note(cli, "image %d: %d x %d pixels, %d x %d rows, tower output %s; exact", i + 1,
                 im.width, im.height, im.grid_w, im.grid_h, source_name(im.source));
    }
    if (!a->row_selected)
        cli_note(cli, "no chunks: %d of %d rows computed, exact (--reuse off)", a->rows_recomputed,
                 a->rows_total);
    for (int i = 0; i < a->n_chunks; i++)
        explain_chunk(cli, a, i);
}
