/* reuse_flags.c - names and forms of the options of reuse. */
#include "eval/reuse_flags.h"

#include <string.h>

const char *const reuse_names[] = {"off",        "auto", "full",    "none",   "infoflow", "prophet",
                                   "cacheblend", "epic", "vlcache", "random", NULL};
static const enum vlqa_reuse reuse_values[] = {
    VLQA_REUSE_OFF,      VLQA_REUSE_OFF,     VLQA_REUSE_FULL,       VLQA_REUSE_NONE,
    VLQA_REUSE_INFOFLOW, VLQA_REUSE_PROPHET, VLQA_REUSE_CACHEBLEND, VLQA_REUSE_EPIC,
    VLQA_REUSE_VLCACHE,  VLQA_REUSE_RANDOM,
};

const char *const reuse_scores[] = {"norm", "mass", "max", "entropy", "vatp", NULL};
_Static_assert(VLQA_SCORE_NORM == 0 && VLQA_SCORE_MASS == 1 && VLQA_SCORE_MAX == 2 &&
                   VLQA_SCORE_ENTROPY == 3 && VLQA_SCORE_VATP == 4,
               "reuse_scores");
const char *const reuse_bases[] = {"candidates", "context", "all", NULL};
_Static_assert(VLQA_BASE_CANDIDATES == 0 && VLQA_BASE_CONTEXT == 1 && VLQA_BASE_ALL == 2,
               "reuse_bases");

enum vlqa_reuse reuse_of(int index)
{
    return reuse_values[index];
}

const char *reuse_name(enum vlqa_reuse reuse)
{
    int i = 0;
    while (reuse_values[i] != reuse)
        i++;
    return reuse_names[i];
}

int reuse_read_chunk(const char *text, void *field)
{
    struct reuse_chunk *out = field;
    size_t bytes = strcspn(text, ":");
    const char *end;
    *out = (struct reuse_chunk){VLQA_CHUNK_IMAGE, 1};
    if (strcmp(text, "image") == 0) return 1;
    if (bytes == 4 && strncmp(text, "grid:", 5) == 0)
        out->kind = VLQA_CHUNK_GRID;
    else if (bytes == 6 && strncmp(text, "strips:", 7) == 0)
        out->kind = VLQA_CHUNK_STRIPS;
    else
        return 0;
    return args_number(text + bytes + 1, 1, 256, &end, &out->k) && !*end;
}

int reuse_read_layers(const char *text, void *field)
{
    struct reuse_layers *out = field;
    const char *end;
    *out = (struct reuse_layers){0, 0};
    if (strcmp(text, "all") == 0) return 1;
    if (!args_number(text, 0, 9999, &end, &out->begin)) return 0;
    out->end = out->begin;
    if (*end == '-' && !args_number(end + 1, out->begin, 9999, &end, &out->end)) return 0;
    out->end++;
    return !*end;
}

int reuse_read_query(const char *text, void *field)
{
    static const char *const names[] = {"auto", "suffix", "question", "last"};
    static const enum vlqa_score_query rows[] = {VLQA_QUERY_AUTO, VLQA_QUERY_SUFFIX,
                                                 VLQA_QUERY_QUESTION, VLQA_QUERY_LAST};
    struct reuse_query *out = field;
    const char *end;
    *out = (struct reuse_query){VLQA_QUERY_LAST, 0};
    if (strncmp(text, "draft:", 6) == 0)
        return args_number(text + 6, 1, 1024, &end, &out->draft) && !*end;
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        out->rows = rows[i];
        return 1;
    }
    return 0;
}

void reuse_options(const struct reuse_args *args, struct vlqa_ask_options *out)
{
    out->reuse = reuse_of(args->strategy);
    out->recompute_ratio = (float)args->ratio;
    out->budget_base = (enum vlqa_budget_base)args->base;
    out->adaptive = (float)args->adaptive;
    out->chunker = args->chunk.kind;
    out->chunk_k = args->chunk.k;
    out->chunk_text_rows = args->text_rows;
    out->score = (enum vlqa_score)args->score;
    out->score_query = args->query.rows;
    out->score_draft = args->query.draft;
    out->score_layer_begin = args->layers.begin;
    out->score_layer_end = args->layers.end;
}
