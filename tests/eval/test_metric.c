/* test_metric.c - scores against those of the references: rows by hand, and those of
 * ../shared/vectors, which the references themselves scored. */
#include "base/heap.h"
#include "eval/data/lines.h"
#include "eval/run/tally.h"
#include "tests/check.h"

#define VECTORS VLQA_SOURCE_DIR "/../shared/vectors/"

static struct env env;

/* ---- rows by hand ---- */

struct example {
    const char *prediction, *answer; /* as a cell of a data file */
    double score, lmms;
};

/* The row's arrays stay until the next one. */
static struct metric_grade grade_row(const char *line, size_t bytes, enum metric metric,
                                     struct row *row)
{
    static void *memory;
    struct metric_grade grade = {.score = -1};
    struct arena arena;
    vlqa_status status;
    heap_free(memory);
    memory = heap_alloc(row_scratch(bytes));
    arena = arena_over(memory, row_scratch(bytes));
    status = row_parse(&env, "row", line, bytes, row);
    if (status == VLQA_OK) status = row_read(&env, "row", metric, &arena, row);
    if (status == VLQA_OK) status = metric_score(&env, metric, &row->metric, &arena, &grade);
    if (status != VLQA_OK) CHECK_FAIL("%s", env.message);
    return grade;
}

static void check_examples(enum metric metric, const struct example *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct report r = report_begin();
        struct metric_grade grade;
        struct row row;
        char *line;
        report_string(&r, "prediction", e[i].prediction);
        report_string(&r, "answer", e[i].answer);
        if (metric == METRIC_MCQ) {
            report_open(&r, "options");
            report_string(&r, "A", "Red");
            report_string(&r, "B", "Dark green");
            report_close(&r);
        }
        line = report_end(&r);
        grade = grade_row(line, strlen(line), metric, &row);
        if (fabs(grade.score - e[i].score) > 1e-15 || fabs(grade.score_lmms - e[i].lmms) > 1e-15)
            CHECK_FAIL("%s: '%s' against '%s': %.17g, %.17g, expected %.17g, %.17g",
                       metric_names[metric], e[i].prediction, e[i].answer, grade.score,
                       grade.score_lmms, e[i].score, e[i].lmms);
        row_free(&row);
        heap_free(line);
    }
}

#define CHECK_EXAMPLES(metric, list) check_examples(metric, list, sizeof list / sizeof *list)

TEST(chartqa_is_relaxed_by_five_percent)
{
    static const struct example list[] = {
        {"14.7", "14", 1, 1},    {"1.05", "1", 0, 0},        {"105", "100", 1, 1}, /* as doubles */
        {"5%", "0.05", 1, 1},    {"5 %%", "5%", 1, 1},       {"5%", "5", 0, 0},
        {"0.0", "0", 0, 0},      {"0", "0", 1, 1},           {"inf", "inf", 0, 0},
        {"1,234", "1234", 0, 0}, {"yes", "Yes", 1, 1},       {"Yes.", "Yes", 0, 0},
        {" Yes ", "Yes", 1, 0},  {"15%\n", "15%", 1, 0}, /* lmms-eval does not strip */
        {"9.3", "[7, 9]", 1, 1}, {"[7, 9]", "[7, 9]", 0, 0}, {"2000", "2010", 1, 1}};
    CHECK_EXAMPLES(METRIC_CHARTQA, list);
}

TEST(anls_has_a_threshold_and_the_raw_length)
{
    static const struct example list[] = {
        {"12", "13", 0.5, 0.5},
        {"Hello  World", "hello\nworld", 1, 1},
        {"", "", 1, 1},
        {"", "a", 0, 0},
        {"abcd", "abce", 0.75, 0.75},
        {"abc", "xyz", 0, 0},
        {"abce    ", "abcd", 0.875, 0.875}, /* blanks too many help a wrong answer */
        {"\xc3\x9f"
         "x",
         "\xc3\x9f"
         "y",
         1 - 1.0 / 3, 1 - 1.0 / 3}, /* upper() has three */
        {"b", "['a', 'b']", 1, 1}};
    CHECK_EXAMPLES(METRIC_ANLS, list);
}

TEST(ocrbench_looks_inside)
{
    static const struct example list[] = {
        {"The sign says HOTEL.", "['hotel']", 1, 1},
        {"1240", "['24']", 1, 1},
        {"a\nb", "a b", 1, 1},
        {"a\tb", "a b", 0, 0},
        {"a  b", "a b", 0, 0},
        {"x", "", 1, 1},
        {"\xef\xbc\x91\xef\xbc\xa1", "1a", 0, 1}}; /* full width is folded by lmms-eval alone */
    CHECK_EXAMPLES(METRIC_OCRBENCH, list);
}

