/* runner.h - a run at work, between the file that asks and the file that grades and keeps. */
#ifndef EVAL_RUNNER_H
#define EVAL_RUNNER_H

#include "eval/data/prompt_form.h"
#include "eval/run/feed.h"

struct runner {
    struct run run; /* first: what run_new gives is both */
    int64_t rows;   /* of the data set, where some are chosen at random */
    int texts_only; /* questions that have neither an image nor a text */
    struct key digest;
    char path[CACHE_PATH], times_path[CACHE_PATH];
    struct prompt_form *form;
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    struct run_file file, times;
    struct progress bar;
    struct row_room room;
    FILE *submission;
    struct feed *feed;
    double start_ms;
    int64_t done;      /* rows that are graded, old ones too */
    int asked;         /* of them, since start_ms */
    double score;      /* their sum */
    int told, told_of; /* questions that failed, of which standard error was told; the last + 1 */

    /* the question at hand */
    const struct feed_question *at; /* NULL before any is asked */
    const struct dataset_item *item;
    const char *prompt;
    int question; /* its number */
    char prompt_digest[65];
    char error[sizeof((struct env *)0)->message]; /* why there is no answer, or "" */

    struct {           /* what full prefill said to it */
        int question;  /* + 1; of another one: not yet asked */
        float *logits; /* [steps, n] of the first token; with --kl answer of each and the end */
        size_t cap;    /* bytes of them */
        int n, steps;
        int32_t *token; /* [n_tokens] with --kl answer */
        size_t token_cap;
        int n_tokens;
        int no_memory;
    } full;
    struct stats_divergence kl; /* of the answer that is kept, to it; NaN: none */
};

/* What the question at hand is graded by. */
enum metric runner_metric(const struct runner *r);
/* The answer to the question at hand as a line: what is the same whenever it is asked. variant
 * NULL: only what grading needs; grade NULL: not yet graded. heap_free; NULL: no memory. */
char *runner_line(const struct runner *r, const struct run_variant *variant,
                  const struct vlqa_answer *answer, const struct metric_grade *grade);
/* Parses a line and grades it; row_free in any case. */
vlqa_status runner_grade(struct runner *r, const char *name, const char *line, size_t bytes,
                         struct row *row, struct metric_grade *out);

/* Counts the answer of a variant to the question at hand if the file has it: *found. */
vlqa_status runner_take(struct runner *r, int variant, int *found);
/* Counts the times of the rows that the file has; those of others are cut off. */
vlqa_status runner_take_times(struct runner *r);
/* The session is told to remember what full prefill says, or to follow it, for --kl answer. */
void runner_note_dense(struct runner *r, struct vlqa_ask_options *out);
void runner_follow_dense(struct runner *r, struct vlqa_ask_options *out);
int runner_can_follow(const struct runner *r); /* full prefill said something to this question */
/* Remembers what full prefill says, or that it says nothing (no logits), for the divergence of the
 * other variants from it. */
vlqa_status runner_see_full_prefill(struct runner *r, const struct vlqa_answer *answer);
/* Of the first token alone, where nothing was followed. */
void runner_compare_first(struct runner *r, int variant, const struct vlqa_answer *answer);
/* Grades, keeps and counts an answer; with r->error that there is none, and answer is empty. */
vlqa_status runner_keep(struct runner *r, int variant, const struct vlqa_answer *answer);
void runner_show(struct runner *r); /* how far it is */

#endif
