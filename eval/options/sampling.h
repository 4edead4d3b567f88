/* sampling.h - how long an answer gets, how its tokens are drawn and where it ends: one set of
 * options for the verbs that write answers. */
#ifndef EVAL_SAMPLING_H
#define EVAL_SAMPLING_H

#include "eval/cli/cli.h"

struct sampling_args {
    int max_tokens, top_k, show_thinking;
    double temp, top_p, min_p, repetition_penalty, presence_penalty;
    uint64_t seed;
    struct arg_items stop, bias; /* bias: ID=VALUE */
};

#define SAMPLING_MAX_STOPS 64

struct sampling_lists { /* what the options of a question point to */
    const char *stop[SAMPLING_MAX_STOPS];
    int32_t bias_token[ARGS_MAX_ITEMS];
    float bias[ARGS_MAX_ITEMS];
};

/* Into the options of a question; lists lives as long as these are used. An exit code. */
int sampling_options(struct cli *cli, const struct sampling_args *args,
                     struct sampling_lists *lists, struct vlqa_ask_options *out);
/* Notes options that have no effect without --temp; a seed is also that of --reuse random. */
void sampling_note_unused(struct cli *cli, const struct sampling_args *args, int is_seed_used);
/* "eos", "length", "session_full", "interrupted" or "text" */
const char *sampling_stop_name(enum vlqa_stop stop);
/* Tells on standard error of an answer that was cut, or of thoughts without one. */
void sampling_note_stop(struct cli *cli, const struct vlqa_answer *answer);

/* Rows of a table whose struct `type` has a struct sampling_args called `member`. */
#define SAMPLING_FIELD(type, member, field) .offset = offsetof(type, member.field)
#define SAMPLING_ARGS(type, member)                                                               \
    {ARG_HEADING, .name = "Answer"},                                                              \
        {ARG_INT,                                                                                 \
         .name = "max-tokens",                                                                    \
         .letter = 'n',                                                                           \
         .value = "N",                                                                            \
         .min = 1,                                                                                \
         .max = 1000000,                                                                          \
         .fallback = "128",                                                                       \
         SAMPLING_FIELD(type, member, max_tokens),                                                \
         .help = "longest answer"},                                                               \
        {ARG_ITEM, .name = "stop", .value = "TEXT", SAMPLING_FIELD(type, member, stop),           \
         .help = "end the answer before this text; repeatable"},                                  \
        {ARG_FLAG, .name = "show-thinking", SAMPLING_FIELD(type, member, show_thinking),          \
         .help = "print thoughts, too; what a Thinking model writes before its answer"},          \
        {ARG_REAL,                                                                                \
         .name = "temp",                                                                          \
         .value = "T",                                                                            \
         .min = 0,                                                                                \
         .max = 100,                                                                              \
         .fallback = "0",                                                                         \
         SAMPLING_FIELD(type, member, temp),                                                      \
         .help = "temperature; 0 takes the likeliest token"},                                     \
        {ARG_INT,                                                                                 \
         .name = "top-k",                                                                         \
         .value = "K",                                                                            \
         .min = 0,                                                                                \
         .max = 10000000,                                                                         \
         .fallback = "0",                                                                         \
         SAMPLING_FIELD(type, member, top_k),                                                     \
         .help = "sample from the K likeliest tokens; 0 is off"},                                 \
        {ARG_REAL,                                                                                \
         .name = "top-p",                                                                         \
         .value = "P",                                                                            \
         .min = 1e-6,                                                                             \
         .max = 1,                                                                                \
         .fallback = "1",                                                                         \
         SAMPLING_FIELD(type, member, top_p),                                                     \
         .help = "sample from the likeliest tokens that make up P; 1 is off"},                    \
        {ARG_REAL,                                                                                \
         .name = "min-p",                                                                         \
         .value = "P",                                                                            \
         .min = 0,                                                                                \
         .max = 1,                                                                                \
         .fallback = "0",                                                                         \
         SAMPLING_FIELD(type, member, min_p),                                                     \
         .help = "drop tokens far below the likeliest; 0 is off"},                                \
        {ARG_REAL,                                                                                \
         .name = "repetition-penalty",                                                            \
         .value = "R",                                                                            \
         .min = 0.01,                                                                             \
         .max = 100,                                                                              \
         .fallback = "1",                                                                         \
         SAMPLING_FIELD(type, member, repetition_penalty),                                        \
         .help = "for tokens of prompt and answer; 1 is off"},                                    \
        {ARG_REAL,                                                                                \
         .name = "presence-penalty",                                                              \
         .value = "R",                                                                            \
         .min = -100,                                                                             \
         .max = 100,                                                                              \
         .fallback = "0",                                                                         \
         SAMPLING_FIELD(type, member, presence_penalty),                                          \
         .help = "for tokens of the answer; 0 is off"},                                           \
        {ARG_ITEM, .name = "logit-bias", .value = "ID=VALUE", SAMPLING_FIELD(type, member, bias), \
         .help = "add VALUE to the logit of token ID, -inf forbids it; repeatable"},              \
    {                                                                                             \
        ARG_SEED, .name = "seed", .letter = 's', .value = "N", .fallback = "0",                   \
                  SAMPLING_FIELD(type, member, seed),                                             \
                  .help = "seed of sampling: equal seeds give equal answers"                      \
    }

#endif