TEST(ocrbench_formulas_lose_spaces_and_keep_case)
{
    static const char yes[] = "{\"prediction\": \"x ^ 2\\n+ 1\", \"answers\": \"x^2+1\", "
                              "\"dataset\": \"HME100k\"}";
    static const char no[] = "{\"prediction\": \"X^2+1\", \"answers\": [\"x^2+1\"], "
                             "\"category\": \"Handwritten Mathematical Expression Recognition\"}";
    struct row row;
    CHECK(grade_row(yes, sizeof yes - 1, METRIC_OCRBENCH, &row).score > 0.5);
    row_free(&row);
    CHECK(grade_row(no, sizeof no - 1, METRIC_OCRBENCH, &row).score < 0.5);
    row_free(&row);
}

TEST(choices_follow_the_rules_of_can_infer)
{
    static const struct example list[] = {
        {"B", "B", 1, 1},
        {"The answer is (B).", "B", 1, 1},
        {"b", "B", 0, 0},
        {"A or B", "A", 0, 0},
        {"dark GREEN", "B", 1, 1},
        {"$B$", "B", 0, 0},
        {"B is what I choose", "B", 0, 1}, /* four words from the end, a rule of VLMEvalKit's */
        {"the answer is **B** as one sees in the picture", "B", 1, 1},
        {"the answer is bright as one sees in the picture", "B", 1, 0}, /* no word end */
        {"I'm sorry, but without the image provided. B", "B", 0, 0},
        {"Failed to obtain answer via API B", "B", 0, 0}};
    CHECK_EXAMPLES(METRIC_MCQ, list);
}

TEST(f1_counts_words_without_articles_and_marks)
{
    static const struct example list[] = {{"The cat, a dog!", "cat dog", 1, 1},
                                          {"cat", "cat dog", 2.0 / 3, 2.0 / 3},
                                          {"cat cat", "cat dog", 0.5, 0.5},
                                          {"", "", 0, 0},
                                          {"the", "the", 0, 0},
                                          {"bird", "cat", 0, 0},
                                          {"x", "['y', 'x z']", 2.0 / 3, 2.0 / 3}};
    CHECK_EXAMPLES(METRIC_F1, list);
}

TEST(exact_match_ignores_outer_blanks_and_case)
{
    static const struct example list[] = {
        {" Yes\n", "yes ", 1, 1}, {"Yes.", "yes", 0, 0}, {"b", "['a', 'b']", 1, 1}};
    CHECK_EXAMPLES(METRIC_EM, list);
}

TEST(an_answer_may_stand_behind_its_name)
{
    static const struct example list[] = {{"The axis ends there. Answer: 5,000", "5,000", 1, 1},
                                          {"Answer: 1\nAnswer: 2 ", "2", 1, 1},
                                          {"Answer: 1\nAnswer: 2", "1", 0, 0},
                                          {"5,000", "5,000", 1, 1},
                                          {"answer: 5", "5", 0, 0},
                                          {"Answer:", "", 1, 1},
                                          {"Answer", "answer", 1, 1}};
    CHECK_EXAMPLES(METRIC_EM_ANSWER, list);
    CHECK_EQ(metric_find("exact_after_Answer_prefix"), METRIC_EM_ANSWER);
}

TEST(long_texts_are_scored_or_refused)
{
    enum { N = 4 << 20 };
    char *line = heap_alloc(2 * N + 64), *at = line;
    struct row row;
    struct arena arena;
    struct metric_grade grade;
    void *memory;
    REQUIRE(line);
    at += sprintf(at, "{\"prediction\":\"");
    memset(at, 'x', N);
    at += N;
    at += sprintf(at, "\",\"answers\":[\"");
    for (int i = 0; i < N; i++)
        *at++ = i % 2 ? 'y' : 'z';
    at += sprintf(at, "\",\"x\"]}");
    memory = heap_alloc(row_scratch((size_t)(at - line)));
    arena = arena_over(memory, row_scratch((size_t)(at - line)));
    REQUIRE(row_parse(&env, "row", line, (size_t)(at - line), &row) == VLQA_OK);
    REQUIRE(row_read(&env, "row", METRIC_F1, &arena, &row) == VLQA_OK);
    CHECK_EQ(metric_score(&env, METRIC_ANLS, &row.metric, &arena, &grade), VLQA_ELIMIT);
    CHECK_HAS(env.message, "4194304 and 4194304 characters");
    arena = arena_over(memory, row_scratch((size_t)(at - line)));
    REQUIRE(row_read(&env, "row", METRIC_F1, &arena, &row) == VLQA_OK);
    for (int m = 0; m < N_METRICS; m++)
        if (m != METRIC_ANLS && m != METRIC_MCQ) {
            CHECK_EQ(metric_score(&env, (enum metric)m, &row.metric, &arena, &grade), VLQA_OK);
            CHECK_EQ(grade.score > 0.5, m == METRIC_OCRBENCH); /* x is in it */
        }
    row.metric.target++; /* too far apart in length to be looked at */
    row.metric.n_targets = 1;
    CHECK_EQ(metric_score(&env, METRIC_ANLS, &row.metric, &arena, &grade), VLQA_OK);
    CHECK(grade.score < 0.5);
    row_free(&row);
    heap_free(memory);
    heap_free(line);
}

