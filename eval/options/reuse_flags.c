/* reuse_flags.c - names and forms of the options of reuse. */
#include "eval/options/reuse_flags.h"

#include <stdlib.h>
#include <string.h>

const char *const reuse_names[] = {"off",     "auto",       "full", "none",    "infoflow",
                                   "prophet", "cacheblend", "epic", "vlcache", "random",
                                   "oracle",  "kvshare",    NULL};
static const enum vlqa_variant variant_values[] = {
    [REUSE_FULL] = VLQA_VARIANT_FULL,
    [REUSE_NONE] = VLQA_VARIANT_NONE,
    [REUSE_INFOFLOW] = VLQA_VARIANT_INFOFLOW,
    [REUSE_PROPHET] = VLQA_VARIANT_PROPHET,
    [REUSE_CACHEBLEND] = VLQA_VARIANT_CACHEBLEND,
    [REUSE_EPIC] = VLQA_VARIANT_EPIC,
    [REUSE_VLCACHE] = VLQA_VARIANT_VLCACHE,
    [REUSE_RANDOM] = VLQA_VARIANT_RANDOM,
    [REUSE_ORACLE] = VLQA_VARIANT_ORACLE,
    [REUSE_KVSHARE] = VLQA_VARIANT_KVSHARE,
};

const char *const reuse_scores[] = {"norm", "mass",     "max", "entropy",
                                    "vatp", "combined", "eq7", NULL};
static const enum vlqa_token_score score_values[] = {
    VLQA_SCORE_NORM, VLQA_SCORE_MASS,     VLQA_SCORE_MAX,  VLQA_SCORE_ENTROPY,
    VLQA_SCORE_VATP, VLQA_SCORE_COMBINED, VLQA_SCORE_MASS, /* eq7: by another name */
};
const char *const reuse_bases[] = {"candidates", "context", "all", NULL};
_Static_assert(VLQA_BASE_CANDIDATES == 0 && VLQA_BASE_CONTEXT == 1 && VLQA_BASE_ALL == 2,
               "reuse_bases");
const char *const reuse_orders[] = {"raster", "chunk", NULL};
_Static_assert(VLQA_ORDER_RASTER == 0 && VLQA_ORDER_CHUNK == 1, "reuse_orders");
const char *const reuse_geometries[] = {"global", "hlhp", "tltp", "hltp", NULL};
_Static_assert(VLQA_GEOMETRY_GLOBAL == 0 && VLQA_GEOMETRY_HLHP == 1 && VLQA_GEOMETRY_TLTP == 2 &&
                   VLQA_GEOMETRY_HLTP == 3,
               "reuse_geometries");
const char *const reuse_reorders[] = {"off", "density", NULL};
_Static_assert(VLQA_REORDER_OFF == 0 && VLQA_REORDER_DENSITY == 1, "reuse_reorders");
const char *const reuse_parities[] = {"off", "infoflow-vlm-release", "infoflow-llm-release", NULL};
_Static_assert(VLQA_PARITY_INFOFLOW_VLM == 1 && VLQA_PARITY_INFOFLOW_LLM == 2, "reuse_parities");

const char *const reuse_keeps[] = {"infokv",    "snapkv", "h2o",     "pyramidkv",
                                   "streaming", "tova",   "uniform", NULL};
static const enum vlqa_compress keep_values[] = {
    VLQA_COMPRESS_INFOKV,    VLQA_COMPRESS_SNAPKV, VLQA_COMPRESS_H2O,     VLQA_COMPRESS_PYRAMIDKV,
    VLQA_COMPRESS_STREAMING, VLQA_COMPRESS_TOVA,   VLQA_COMPRESS_UNIFORM,
};

const char *reuse_variant(const struct reuse_args *args)
{
    return args->parity ? reuse_parities[args->parity] : reuse_names[args->variant];
}

