/* reuse_flags.h - the options that say how stored chunks are used, for every verb that asks. */
#ifndef EVAL_REUSE_FLAGS_H
#define EVAL_REUSE_FLAGS_H

#include "eval/cli/args.h"
#include "include/vlqa_experimental.h"

#define REUSE_MAX_LAYERS 128

enum reuse_variant { /* an index of reuse_names */
                     REUSE_OFF,
                     REUSE_AUTO,
                     REUSE_FULL,
                     REUSE_NONE,
                     REUSE_INFOFLOW,
                     REUSE_PROPHET,
                     REUSE_CACHEBLEND,
                     REUSE_EPIC,
                     REUSE_VLCACHE,
                     REUSE_RANDOM,
                     REUSE_ORACLE,
                     REUSE_KVSHARE
};

struct reuse_args {
    int variant, score, base; /* strategy: an enum reuse_strategy */
    double ratio, adaptive, taper;
    struct reuse_chunk {
        enum vlqa_chunker kind;
        int k;
    } chunk;
    struct reuse_text {
        enum vlqa_text_chunker kind;
        int tokens;
    } text;
    struct reuse_query {
        enum vlqa_query_tokens tokens;
        int draft;
    } query;
    struct reuse_layers {
        uint64_t set[2]; /* as in vlqa_experimental */
        int calibrated;  /* those that are kept for the model; calibration_apply finds them */
    } layers, check;     /* none: all; none: layer 1 */
    struct reuse_refresh {
        int every, tokens;
    } refresh;
    int closing, order, halo, geometry, reorder, parity;
    struct reuse_keep { /* compression of the KV */
        int by;         /* of reuse_keeps */
        int window, step, block, shared, worst;
        struct reuse_budget {
            int tokens; /* 0: the share; both 0: nothing is compressed */
            double share;
        } budget;
        double entropy;
    } keep;
    struct reuse_quality { /* --quality; quality.h */
        double asked;      /* 0: not asked for */
        double margin, lower;
        int answers, failures;
        const char *why;
    } quality;
    int stand_ins; /* as in vlqa_experimental */
};

/* "off", "auto", "full", ...; ends with NULL. */
extern const char *const reuse_names[];
/* What these options do, in one word: the variant, or the parity. */
const char *reuse_variant(const struct reuse_args *args);

/* "auto", "image", "grid:2", "strips:4": for ARG_FORM, as all below. auto is image, as long as
 * nothing is shown to be better. */
int reuse_read_chunk(const char *text, void *field);
/* "256", "passage", "passage:64" */
int reuse_read_text(const char *text, void *field);
/* "5", "3-7", "3,5-7" or, where commas stand for something else, "3+5-7"; layers: or "all",
 * "calibrated". */
int reuse_read_list(const char *text, void *field);
int reuse_read_layers(const char *text, void *field);
/* "4:8": after every 4 tokens 8 rows. */
int reuse_read_refresh(const char *text, void *field);
/* The other way, with `comma` between; cut at cap. */
void reuse_write_layers(const struct reuse_layers *layers, char comma, char *out, size_t cap);
void reuse_add_layer(struct reuse_layers *layers, int layer);
int reuse_has_layer(const struct reuse_layers *layers, int layer); /* of an empty set none */
int reuse_layers_end(const struct reuse_layers *layers);           /* behind the last; 0: empty */
/* "auto", "suffix", "question", "last", "draft:4" (last, and 4 drafted tokens) */
int reuse_read_query(const char *text, void *field);

/* "64" tokens, "0.2" or "20%" of the prompt's. */
int reuse_read_budget(const char *text, void *field);
#define REUSE_BUDGET_FORM "a number of tokens from 4, or a share such as 0.2"

/* "auto" (-1), or "4" */
int reuse_read_halo(const char *text, void *field);
void reuse_write_halo(int halo, char *out, size_t cap);
#define REUSE_HALO_FORM "auto or a whole number from 0 to 4096"

/* Whether a session needs memory for experimental variants. */
int reuse_is_experimental(const struct reuse_args *args);
/* Sets what these options say; `more` must live as long as out, and is left out where nothing is
 * experimental. */
void reuse_options(const struct reuse_args *args, struct vlqa_ask_options *out,
                   struct vlqa_experimental *more);

