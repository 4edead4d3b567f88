/* fuzz_dataset.c - any bytes as a data set of each layout that is one file; every row is read and
 * its prompts are made. */
#include "base/heap.h"
#include "eval/data/dataset.h"
#include "eval/data/prompt_form.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct env env;

static void read_rows(const char *path, const char *format, struct prompt_form *form)
{
    struct dataset_options options = {.format = format, .images = "images"};
    const struct dataset_item *item;
    struct dataset *d;
    env.message[0] = 0;
    if (dataset_open(&env, path, &options, &d) != VLQA_OK) {
        assert(env.message[0]);
        return;
    }
    while (dataset_next(&env, d, &item) == VLQA_OK && item) {
        const char *prompt;
        size_t sum = strlen(item->id) + strlen(item->question);
        for (int i = 0; i < item->n_images; i++)
            for (size_t k = 0; k < item->image[i].bytes; k++)
                sum += item->image[i].data[k];
        for (int i = 0; i < item->n_answers; i++)
            sum +=
                item->answer[i].bytes ? (uint8_t)item->answer[i].at[item->answer[i].bytes - 1] : 0;
        if (prompt_form_make(&env, form, item, &prompt) == VLQA_OK) sum += strlen(prompt);
        assert(sum > 0 || !item->question[0]);
    }
    dataset_close(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static char path[] = "/tmp/fuzz_dataset.XXXXXX";
    static int fd = -1;
    static const char *const styles[] = {"vlmevalkit", "lmms-eval", "qwen", "infoflow", "plain"};
    struct prompt_form *form = NULL;
    uint64_t live = heap_live();
    vlqa_status status;
    if (fd < 0) fd = mkstemp(path);
    if (bytes < 1) return 0;
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data + 1, bytes - 1, 0) != (ssize_t)bytes - 1) abort();
    status = prompt_form_open(&env, styles[data[0] / 8 % 5], &form);
    assert(status == VLQA_OK);
    read_rows(path, dataset_formats[1 + data[0] % 8 % 5], form);
    prompt_form_close(form);
    assert(heap_live() == live);
    return 0;
}