/* ---- rows of the references ---- */

struct vector {
    char id[32];
    struct metric_grade grade;
    enum metric metric;
    char category[TALLY_NAME];
};

static struct vector *vectors;
static int n_vectors;

static double ref(const struct json *root, const char *name)
{
    return json_number(json_get(json_get(root, "refs"), name));
}

static void check_letter(const struct row *row, const char *id, const char *name,
                         const struct metric_choice_rules *rules, int z_for_none)
{
    const char *expected = json_text(json_get(json_get(json_root(row->doc), "refs"), name));
    size_t cap = 1 << 20;
    void *memory = heap_alloc(cap);
    struct arena arena = arena_over(memory, cap);
    char found[2] = {metric_choice(&row->metric, rules, &arena), 0};
    if (!found[0] && z_for_none) found[0] = 'Z';
    if (strcmp(found, expected ? expected : "") != 0)
        CHECK_FAIL("%s: %s gives '%s', expected '%s'", id, name, found, expected ? expected : "");
    heap_free(memory);
}

static void check_choice(const struct row *row, const char *id, const struct metric_grade *grade)
{
    static const struct metric_choice_rules before = {1, 1, 0};
    const char *extracted = json_text(json_get(json_root(row->doc), "extracted"));
    CHECK(extracted && extracted[0] == grade->letter);
    check_letter(row, id, "vlmevalkit_prefetch", &metric_choice_now, 0);
    check_letter(row, id, "vlmevalkit_exact_matching", &metric_choice_now, 1);
    check_letter(row, id, "vlmevalkit_before_2026_06_17", &before, 1);
    check_letter(row, id, "lmms_eval_hrbench", &metric_choice_lmms, 0);
}

/* The list of a cell is the one that VLMEvalKit made of it. */
static void check_cell(const char *id, const char *line, size_t bytes)
{
    size_t cap = row_scratch(bytes);
    void *memory = heap_alloc(cap);
    struct arena arena = arena_over(memory, cap);
    char *renamed = heap_alloc(bytes + 1), *targets;
    const struct json *expected;
    struct row row, by_cell;
    memcpy(renamed, line, bytes);
    renamed[bytes] = 0;
    targets = strstr(renamed, "\"targets\"");
    if (targets) targets[1] = 'T';
    if (targets && row_parse(&env, id, line, bytes, &row) == VLQA_OK) {
        CHECK(row_parse(&env, id, renamed, bytes, &by_cell) == VLQA_OK);
        CHECK(row_read(&env, id, METRIC_CHARTQA, &arena, &by_cell) == VLQA_OK);
        expected = json_first(json_get(json_root(row.doc), "targets"));
        for (int i = 0; i < by_cell.metric.n_targets; i++, expected = json_next(expected)) {
            struct text found = by_cell.metric.target[i], wanted = text_of(json_text(expected));
            if (found.bytes != wanted.bytes || memcmp(found.at, wanted.at, found.bytes) != 0)
                CHECK_FAIL("%s: a target is %.*s, expected %s", id, (int)found.bytes, found.at,
                           wanted.at);
        }
        CHECK(!expected);
        row_free(&by_cell);
        row_free(&row);
    }
    heap_free(renamed);
    heap_free(memory);
}

static void check_vector(enum metric metric, const char *line, size_t bytes)
{
    struct row row;
    struct metric_grade grade = grade_row(line, bytes, metric, &row);
    const struct json *root = json_root(row.doc);
    const char *id = json_text(json_get(root, "id"));
    double expected = json_number(json_get(root, "expected"));
    double lmms = metric == METRIC_MCQ ? grade.score_lmms : ref(root, "lmms_eval");
    struct vector *v = &vectors[n_vectors++];
    if (grade.score < expected || grade.score > expected || grade.score_lmms < lmms ||
        grade.score_lmms > lmms)
        CHECK_FAIL("%s: %.17g and %.17g, expected %.17g and %.17g", id, grade.score,
                   grade.score_lmms, expected, lmms);
    if (metric == METRIC_MCQ) check_choice(&row, id, &grade);
    check_cell(id, line, bytes);
    *v = (struct vector){.grade = grade, .metric = metric};
    snprintf(v->id, sizeof v->id, "%s", id);
    snprintf(v->category, sizeof v->category, "%s", row.category ? row.category : "");
    row_free(&row);
}

