/* reuse_flags.h - the options that say how stored chunks are used, for every verb that asks. */
#ifndef EVAL_REUSE_FLAGS_H
#define EVAL_REUSE_FLAGS_H

#include "eval/cli/args.h"
#include "include/vlqa_experimental.h"

#define REUSE_MAX_LAYERS 128

enum reuse_strategy { /* an index of reuse_names */
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
    int strategy, score, base; /* strategy: an enum reuse_strategy */
    double ratio, adaptive, taper;
    struct reuse_chunk {
        enum vlqa_chunker kind;
        int k;
    } chunk;
    struct reuse_text {
        enum vlqa_text_chunker kind;
        int rows;
    } text;
    struct reuse_query {
        enum vlqa_score_query rows;
        int draft;
    } query;
    struct reuse_layers {
        uint64_t set[2]; /* as in vlqa_experimental */
        int calibrated;  /* those that are kept for the model; calibration_apply finds them */
    } layers, check;     /* none: all; none: layer 1 */
    struct reuse_refresh {
        int every, rows;
    } refresh;
    int dilate, order, halo, geometry, reorder, parity;
};

/* "off", "auto", "full", ...; ends with NULL. */
extern const char *const reuse_names[];
/* What these options do, in one word: the method, or the parity. */
const char *reuse_strategy(const struct reuse_args *args);

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

/* Whether a session needs memory for experimental methods. */
int reuse_is_experimental(const struct reuse_args *args);
/* Sets what these options say; `more` must live as long as out, and is left out where nothing is
 * experimental. */
void reuse_options(const struct reuse_args *args, struct vlqa_ask_options *out,
                   struct vlqa_experimental *more);

extern const char *const reuse_scores[], *const reuse_bases[], *const reuse_orders[];
extern const char *const reuse_geometries[], *const reuse_reorders[], *const reuse_parities[];

#define REUSE_TEXT_FORM "N, passage or passage:N with N from 1 to 1048576"

/* Rows of a table whose struct `type` has a struct reuse_args called `member`. */
#define REUSE_CHUNK_ARGS(type, member) REUSE_CUT_ARG(type, member), REUSE_LAYOUT_ARGS(type, member)

#define REUSE_CUT_ARG(type, member)                                                            \
    {                                                                                          \
        ARG_FORM,                                                                              \
            .name = "chunk", .value = "HOW", .fallback = "auto", .read = reuse_read_chunk,     \
            .form = "auto, image, grid:K or strips:K with K from 1 to 256",                    \
            .offset = offsetof(type, member.chunk),                                            \
            .help = "how images are cut: image (auto is that, for now), grid:K (K x K cells) " \
                    "or strips:K"                                                              \
    }

#define REUSE_LAYOUT_ARGS(type, member)                                                          \
    {ARG_INT,                                                                                    \
     .name = "halo",                                                                             \
     .value = "N",                                                                               \
     .min = 0,                                                                                   \
     .max = 4096,                                                                                \
     .fallback = "4",                                                                            \
     .offset = offsetof(type, member.halo),                                                      \
     .help = "make chunks in sight of what is before them, up to N cells or rows away"},         \
        {ARG_FORM,                                                                               \
         .name = "chunk-text",                                                                   \
         .value = "HOW",                                                                         \
         .fallback = "256",                                                                      \
         .read = reuse_read_text,                                                                \
         .form = REUSE_TEXT_FORM,                                                                \
         .offset = offsetof(type, member.text),                                                  \
         .help = "texts are cut after N rows, or passage[:N]: at blank lines and headings "      \
                 "\"Passage \", and after N rows"},                                              \
    {                                                                                            \
        ARG_CHOICE, .name = "order", .value = "ORDER", .fallback = "raster",                     \
                    .choice = reuse_orders, .offset = offsetof(type, member.order),              \
                    .help = "rows of a cut image see each other line by line (raster) or chunk " \
                            "by chunk, as published code has it"                                 \
    }