extern const char *const reuse_scores[], *const reuse_bases[], *const reuse_orders[];
extern const char *const reuse_keeps[];
extern const char *const reuse_geometries[], *const reuse_reorders[], *const reuse_parities[];

#define REUSE_TEXT_FORM "N, passage or passage:N with N from 1 to 1048576"

/* Rows of a table whose struct `type` has a struct reuse_args called `member`. */
#define REUSE_KEEP_ARGS(type, member)                                                            \
    {ARG_HEADING, .name = "Compression of the KV cache"},                                        \
        {ARG_FORM,                                                                               \
         .name = "kv-budget",                                                                    \
         .value = "N|R",                                                                         \
         .read = reuse_read_budget,                                                              \
         .form = REUSE_BUDGET_FORM,                                                              \
         .offset = offsetof(type, member.keep.budget),                                           \
         .help = "tokens that a layer keeps in the KV cache while the answer is generated, or "  \
                 "their share of the prompt's [all]"},                                           \
        {ARG_CHOICE,                                                                             \
         .name = "kv-keep",                                                                      \
         .value = "HOW",                                                                         \
         .fallback = "snapkv",                                                                   \
         .choice = reuse_keeps,                                                                  \
         .offset = offsetof(type, member.keep.by),                                               \
         .help = "which tokens are kept; infokv needs --reuse off"},                             \
        {ARG_INT,                                                                                \
         .name = "kv-window",                                                                    \
         .value = "N",                                                                           \
         .min = 1,                                                                               \
         .max = 512,                                                                             \
         .fallback = "16",                                                                       \
         .offset = offsetof(type, member.keep.window),                                           \
         .help = "last tokens whose attention decides, and which are kept"},                     \
        {ARG_INT,                                                                                \
         .name = "kv-step",                                                                      \
         .value = "N",                                                                           \
         .min = 1,                                                                               \
         .max = 1 << 20,                                                                         \
         .fallback = "64",                                                                       \
         .offset = offsetof(type, member.keep.step),                                             \
         .help = "compress again when N tokens more than the budget are there; no less than "    \
                 "--kv-window"},                                                                 \
        {ARG_INT,                                                                                \
         .name = "kv-block",                                                                     \
         .value = "N",                                                                           \
         .min = 0,                                                                               \
         .max = 512,                                                                             \
         .fallback = "0",                                                                        \
         .offset = offsetof(type, member.keep.block),                                            \
         .help = "compress a long prompt after every N tokens while it is read; 0: at its end "  \
                 "alone (needs --reuse off)"},                                                   \
        {ARG_REAL,                                                                               \
         .name = "kv-entropy",                                                                   \
         .value = "S",                                                                           \
         .min = 0,                                                                               \
         .max = 1,                                                                               \
         .fallback = "0.5",                                                                      \
         .offset = offsetof(type, member.keep.entropy),                                          \
         .help = "infokv: share of entropy x change in a token's score; the rest is attention"}, \
        {ARG_FLAG, .name = "kv-shared", .offset = offsetof(type, member.keep.shared),            \
         .help = "heads of a layer share their budget"},                                         \
    {                                                                                            \
        ARG_FLAG, .name = "kv-worst", .offset = offsetof(type, member.keep.worst),               \
                  .help = "drop the tokens of the highest score: how much they mattered"         \
    }

#define REUSE_CHUNK_ARGS(type, member) \
    REUSE_CHUNKING_ARG(type, member), REUSE_LAYOUT_ARGS(type, member)

#define REUSE_CHUNKING_ARG(type, member)                                                         \
    {                                                                                            \
        ARG_FORM, .name = "chunk", .value = "HOW", .fallback = "auto", .read = reuse_read_chunk, \
                  .words = "image grid:2 grid:4 strips:4",                                       \
                  .form = "auto, image, grid:K or strips:K with K from 1 to 256",                \
                  .offset = offsetof(type, member.chunk),                                        \
                  .help = "chunking of images: image (auto means that today), grid:K (K x K "    \
                          "cells) or strips:K"                                                   \
    }

