/* ask.h - the verb ask: what one question and a question a line share. */
#ifndef EVAL_ASK_H
#define EVAL_ASK_H

#include "eval/options/cache_flags.h"
#include "eval/options/document.h"
#include "eval/options/reuse_flags.h"
#include "eval/options/sampling.h"
#include "eval/options/stream.h"

struct ask_args {
    struct cli_args common;
    struct document_args document;
    const char *question, *jsonl, *logits, *explain;
    int stream, max_seq_len, explain_cache, no_evidence;
    struct sampling_args sampling;
    struct reuse_args reuse;
    struct cache_args cache;
};

struct ask {
    struct cli cli;
    struct ask_args args;
    struct document document;
    struct sampling_lists lists;
    struct vlqa_ask_options options; /* as they were given */
    struct vlqa_experimental more;   /* what they may point to */
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    double load_ms;
    struct stream out;
};

/* The members of an answer. */
void ask_report(struct report *r, const struct ask *a, const struct vlqa_answer *answer);

/* Asks what the lines of args.jsonl say, in an open session: an exit code. */
int ask_jsonl(struct ask *a);
/* What can be known before: an exit code. */
int ask_jsonl_check(struct ask *a);

#endif
