/* read_dataset.h - what tests of data sets share: files in a scratch directory, and rows as text.
 */
#ifndef TESTS_EVAL_READ_DATASET_H
#define TESTS_EVAL_READ_DATASET_H

#include "eval/data/dataset.h"
#include "tests/check.h"

#include <unistd.h>

static struct env env;
static char scratch[] = "/tmp/vlqa-dataset-XXXXXX";

static const char *put(const char *name, const char *data, size_t bytes)
{
    static char path[256];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0) abort();
    return path;
}

static const char *put_text(const char *name, const char *text)
{
    return put(name, text, strlen(text));
}

/* Opens and reads all; the rows as "id:question:images|answers;" or the message. */
static const char *read_all(const char *path, const struct dataset_options *options)
{
    static char out[4096];
    struct dataset *d;
    const struct dataset_item *item = NULL;
    vlqa_status status = dataset_open(&env, path, options, &d);
    size_t used = 0;
    out[0] = 0;
    for (; status == VLQA_OK; used += (size_t)snprintf(out + used, sizeof out - used, ";")) {
        status = dataset_next(&env, d, &item);
        if (status != VLQA_OK || !item) break;
        used += (size_t)snprintf(out + used, sizeof out - used, "%s:%s:", item->id, item->question);
        for (int i = 0; i < item->n_images; i++)
            used += (size_t)snprintf(out + used, sizeof out - used, "%s%.*s", i ? "," : "",
                                     item->image[i].path ? 200 : (int)item->image[i].bytes,
                                     item->image[i].path ? item->image[i].path
                                                         : (const char *)item->image[i].data);
        for (int i = 0; i < item->n_answers; i++)
            used += (size_t)snprintf(out + used, sizeof out - used, "|%.*s",
                                     (int)item->answer[i].bytes, item->answer[i].at);
    }
    dataset_close(d);
    if (status != VLQA_OK) {
        CHECK_EQ(status, VLQA_EUSAGE);
        snprintf(out, sizeof out, "%s", env.message);
    }
    return out;
}

/* 66 bytes in base64: 88 characters, no reference. */
#define LONG_IMAGE \
    "YWJjZGVmZ2hpamtsbW5vcGFiY2RlZmdoaWprbG1ub3BhYmNkZWZnaGlqa2xtbm9wYWJjZGVmZ2hpamtsbW5vcFhZ"
#define LONG_TEXT "abcdefghijklmnopabcdefghijklmnopabcdefghijklmnopabcdefghijklmnopXY"

static int run_in_scratch(int argc, char **argv)
{
    char command[64];
    int code;
    if (!mkdtemp(scratch)) return 1;
    code = check_main(argc, argv);
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command) != 0 || code;
}

#endif