#define REUSE_LAYOUT_ARGS(type, member)                                                          \
    {ARG_FORM,                                                                                   \
     .name = "halo",                                                                             \
     .value = "N",                                                                               \
     .fallback = "auto",                                                                         \
     .read = reuse_read_halo,                                                                    \
     .form = REUSE_HALO_FORM,                                                                    \
     .offset = offsetof(type, member.halo),                                                      \
     .help = "compute a chunk in sight of the tokens before it, up to N grid cells or text "     \
             "tokens away; auto: 4, and 9 in 20 of the shorter side of larger images"},          \
        {ARG_FORM,                                                                               \
         .name = "chunk-text",                                                                   \
         .value = "HOW",                                                                         \
         .fallback = "256",                                                                      \
         .read = reuse_read_text,                                                                \
         .form = REUSE_TEXT_FORM,                                                                \
         .offset = offsetof(type, member.text),                                                  \
         .help = "chunking of texts: N tokens at most, or passage[:N]: at blank lines and "      \
                 "headings \"Passage \", and after N tokens"},                                   \
    {                                                                                            \
        ARG_CHOICE, .name = "order", .value = "ORDER", .fallback = "raster",                     \
                    .choice = reuse_orders, .offset = offsetof(type, member.order),              \
                    .help = "order in which the tokens of a chunked image see each other: line " \
                            "by line (raster) or chunk by chunk, as in published code"           \
    }

#define REUSE_ARGS(type, member) \
    REUSE_ARGS_WITH(type, member, "score", REUSE_CHUNKING_ARG(type, member))
