/* explain_cache.c - what the cache did for an answer, in words. */
#include "eval/report/explain.h"

static const char *source_name(enum vlqa_source source)
{
    switch (source) {
    case VLQA_SOURCE_RAM:
        return "hit in memory";
    case VLQA_SOURCE_GPU:
        return "hit in memory of the GPU";
    case VLQA_SOURCE_DISK:
        return "hit on disk";
    case VLQA_SOURCE_COMPUTED:
        break;
    }
    return "miss, computed";
}

static int count_selected(const struct vlqa_answer *a, struct vlqa_placed_chunk c)
{
    int n = 0, columns = c.image < 0 ? c.tokens : c.w;
    int stride = c.image < 0 ? c.tokens : vlqa_image_at(a, c.image).grid_w;
    for (int i = 0; a->token_selected && i < c.tokens; i++)
        n += a->token_selected[c.first_token + i / columns * stride + i % columns] != 0;
    return n;
}

/* Of a chunk that is stored. */
static void explain_choice(struct cli *cli, int index, struct vlqa_placed_chunk c)
{
    if (c.ms_compute > 0 && c.ms_load > c.ms_compute)
        cli_note(cli,
                 "chunk %d: computed again: loading is estimated at %.3g ms, computing at %.3g ms",
                 index + 1, c.ms_load, c.ms_compute);
    else if (c.ms_load > 0 && c.ms_compute > 0)
        cli_note(cli, "chunk %d: loaded: that is estimated at %.3g ms, computing at %.3g ms",
                 index + 1, c.ms_load, c.ms_compute);
    else if (c.ms_load > 0)
        cli_note(cli, "chunk %d: loaded: nothing was computed yet to compare with", index + 1);
    else
        cli_note(cli, "chunk %d: loaded: nothing was read yet to compare with", index + 1);
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
    if (c.tokens_exact == c.tokens)
        snprintf(why, sizeof why, "exact, because only the prefix is before it");
    else
        snprintf(why, sizeof why, "%d exact, %d approximate, of which %d recomputed",
                 c.tokens_exact, c.tokens - c.tokens_exact, count_selected(a, c));
    cli_note(cli, "chunk %d: %s: %d tokens, %s; %s", index + 1, of, c.tokens, source_name(c.source),
             why);
    if (c.ms_load > 0 || c.ms_compute > 0) explain_choice(cli, index, c);
}

void explain_cache(struct cli *cli, const struct vlqa_answer *a)
{
    for (int i = 0; i < a->n_images; i++) {
        const struct vlqa_placed_image im = vlqa_image_at(a, i);
        cli_note(cli,
                 "image %d: %d x %d pixels, %d x %d tokens; output of the vision tower: %s, exact",
                 i + 1, im.width, im.height, im.grid_w, im.grid_h, source_name(im.source));
    }
    if (!a->token_selected)
        cli_note(cli, "full prefill: %d of %d tokens computed, exact, no chunks used",
                 a->tokens_recomputed, a->tokens_total);
    for (int i = 0; i < a->n_chunks; i++)
        explain_chunk(cli, a, i);
}