#define REUSE_ARGS(type, member) REUSE_ARGS_WITH(type, member, "score", REUSE_CUT_ARG(type, member))
/* The same with another row for --chunk. */
#define REUSE_ARGS_WITH(type, member, score_name, ...)                                        \
    {ARG_HEADING, .name = "Reuse of chunks"},                                                 \
        {ARG_CHOICE,                                                                          \
         .name = "reuse",                                                                     \
         .value = "METHOD",                                                                   \
         .fallback = "auto",                                                                  \
         .choice = reuse_names,                                                               \
         .offset = offsetof(type, member.strategy),                                           \
         .help = "which rows of stored chunks are computed again; auto: exact what stands "   \
                 "first, more and more behind it until the answer stands; off: no chunks, "   \
                 "exact"},                                                                    \
        {ARG_REAL,                                                                            \
         .name = "recompute-ratio",                                                           \
         .value = "R",                                                                        \
         .min = 0,                                                                            \
         .max = 1,                                                                            \
         .fallback = "0.15",                                                                  \
         .offset = offsetof(type, member.ratio),                                              \
         .help = "share of the rows that are computed again"},                                \
        {ARG_CHOICE,                                                                          \
         .name = "budget-base",                                                               \
         .value = "ROWS",                                                                     \
         .fallback = "candidates",                                                            \
         .choice = reuse_bases,                                                               \
         .offset = offsetof(type, member.base),                                               \
         .help = "share of which rows: those that miss context, of the context, or all"},     \
        {ARG_REAL,                                                                            \
         .name = "adaptive",                                                                  \
         .value = "KL",                                                                       \
         .min = 0,                                                                            \
         .max = 100,                                                                          \
         .fallback = "0",                                                                     \
         .offset = offsetof(type, member.adaptive),                                           \
         .help = "double the share until the first token moves by less; 0 is off"},           \
        {ARG_REAL,                                                                            \
         .name = "taper",                                                                     \
         .value = "T",                                                                        \
         .min = 0,                                                                            \
         .max = 1,                                                                            \
         .fallback = "0",                                                                     \
         .offset = offsetof(type, member.taper),                                              \
         .help = "repair more rows in early layers and fewer in late ones: 1 goes from "      \
                 "twice the share to none"},                                                  \
        __VA_ARGS__, REUSE_LAYOUT_ARGS(type, member),                                         \
        {ARG_CHOICE,                                                                          \
         .name = "geometry",                                                                  \
         .value = "NAME",                                                                     \
         .fallback = "global",                                                                \
         .choice = reuse_geometries,                                                          \
         .offset = offsetof(type, member.geometry),                                           \
         .help = "where keys stand while they are scored: chunks in place (global), behind "  \
                 "the prefix (hl) or before the question (tl), the question near (hp) or in " \
                 "place (tp)"},                                                               \
        {ARG_CHOICE,                                                                          \
         .name = "reorder",                                                                   \
         .value = "HOW",                                                                      \
         .fallback = "off",                                                                   \
         .choice = reuse_reorders,                                                            \
         .offset = offsetof(type, member.reorder),                                            \
         .help = "put images and texts that a first look finds most in last (density)"},      \
        {ARG_CHOICE,                                                                          \
         .name = "parity",                                                                    \
         .value = "NAME",                                                                     \
         .fallback = "off",                                                                   \
         .choice = reuse_parities,                                                            \
         .offset = offsetof(type, member.parity),                                             \
         .help = "do as released code of InfoFlow KV does, defects included (--reuse "        \
                 "infoflow)"},                                                                \
                                                                                              \
        {ARG_CHOICE,                                                                          \
         .name = score_name,                                                                  \
         .value = "SCORE",                                                                    \
         .fallback = "max",                                                                   \
         .choice = reuse_scores,                                                              \
         .offset = offsetof(type, member.score),                                              \
         .help = "what a row's attention counts for; eq7 is mass"},                           \
        {ARG_FORM,                                                                            \
         .name = "score-layers",                                                              \
         .value = "LIST",                                                                     \
         .fallback = "all",                                                                   \
         .read = reuse_read_layers,                                                           \
         .form = "all, calibrated or a list of layers and ranges from 0 to 127, as 3,5-7",    \
         .offset = offsetof(type, member.layers),                                             \
         .help = "layers whose attention counts: all, a list as 3,5-7, or calibrated: those " \
                 "that vlqa study --calibrate kept"},                                         \
        {ARG_INT,                                                                             \
         .name = "dilate",                                                                    \
         .value = "N",                                                                        \
         .min = 0,                                                                            \
         .max = 8,                                                                            \
         .fallback = "0",                                                                     \
         .offset = offsetof(type, member.dilate),                                             \
         .help = "close gaps of up to 2 N cells between chosen rows of an image; their "      \
                 "number stays"},                                                             \
        {ARG_FORM,                                                                            \
         .name = "check-layers",                                                              \
         .value = "LIST",                                                                     \
         .read = reuse_read_list,                                                             \
         .form = "a list of layers and ranges from 0 to 127, as 1-3",                         \
         .offset = offsetof(type, member.check),                                              \
         .help = "layers in which cacheblend and kvshare measure; more than one with "        \
                 "--taper [1]"},                                                              \
        {ARG_FORM,                                                                            \
         .name = "refresh",                                                                   \
         .value = "K:N",                                                                      \
         .fallback = "1:4",                                                                   \
         .read = reuse_read_refresh,                                                          \
         .form = "K:N with K from 1 and N from 0 to 1048576",                                 \
         .offset = offsetof(type, member.refresh),                                            \
         .help = "kvshare repairs N more rows after every K tokens of the answer"},           \
    {                                                                                         \
        ARG_FORM, .name = "score-query", .value = "ROWS", .fallback = "auto",                 \
                  .read = reuse_read_query,                                                   \
                  .form = "auto, suffix, question, last or draft:N with N from 1 to 1024",    \
                  .offset = offsetof(type, member.query),                                     \
                  .help = "rows whose attention counts: suffix, question, last "              \
                          "(auto for infoflow), or draft:N: last and N drafted tokens"        \
    }

#endif