/* The same with another entry for --chunk; former_name is the old name of --token-score. */
#define REUSE_ARGS_WITH(type, member, former_name, ...)                                            \
    {ARG_HEADING, .name = "Reuse of chunks"},                                                      \
        {ARG_CHOICE,                                                                               \
         .name = "reuse",                                                                          \
         .value = "VARIANT",                                                                       \
         .fallback = "auto",                                                                       \
         .choice = reuse_names,                                                                    \
         .offset = offsetof(type, member.variant),                                                 \
         .help = "which tokens of chunks are recomputed; auto: the first document is exact, and "  \
                 "tokens of later ones are recomputed until the answer is stable; off: full "      \
                 "prefill without chunks"},                                                        \
        {ARG_REAL,                                                                                 \
         .name = "recompute-ratio",                                                                \
         .value = "R",                                                                             \
         .min = 0,                                                                                 \
         .max = 1,                                                                                 \
         .fallback = "0.15",                                                                       \
         .offset = offsetof(type, member.ratio),                                                   \
         .help = "share of the tokens that are recomputed"},                                       \
        {ARG_CHOICE,                                                                               \
         .name = "budget-base",                                                                    \
         .value = "BASE",                                                                          \
         .fallback = "candidates",                                                                 \
         .choice = reuse_bases,                                                                    \
         .offset = offsetof(type, member.base),                                                    \
         .help = "what the ratio is a share of: tokens that miss context, tokens of the context, " \
                 "or all tokens"},                                                                 \
        {ARG_REAL,                                                                                 \
         .name = "adaptive",                                                                       \
         .value = "KL",                                                                            \
         .min = 0,                                                                                 \
         .max = 100,                                                                               \
         .fallback = "0",                                                                          \
         .offset = offsetof(type, member.adaptive),                                                \
         .help = "double the ratio until the first token's distribution moves by less than KL "    \
                 "nats; 0 is off"},                                                                \
        {ARG_REAL,                                                                                 \
         .name = "quality",                                                                        \
         .value = "Q",                                                                             \
         .min = 0,                                                                                 \
         .max = 1,                                                                                 \
         .fallback = "0",                                                                          \
         .offset = offsetof(type, member.quality.asked),                                           \
         .help = "with auto: recompute as much as keeps the share Q of answers equal to full "     \
                 "prefill's, as calibrated; 1 is exact, 0 promises nothing"},                      \
        {ARG_REAL,                                                                                 \
         .name = "taper",                                                                          \
         .value = "T",                                                                             \
         .min = 0,                                                                                 \
         .max = 1,                                                                                 \
         .fallback = "0",                                                                          \
         .offset = offsetof(type, member.taper),                                                   \
         .help = "recompute more tokens in early layers and fewer in late ones: 1 goes from "      \
                 "twice the ratio to none"},                                                       \
        __VA_ARGS__, REUSE_LAYOUT_ARGS(type, member),                                              \
        {ARG_CHOICE,                                                                               \
         .name = "geometry",                                                                       \
         .value = "NAME",                                                                          \
         .fallback = "global",                                                                     \
         .choice = reuse_geometries,                                                               \
         .offset = offsetof(type, member.geometry),                                                \
         .help =                                                                                   \
             "positions of keys during the attention probe: chunks in place (global), behind the " \
             "prefix (hl) or before the question (tl), the question near (hp) or in place (tp)"},  \
        {ARG_CHOICE,                                                                               \
         .name = "reorder",                                                                        \
         .value = "HOW",                                                                           \
         .fallback = "off",                                                                        \
         .choice = reuse_reorders,                                                                 \
         .offset = offsetof(type, member.reorder),                                                 \
         .help = "density: place the images and texts with most tokens of the first selection "    \
                 "round last, next to the question"},                                              \
        {ARG_CHOICE,                                                                               \
         .name = "parity",                                                                         \
         .value = "NAME",                                                                          \
         .fallback = "off",                                                                        \
         .choice = reuse_parities,                                                                 \
         .offset = offsetof(type, member.parity),                                                  \
         .help = "reproduce the released code of InfoFlow KV with its defects (needs --reuse "     \
                 "infoflow)"},                                                                     \
                                                                                                   \
        {ARG_CHOICE,                                                                               \
         .name = "token-score",                                                                    \
         .old = former_name,                                                                       \
         .value = "SCORE",                                                                         \
         .fallback = "max",                                                                        \
         .choice = reuse_scores,                                                                   \
         .offset = offsetof(type, member.score),                                                   \
         .help = "how attention becomes the score of a token; eq7 is mass"},                       \
        {ARG_FORM,                                                                                 \
         .name = "probe-layers",                                                                   \
         .old = "score-layers",                                                                    \
         .value = "LIST",                                                                          \
         .fallback = "all",                                                                        \
         .read = reuse_read_layers,                                                                \
         .form = "all, calibrated or a list of layers and ranges from 0 to 127, such as 3,5-7",    \
         .offset = offsetof(type, member.layers),                                                  \
         .help = "layers of the attention probe: all, a list such as 3,5-7, or calibrated: those " \
                 "that vlqa study --calibrate stored"},                                            \
        {ARG_INT,                                                                                  \
         .name = "closing",                                                                        \
         .old = "dilate",                                                                          \
         .value = "N",                                                                             \
         .min = 0,                                                                                 \
         .max = 8,                                                                                 \
         .fallback = "0",                                                                          \
         .offset = offsetof(type, member.closing),                                                 \
         .help = "select gaps of up to 2 N cells between selected tokens of an image, too; the "   \
                 "number of tokens stays"},                                                        \
        {ARG_FORM,                                                                                 \
         .name = "check-layers",                                                                   \
         .value = "LIST",                                                                          \
         .read = reuse_read_list,                                                                  \
         .form = "a list of layers and ranges from 0 to 127, as 1-3",                              \
         .offset = offsetof(type, member.check),                                                   \
         .help = "layers in which cacheblend and kvshare measure deviation; several need --taper " \
                 "[1]"},                                                                           \
        {ARG_FORM,                                                                                 \
         .name = "refresh",                                                                        \
         .value = "K:N",                                                                           \
         .fallback = "1:4",                                                                        \
         .read = reuse_read_refresh,                                                               \
         .form = "K:N with K from 1 and N from 0 to 1048576",                                      \
         .offset = offsetof(type, member.refresh),                                                 \
         .help = "kvshare recomputes N more tokens after every K tokens of the answer"},           \
    {                                                                                              \
        ARG_FORM, .name = "query-tokens", .old = "score-query", .value = "TOKENS",                 \
                  .fallback = "auto", .read = reuse_read_query,                                    \
                  .form = "auto, suffix, question, last or draft:N with N from 1 to 1024",         \
                  .offset = offsetof(type, member.query),                                          \
                  .help = "tokens whose attention is probed: suffix, question, last (auto for "    \
                          "infoflow), or draft:N: the last one and N drafted tokens"               \
    }

#endif
