/* dataset_list.c - items to JSON lines. */
#include "eval/data/dataset_list.h"

#include "base/heap.h"
#include "eval/cli/report.h"
#include "eval/data/id_set.h"
#include "eval/data/prompt_form.h"

void dataset_report_images(struct report *r, const struct dataset_item *item)
{
    int inside = 0;
    for (int i = 0; i < item->n_images; i++)
        inside += !item->image[i].path;
    if (inside < item->n_images) report_open_list(r, "image");
    for (int i = 0; i < item->n_images; i++)
        if (item->image[i].path) report_string(r, NULL, item->image[i].path);
    if (inside < item->n_images) report_close(r);
    if (inside) report_open_list(r, "image_bytes");
    for (int i = 0; i < item->n_images; i++)
        if (!item->image[i].path) report_int(r, NULL, (int64_t)item->image[i].bytes);
    if (inside) report_close(r);
}

static void report_optional(struct report *r, const char *name, const char *text)
{
    if (text) report_string(r, name, text);
}

void dataset_report(struct report *r, const struct dataset_item *item)
{
    char letter[2] = {item->letter, 0};
    if (item->n_options) {
        report_open(r, "options");
        for (int i = 0; i < item->n_options; i++) {
            char name[2] = {item->option[i].letter, 0};
            report_text(r, name, item->option[i].text.at, item->option[i].text.bytes);
        }
        report_close(r);
    }
    if (item->letter) report_string(r, "answer", letter);
    if (!item->letter && item->n_answers) {
        report_open_list(r, "answers");
        for (int i = 0; i < item->n_answers; i++)
            report_text(r, NULL, item->answer[i].at, item->answer[i].bytes);
        report_close(r);
    }
    report_optional(r, "category", item->category);
    report_optional(r, "split", item->split);
    report_optional(r, "cycle_category", item->cycle);
    report_optional(r, "dataset", item->dataset);
    report_optional(r, "group", item->group);
}

static void report_texts(struct report *r, const struct prompt_form *form,
                         const struct dataset_item *item)
{
    const char *before = prompt_form_before(form, item);
    if (!item->n_texts) return;
    report_open_list(r, "texts");
    if (before) report_string(r, NULL, before);
    for (int i = 0; i < item->n_texts; i++)
        report_string(r, NULL, item->text[i]);
    report_close(r);
}

static vlqa_status list_item(struct env *env, struct prompt_form *form,
                             const struct dataset_item *item)
{
    struct report r;
    const char *prompt;
    char *line;
    TRY(prompt_form_make(env, form, item, &prompt));
    r = report_begin();
    report_string(&r, "id", item->id);
    report_string(&r, "metric", metric_names[item->metric]);
    dataset_report_images(&r, item);
    report_texts(&r, form, item);
    report_string(&r, "prompt", prompt);
    dataset_report(&r, item);
    line = report_end(&r);
    if (!line) return env_no_memory(env, "row", 0);
    puts(line);
    heap_free(line);
    return VLQA_OK;
}

static vlqa_status list_items(struct env *env, struct dataset *d, struct prompt_form *form,
                              int limit)
{
    const struct dataset_item *item;
    struct id_set ids = {.n = 0};
    vlqa_status status = VLQA_OK;
    for (int i = 0; status == VLQA_OK && (!limit || i < limit); i++) {
        status = dataset_next(env, d, &item);
        if (status != VLQA_OK || !item || ferror(stdout)) break; /* cli_flush says why */
        if (cli_interrupted()) status = VLQA_ECANCELLED;
        if (status == VLQA_OK) status = id_set_add(env, &ids, item);
        if (status == VLQA_OK) status = list_item(env, form, item);
    }
    id_set_free(&ids);
    return status;
}

int dataset_list(struct cli *cli, const char *path, const struct dataset_options *options,
                 const char *prompt, int limit)
{
    struct prompt_form *form = NULL;
    struct dataset *d = NULL;
    vlqa_status status = dataset_open(&cli->env, path, options, &d);
    int code;
    if (status == VLQA_OK && !prompt) prompt = prompt_form_default(dataset_format(d));
    if (status == VLQA_OK) status = prompt_form_open(&cli->env, prompt, &form);
    if (status == VLQA_OK) status = list_items(&cli->env, d, form, limit);
    code = cli_flush();
    if (status == VLQA_OK && dataset_blind_rows(d) && !cli->args->quiet)
        cli_note(cli, "%lld rows have no image; %s", (long long)dataset_blind_rows(d),
                 options->keep_blind ? "listed without one"
                                     : "left out (--without-image ask lists them)");
    if (status != VLQA_OK) code = cli_fail(cli, status, cli->env.message);
    dataset_close(d);
    prompt_form_close(form);
    return code;
}