int reuse_read_chunk(const char *text, void *field)
{
    struct reuse_chunk *out = field;
    size_t bytes = strcspn(text, ":");
    const char *end;
    *out = (struct reuse_chunk){VLQA_CHUNK_IMAGE, 1};
    if (strcmp(text, "image") == 0 || strcmp(text, "auto") == 0) return 1;
    if (bytes == 4 && strncmp(text, "grid:", 5) == 0)
        out->kind = VLQA_CHUNK_GRID;
    else if (bytes == 6 && strncmp(text, "strips:", 7) == 0)
        out->kind = VLQA_CHUNK_STRIPS;
    else
        return 0;
    return args_number(text + bytes + 1, 1, 256, &end, &out->k) && !*end;
}

void reuse_add_layer(struct reuse_layers *layers, int layer)
{
    layers->set[layer / 64] |= (uint64_t)1 << layer % 64;
}

int reuse_has_layer(const struct reuse_layers *layers, int layer)
{
    return (int)(layers->set[layer / 64] >> layer % 64 & 1);
}

int reuse_layers_end(const struct reuse_layers *layers)
{
    int end = REUSE_MAX_LAYERS;
    while (end > 0 && !reuse_has_layer(layers, end - 1))
        end--;
    return end;
}

int reuse_read_text(const char *text, void *field)
{
    struct reuse_text *out = field;
    const char *end;
    *out = (struct reuse_text){VLQA_TEXT_FIXED, 256};
    if (strncmp(text, "passage", 7) == 0) {
        out->kind = VLQA_TEXT_PASSAGE;
        text += 7;
        if (!*text) return 1;
        if (*text++ != ':') return 0;
    }
    return args_number(text, 1, 1 << 20, &end, &out->tokens) && !*end;
}

void reuse_write_layers(const struct reuse_layers *layers, char comma, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    for (int i = 0, last; i < REUSE_MAX_LAYERS && n < cap; i = last + 1) {
        last = i;
        if (!reuse_has_layer(layers, i)) continue;
        while (last + 1 < REUSE_MAX_LAYERS && reuse_has_layer(layers, last + 1))
            last++;
        if (n) out[n++] = comma;
        n += (size_t)snprintf(out + n, cap - n, last > i ? "%d-%d" : "%d", i, last);
    }
}

int reuse_read_list(const char *text, void *field)
{
    struct reuse_layers *out = field;
    const int most = REUSE_MAX_LAYERS - 1;
    *out = (struct reuse_layers){.calibrated = 0};
    for (const char *end;; text = end + 1) {
        int first, last;
        if (!args_number(text, 0, most, &end, &first)) return 0;
        last = first;
        if (*end == '-' && !args_number(end + 1, first, most, &end, &last)) return 0;
        for (int i = first; i <= last; i++)
            reuse_add_layer(out, i);
        if (*end != ',' && *end != '+') return !*end;
    }
}

int reuse_read_layers(const char *text, void *field)
{
    struct reuse_layers *out = field;
    *out = (struct reuse_layers){.calibrated = strcmp(text, "calibrated") == 0};
    return out->calibrated || strcmp(text, "all") == 0 || reuse_read_list(text, field);
}

int reuse_read_budget(const char *text, void *field)
{
    struct reuse_budget *out = field;
    const char *end;
    char *behind;
    *out = (struct reuse_budget){0, 0};
    if (args_number(text, 4, 1 << 20, &end, &out->tokens) && !*end) return 1;
    out->tokens = 0;
    out->share = strtod(text, &behind);
    if (behind == text || (*behind && strcmp(behind, "%") != 0)) return 0;
    if (*behind) out->share /= 100;
    return out->share > 0 && out->share <= 1 && strpbrk(text, ".%");
}

int reuse_read_halo(const char *text, void *field)
{
    int *out = field;
    const char *end;
    *out = -1;
    return strcmp(text, "auto") == 0 || (args_number(text, 0, 4096, &end, out) && !*end);
}

void reuse_write_halo(int halo, char *out, size_t cap)
{
    snprintf(out, cap, halo < 0 ? "auto" : "%d", halo);
}

int reuse_read_refresh(const char *text, void *field)
{
    struct reuse_refresh *out = field;
    const char *end;
    if (!args_number(text, 1, 1 << 20, &end, &out->every) || *end != ':') return 0;
    return args_number(end + 1, 0, 1 << 20, &end, &out->tokens) && !*end;
}

