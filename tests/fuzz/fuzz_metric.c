/* fuzz_metric.c - any bytes as texts of every metric, as a cell of answers, and as a row of JSON
 * that is scored and written again. */
#include "base/heap.h"
#include "eval/data/pylist.h"
#include "eval/run/row.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct env env;

static void check_grade(const struct metric_grade *grade, enum metric metric)
{
    assert(grade->score >= 0 && grade->score <= 1);
    assert(grade->score_lmms >= 0 && grade->score_lmms <= 1);
    if (metric == METRIC_MCQ) assert(grade->letter >= 'A' && grade->letter <= 'Z');
}

/* Texts between bytes 0xFE: the prediction, then answers that are options, too. */
static void fuzz_texts(const char *at, size_t bytes)
{
    struct text text[8] = {{at, 0}};
    struct metric_option option[7];
    struct metric_row row = {.target = text + 1, .option = option, .answer = 'B'};
    void *memory = heap_alloc(metric_scratch(bytes));
    int n = 1;
    text[0].at = at;
    for (size_t i = 0; i < bytes; i++)
        if (at[i] == (char)0xFE && n < 8)
            text[n++] = (struct text){at + i + 1, 0};
        else
            text[n - 1].bytes++;
    for (int i = 1; i < n; i++)
        option[i - 1] = (struct metric_option){(char)('A' + (i * 5) % 26), text[i]};
    row.prediction = text[0];
    row.n_targets = row.n_options = n - 1;
    for (int m = 0; m < 2 * N_METRICS; m++) {
        struct arena arena = arena_over(memory, metric_scratch(bytes));
        struct metric_grade grade;
        row.is_formula = m >= N_METRICS;
        assert(metric_score(&env, (enum metric)(m % N_METRICS), &row, &arena, &grade) == VLQA_OK);
        assert(arena.used == 0);
        check_grade(&grade, (enum metric)(m % N_METRICS));
    }
    heap_free(memory);
}

static void fuzz_cell(const char *at, size_t bytes)
{
    size_t cap = 16 * bytes + 512;
    void *memory = heap_alloc(cap);
    struct arena arena = arena_over(memory, cap);
    struct text *item;
    int n;
    if (!pylist_read((struct text){at, bytes}, &arena, &item, &n)) assert(arena.used == 0);
    heap_free(memory);
}

/* What is written is the row with its score: read again it has the same one. */
static double score_row(const char *line, size_t bytes, int metric, char **out, size_t *out_bytes)
{
    void *memory = heap_alloc(row_scratch(bytes));
    struct arena arena = arena_over(memory, row_scratch(bytes));
    struct metric_grade grade = {.score = -1};
    struct row row;
    FILE *to;
    *out = NULL;
    if (row_parse(&env, "row", line, bytes, &row) == VLQA_OK &&
        row_metric(&env, "row", &row, metric, &metric) == VLQA_OK &&
        row_read(&env, "row", (enum metric)metric, &arena, &row) == VLQA_OK &&
        metric_score(&env, (enum metric)metric, &row.metric, &arena, &grade) == VLQA_OK) {
        check_grade(&grade, (enum metric)metric);
        to = open_memstream(out, out_bytes);
        row_write(to, line, bytes, (enum metric)metric, &grade);
        fclose(to);
    } else {
        assert(env.message[0]);
    }
    row_free(&row);
    heap_free(memory);
    return grade.score;
}

static void fuzz_row(const char *line, size_t bytes)
{
    for (int m = 0; m < N_METRICS; m++) {
        char *out, *again;
        size_t out_bytes, again_bytes;
        double score = score_row(line, bytes, m, &out, &out_bytes), same;
        if (!out) continue;
        same = score_row(out, out_bytes, m, &again, &again_bytes);
        assert(again && same <= score && same >= score);
        assert(again_bytes == out_bytes && memcmp(again, out, out_bytes) == 0);
        free(again);
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    uint64_t live = heap_live();
    const char *text = (const char *)data;
    if (bytes > 1 << 14) return 0;
    fuzz_texts(text, bytes);
    fuzz_cell(text, bytes);
    if (bytes && data[0] == '{') fuzz_row(text, bytes);
    assert(heap_live() == live);
    return 0;
}