static int each_line(const char *file, void (*look)(enum metric, const char *, size_t),
                     enum metric metric)
{
    struct lines lines;
    const char *line = NULL;
    size_t bytes;
    int n = 0;
    if (lines_open(&env, file, &lines) != VLQA_OK) return -1;
    while (lines_next_full(&env, &lines, &line, &bytes) == VLQA_OK && line) {
        look(metric, line, bytes);
        n++;
    }
    lines_close(&lines);
    return n;
}

TEST(every_row_of_the_references_has_their_score)
{
    int n = each_line(VECTORS "chartqa_relaxed.jsonl", check_vector, METRIC_CHARTQA);
    if (n < 0) SKIP("no ../shared/vectors");
    CHECK_EQ(n, 153);
    CHECK_EQ(each_line(VECTORS "anls.jsonl", check_vector, METRIC_ANLS), 83);
    CHECK_EQ(each_line(VECTORS "ocrbench.jsonl", check_vector, METRIC_OCRBENCH), 107);
    CHECK_EQ(each_line(VECTORS "mcq_extract.jsonl", check_vector, METRIC_MCQ), 106);
}

static void add_item(struct tally *tally, const struct json *item)
{
    const char *id = json_text(json_get(item, "ref"));
    double cycle = json_number(json_get(item, "cycle_category"));
    struct row row = {.split = json_text(json_get(item, "split")),
                      .category = json_text(json_get(item, "category"))};
    if (!isnan(cycle)) snprintf(row.cycle, sizeof row.cycle, "%.0f", cycle);
    for (int i = 0; i < n_vectors; i++)
        if (strcmp(vectors[i].id, id) == 0) {
            tally->metric = vectors[i].metric;
            if (!row.category && tally->metric != METRIC_MCQ) row.category = vectors[i].category;
            CHECK(tally_add(&env, tally, &row, &vectors[i].grade) == VLQA_OK);
            return;
        }
    CHECK_FAIL("no row %s", id);
}

/* Every number of expected is in found. Returns how many. */
static int check_numbers(const char *id, const struct json *expected, const struct json *found)
{
    int n = 0;
    for (const struct json *m = json_first(expected); m; m = json_next(m)) {
        const struct json *other = json_get(found, json_name(m));
        if (json_kind(m) == JSON_OBJECT) {
            n += check_numbers(id, m, other);
        } else {
            n++;
            if (!(fabs(json_number(other) - json_number(m)) <= 1e-9))
                CHECK_FAIL("%s: %s is %.17g, expected %.17g", id, json_name(m), json_number(other),
                           json_number(m));
        }
    }
    return n;
}

static int n_numbers;

static void check_aggregate(enum metric metric, const char *line, size_t bytes)
{
    static const char *const who[] = {"vlmevalkit", "lmms_eval"};
    struct tally *tally = heap_alloc_zero(sizeof *tally);
    struct report r = report_begin();
    struct json_doc *doc = NULL, *found = NULL;
    const struct json *expected, *mean;
    char *text;
    (void)metric;
    REQUIRE(json_parse(&env, "aggregate", line, bytes, bytes, &doc) == VLQA_OK);
    for (const struct json *i = json_first(json_get(json_root(doc), "items")); i; i = json_next(i))
        add_item(tally, i);
    tally_report(tally, &r);
    text = report_end(&r);
    REQUIRE(json_parse(&env, "report", text, strlen(text), 1 << 20, &found) == VLQA_OK);
    expected = json_get(json_root(doc), "expected");
    for (int i = 0; i < 2; i++)
        n_numbers += check_numbers(json_text(json_get(json_root(doc), "id")),
                                   json_get(expected, who[i]), json_get(json_root(found), who[i]));
    mean = json_get(expected, "mean_of_splits");
    if (mean) {
        double ours = json_number(json_get(json_root(found), "mean_of_splits"));
        CHECK(fabs(json_number(mean) - ours) <= 1e-9);
    }
    json_free(found);
    json_free(doc);
    heap_free(text);
    heap_free(tally);
}

TEST(every_data_set_of_the_references_has_their_numbers)
{
    int n;
    if (!n_vectors) SKIP("no ../shared/vectors");
    n = each_line(VECTORS "aggregate.jsonl", check_aggregate, METRIC_CHARTQA);
    CHECK_EQ(n, 12);
    CHECK_EQ(n_numbers, 3 * 6 + 3 + 2 * 7 + 2 + 2 * 15);
}

int main(int argc, char **argv)
{
    int code;
    vectors = heap_alloc(1000 * sizeof *vectors);
    code = check_main(argc, argv);
    heap_free(vectors);
    return code;
}
