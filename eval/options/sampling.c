/* sampling.c - the options of an answer, and words for how it ended. */
#include "eval/options/sampling.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

static int fail_bias(struct cli *cli, const char *text)
{
    (void)env_fail(&cli->env, VLQA_EUSAGE,
                   "--logit-bias is %s, expected ID=VALUE: the number of a token, and a number or "
                   "-inf",
                   text);
    return cli_fail(cli, VLQA_EUSAGE, cli->env.message);
}

static int read_bias(struct cli *cli, const char *text, int32_t *token, float *bias)
{
    const char *equals;
    char *end;
    double value;
    int id;
    if (!args_number(text, 0, INT_MAX, &equals, &id) || *equals != '=') return fail_bias(cli, text);
    value = strtod(equals + 1, &end);
    if (end == equals + 1 || *end || !(value < INFINITY)) return fail_bias(cli, text);
    *token = id;
    *bias = (float)value;
    return CLI_OK;
}

int sampling_options(struct cli *cli, const struct sampling_args *args,
                     struct sampling_lists *lists, struct vlqa_ask_options *out)
{
    int code = CLI_OK;
    if (args->stop.n > SAMPLING_MAX_STOPS)
        return cli_fail(cli, VLQA_EUSAGE, "--stop is given more than 64 times");
    for (int i = 0; i < args->stop.n; i++)
        lists->stop[i] = args->stop.item[i].value;
    for (int i = 0; i < args->bias.n && code == CLI_OK; i++)
        code = read_bias(cli, args->bias.item[i].value, &lists->bias_token[i], &lists->bias[i]);
    out->max_tokens = args->max_tokens;
    out->temperature = (float)args->temp;
    out->top_k = args->top_k;
    out->top_p = (float)args->top_p;
    out->min_p = (float)args->min_p;
    out->repetition_penalty = (float)args->repetition_penalty;
    out->presence_penalty = (float)args->presence_penalty;
    out->seed = args->seed;
    out->stop_text = lists->stop;
    out->n_stop_text = args->stop.n;
    out->bias_token = lists->bias_token;
    out->bias = lists->bias;
    out->n_bias = args->bias.n;
    return code;
}

void sampling_note_unused(struct cli *cli, const struct sampling_args *args, int is_seed_used)
{
    static const char *const names[] = {"seed", "top-k", "top-p", "min-p", NULL};
    if (args->temp > 0) return;
    cli_note_unused(cli, names + (is_seed_used != 0), "without --temp above 0");
}

const char *sampling_stop_name(enum vlqa_stop stop)
{
    switch (stop) {
    case VLQA_STOP_EOS:
        return "eos";
    case VLQA_STOP_LENGTH:
        return "length";
    case VLQA_STOP_SESSION_FULL:
        return "session_full";
    case VLQA_STOP_TEXT:
        return "text";
    case VLQA_STOP_CALLER:
        break;
    }
    return "interrupted";
}

void sampling_note_stop(struct cli *cli, const struct vlqa_answer *answer)
{
    const char *what = answer->thinking_is_open ? "the thoughts were" : "the answer was";
    if (cli->args->quiet) return;
    if (answer->stop == VLQA_STOP_LENGTH)
        cli_note(cli, "%s cut at %d tokens (--max-tokens)", what, answer->n_tokens);
    if (answer->stop == VLQA_STOP_SESSION_FULL)
        cli_note(cli, "%s cut because the session is full (--max-seq-len)", what);
    if (answer->thinking_is_open)
        cli_note(cli, "the model did not end its thoughts, so there is no answer "
                      "(--show-thinking prints them)");
}