int reuse_read_query(const char *text, void *field)
{
    static const char *const names[] = {"auto", "suffix", "question", "last"};
    static const enum vlqa_query_tokens values[] = {VLQA_QUERY_AUTO, VLQA_QUERY_SUFFIX,
                                                    VLQA_QUERY_QUESTION, VLQA_QUERY_LAST};
    struct reuse_query *out = field;
    const char *end;
    *out = (struct reuse_query){VLQA_QUERY_LAST, 0};
    if (strncmp(text, "draft:", 6) == 0)
        return args_number(text + 6, 1, 1024, &end, &out->draft) && !*end;
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        out->tokens = values[i];
        return 1;
    }
    return 0;
}

static int is_compressed(const struct reuse_keep *keep)
{
    return keep->budget.tokens || keep->budget.share > 0;
}

static void set_keep(const struct reuse_keep *keep, struct vlqa_experimental *out)
{
    out->compress = keep_values[keep->by];
    out->kv_budget = keep->budget.tokens;
    if (!keep->budget.tokens) out->kv_ratio = (float)keep->budget.share;
    out->kv_window = keep->window;
    out->kv_step = keep->step;
    out->kv_block = keep->block;
    out->kv_entropy = (float)keep->entropy;
    out->kv_share = keep->shared;
    out->kv_worst = keep->worst;
}

static void set_experimental(const struct reuse_args *args, struct vlqa_experimental *out)
{
    *out = vlqa_experimental_default();
    out->variant = variant_values[args->variant];
    out->budget_base = (enum vlqa_budget_base)args->base;
    out->taper = (float)args->taper;
    out->closing = args->closing;
    out->score = score_values[args->score];
    out->query_tokens = args->query.tokens;
    out->query_draft = args->query.draft;
    memcpy(out->probe_layers, args->layers.set, sizeof out->probe_layers);
    out->order = (enum vlqa_order)args->order;
    out->geometry = (enum vlqa_geometry)args->geometry;
    out->reorder = (enum vlqa_reorder)args->reorder;
    out->parity = (enum vlqa_parity)args->parity;
    memcpy(out->check_layers, args->check.set, sizeof out->check_layers);
    out->refresh_every = args->refresh.every ? args->refresh.every : 1;
    out->refresh_tokens = args->refresh.tokens;
    if (is_compressed(&args->keep)) set_keep(&args->keep, out);
    out->margin = args->quality.margin;
    out->stand_ins = args->stand_ins;
}

int reuse_is_experimental(const struct reuse_args *args)
{
    int is_experimental_variant = args->variant > REUSE_AUTO && args->variant != REUSE_INFOFLOW;
    int is_score = args->variant != REUSE_OFF && score_values[args->score] != VLQA_SCORE_MAX;
    return is_experimental_variant || is_score || args->base || args->taper > 0 || args->closing ||
           args->order || args->geometry || args->reorder || args->parity || args->query.tokens ||
           args->query.draft || args->stand_ins || args->layers.calibrated ||
           reuse_layers_end(&args->layers) || reuse_layers_end(&args->check) ||
           args->quality.asked > 0 || is_compressed(&args->keep);
}

void reuse_options(const struct reuse_args *args, struct vlqa_ask_options *out,
                   struct vlqa_experimental *more)
{
    set_experimental(args, more);
    out->experimental = reuse_is_experimental(args) ? more : NULL;
    out->reuse = args->variant == REUSE_OFF    ? VLQA_REUSE_OFF
                 : args->variant == REUSE_AUTO ? VLQA_REUSE_AUTO
                                               : VLQA_REUSE_ON;
    out->recompute_ratio = (float)args->ratio;
    out->adaptive = (float)args->adaptive;
    out->chunker = args->chunk.kind;
    out->chunk_k = args->chunk.k;
    out->text_chunker = args->text.kind;
    out->chunk_text_tokens = args->text.tokens;
    out->halo = args->halo;
}
