/* test_args.c - tables of options: parsing, ranges, environment, suggestions, help. */
#include "eval/cli/help.h"
#include "tests/check.h"

static const char *const colours[] = {"red", "green", "blue", NULL};

struct fields {
    int flag, whole, colour;
    int64_t large;
    uint64_t seed;
    double real, width;
    const char *text, *label, *where;
    struct arg_size size;
    struct arg_items items;
    struct span {
        int first, last;
    } span;
};

/* "3:5" */
static int read_span(const char *text, void *field)
{
    struct span *out = field;
    const char *end;
    return args_number(text, 0, 50, &end, &out->first) && *end == ':' &&
           args_number(end + 1, out->first, 50, &end, &out->last) && !*end;
}

#define FIELD(member) .offset = offsetof(struct fields, member)

static const struct arg table[] = {
    {ARG_HEADING, .name = "Things"},
    {ARG_FLAG, .name = "flag", .letter = 'f', FIELD(flag), .help = "a flag"},
    {ARG_INT, .name = "whole", .also = "int", .letter = 'n', .value = "N", .min = -3, .max = 9,
     .fallback = "7", FIELD(whole), .help = "a number"},
    {ARG_INT64, .name = "large", .value = "N", .min = 0, .max = 1e12, FIELD(large), .help = "more"},
    {ARG_SEED, .name = "seed", .value = "N", FIELD(seed), .help = "a seed"},
    {ARG_REAL, .name = "real", .value = "X", .min = 0, .max = 1.5, FIELD(real), .help = "real"},
    {ARG_TEXT, .name = "text", .letter = 't', .value = "TEXT", FIELD(text), .help = "text"},
    {ARG_CHOICE, .name = "colour", .value = "C", .choice = colours, .fallback = "green",
     FIELD(colour),
     .help = "a long sentence that cannot stand on one line of eighty columns, so it is wrapped"},
    {ARG_SIZE, .name = "size", .value = "WIDTHxHEIGHT", .min = 0, .max = 100, FIELD(size),
     .help = "a size"},
    {ARG_FORM, .name = "span", .value = "A:B", .read = read_span, .form = "A:B up to 50",
     .fallback = "1:2", FIELD(span), .help = "a span"},
    {ARG_ITEM, .name = "image", .value = "FILE", FIELD(items), .help = "an item"},
    {ARG_TEXT, .name = "label", .old = "text", .value = "TEXT", FIELD(label), .help = "a label"},
    {ARG_REAL, .name = "width", .old = "breadth", .value = "X", .min = 0, .max = 9, FIELD(width),
     .help = "a width"},
    {ARG_ITEM, .name = "note-file", .value = "FILE", FIELD(items), .help = "another"},
    {ARG_POSITIONAL, .name = "where", .value = "DIR", FIELD(where), .help = "a place"},
};

static const struct verb verb = {
    .name = "test",
    .summary = "test",
    .synopsis = "Usage: vlqa test\n",
    .notes = "Notes.\n",
    .arg = table,
    .n_args = sizeof table / sizeof *table,
};

static struct fields fields;
static struct env env;

static vlqa_status parse(const char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    memset(&fields, 0, sizeof fields);
    env.message[0] = 0;
    return args_parse(&env, &verb, n, (char **)(uintptr_t)words, &fields);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})
#define REFUSED(part, ...)                         \
    do {                                           \
        CHECK_EQ(PARSE(__VA_ARGS__), VLQA_EUSAGE); \
        CHECK_HAS(env.message, part);              \
    } while (0)

TEST(every_kind_is_stored)
{
    REQUIRE(PARSE("--flag", "--whole", "-3", "--large", "1000000000000", "--seed",
                  "18446744073709551615", "--real", "1.5", "--text", "hello", "--colour", "blue",
                  "--size", "3x100", "/dir") == VLQA_OK);
    CHECK_EQ(fields.flag, 1);
    CHECK_EQ(fields.whole, -3);
    CHECK_EQ(fields.large, 1000000000000);
    CHECK(fields.seed == UINT64_MAX);
    CHECK(fields.real == 1.5);
    CHECK_STR(fields.text, "hello");
    CHECK_EQ(fields.colour, 2);
    CHECK_EQ(fields.size.width, 3);
    CHECK_EQ(fields.size.height, 100);
    CHECK_STR(fields.where, "/dir");
}

static const struct arg items_table[] = {
    {ARG_FLAG, .name = "flag", .letter = 'f', FIELD(flag), .help = "a flag"},
    {ARG_TEXT, .name = "text", .letter = 't', .value = "TEXT", FIELD(text), .help = "text"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", FIELD(label), .help = "a model"},
    {ARG_ITEM, .name = "image", .value = "FILE", FIELD(items), .help = "an item"},
    {ARG_ITEM, .name = "note-file", .value = "FILE", FIELD(items), .help = "another"},
};

static const struct verb items_verb = {
    .name = "items",
    .summary = "items",
    .synopsis = "",
    .notes = "",
    .arg = items_table,
    .n_args = sizeof items_table / sizeof *items_table,
};

static vlqa_status parse_items(const char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    memset(&fields, 0, sizeof fields);
    env.message[0] = 0;
    return args_parse(&env, &items_verb, n, (char **)(uintptr_t)words, &fields);
}
#define PARSE_ITEMS(...) parse_items((const char *const[]){__VA_ARGS__, NULL})
#define REFUSED_ITEMS(part, ...)                         \
    do {                                                 \
        CHECK_EQ(PARSE_ITEMS(__VA_ARGS__), VLQA_EUSAGE); \
        CHECK_HAS(env.message, part);                    \
    } while (0)

static void check_item(int i, const char *name, const char *value)
{
    if (i >= fields.items.n) {
        CHECK_FAIL("item %d of %d", i, fields.items.n);
        return;
    }
    CHECK_STR(fields.items.item[i].name, name);
    CHECK_STR(fields.items.item[i].value, value);
}

TEST(further_values_of_an_item_are_not_refused)
{
    REQUIRE(PARSE_ITEMS("--image", "a", "b", "-", "-f", "--note-file=c", "d", "--image", "e", "-t",
                        "q") == VLQA_OK);
    CHECK_EQ(fields.items.n, 6);
    check_item(0, "image", "a");
    check_item(1, "image", "b");
    check_item(2, "image", "-");
    check_item(3, "note-file", "c");
    check_item(4, "note-file", "d");
    check_item(5, "image", "e");
    CHECK_STR(fields.text, "q");
    REFUSED_ITEMS("unexpected argument c", "--image", "a", "b", "-f", "c");
    REFUSED_ITEMS("unexpected argument b", "--image", "a", "--", "b");
    REFUSED_ITEMS("unknown option -x", "--image", "a", "-x");
    REQUIRE(PARSE("--image", "a", "/dir") == VLQA_OK); /* where there is a positional */
    CHECK_EQ(fields.items.n, 1);
    CHECK_STR(fields.where, "/dir");
}

TEST(an_unexpected_argument_says_what_to_type)
{
    REFUSED_ITEMS("an image is given as --image sub.dir/A Chart.PNG", "sub.dir/A Chart.PNG");
    REFUSED_ITEMS("a text is given as --text", "-f", "notes.txt");
    REFUSED_ITEMS("vlqa eval rows.jsonl", "rows.jsonl");
    REFUSED_ITEMS("curl -L -o c.webp 'https://e.org/c.webp?size=2'", "https://e.org/c.webp?size=2");
    REFUSED_ITEMS("give --image picture.png", "http://e.org");
    REFUSED_ITEMS("hf download Org/Model-2B --local-dir Model-2B\" and give -m Model-2B",
                  "Org/Model-2B");
    REFUSED_ITEMS("hf download Org/M --local-dir M\"", "https://huggingface.co/Org/M/tree/main");
    REFUSED_ITEMS("models in one such file are not read", "some/dir/model.Q4.gguf");
    REFUSED_ITEMS("unexpected argument is; a text of several words needs quotes", "-t", "What",
                  "is", "it");
    CHECK_EQ(PARSE_ITEMS("word"), VLQA_EUSAGE);
    CHECK_STR(env.message, "unexpected argument word");
}

TEST(forms_are_read_by_their_own_function)
{
    REQUIRE(PARSE("--span", "7:50") == VLQA_OK);
    CHECK_EQ(fields.span.first, 7);
    CHECK_EQ(fields.span.last, 50);
    REQUIRE(PARSE("/dir") == VLQA_OK);
    CHECK_EQ(fields.span.last, 2);
    REFUSED("--span is 7:51, expected A:B up to 50", "--span", "7:51");
    REFUSED("--span is 9, expected A:B", "--span=9");
    REFUSED("--span is 99999999999999999999:1, expected", "--span", "99999999999999999999:1");
}

TEST(the_cache_home_is_absolute_or_none)
{
    static const struct {
        const char *xdg, *home, *expected;
    } homes[] = {{"/x", "/h", "/x"}, {"", "/h", "/h/.cache"}, {"x", "/h", "/h/.cache"},
                 {NULL, "h", NULL},  {NULL, "", NULL},        {NULL, NULL, NULL},
                 {"/x", NULL, "/x"}};
    char path[16];
    for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
        int found;
        unsetenv("XDG_CACHE_HOME");
        unsetenv("HOME");
        if (homes[i].xdg) setenv("XDG_CACHE_HOME", homes[i].xdg, 1);
        if (homes[i].home) setenv("HOME", homes[i].home, 1);
        found = args_cache_home(path, sizeof path);
        CHECK_EQ(found, homes[i].expected != NULL);
        if (found && homes[i].expected) CHECK_STR(path, homes[i].expected);
    }
    setenv("HOME", "/a/home/that/is/too/long", 1);
    unsetenv("XDG_CACHE_HOME");
    CHECK_EQ(args_cache_home(path, sizeof path), 0);
}

TEST(absent_options_have_their_defaults)
{
    REQUIRE(parse((const char *const[]){NULL}) == VLQA_OK);
    CHECK_EQ(fields.whole, 7);
    CHECK_EQ(fields.colour, 1);
    CHECK_EQ(fields.flag, 0);
    CHECK(!fields.text);
}

TEST(all_spellings_mean_the_same)
{
    static const char *const spellings[][3] = {{"--whole", "5", NULL}, {"--whole=5", NULL, NULL},
                                               {"--int", "5", NULL},   {"--int=5", NULL, NULL},
                                               {"-n", "5", NULL},      {"-n5", NULL, NULL}};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        CHECK_EQ(parse(spellings[i]), VLQA_OK);
        CHECK_EQ(fields.whole, 5);
    }
}

TEST(items_keep_the_order_of_the_command_line)
{
    REQUIRE(PARSE("--note-file", "a", "--image", "b", "-f", "--image=-c") == VLQA_OK);
    REQUIRE(fields.items.n == 3);
    CHECK_STR(fields.items.item[0].name, "note-file");
    CHECK_STR(fields.items.item[0].value, "a");
    CHECK_STR(fields.items.item[1].name, "image");
    CHECK_STR(fields.items.item[1].value, "b");
    CHECK_STR(fields.items.item[2].value, "-c");
}

TEST(too_many_items_are_refused)
{
    static const char *words[ARGS_MAX_ITEMS + 2];
    for (int i = 0; i < ARGS_MAX_ITEMS + 1; i++)
        words[i] = "--image=x";
    CHECK_EQ(parse(words), VLQA_EUSAGE);
    CHECK_HAS(env.message, "at most 1024");
    words[ARGS_MAX_ITEMS] = NULL;
    CHECK_EQ(parse(words), VLQA_OK);
    CHECK_EQ(fields.items.n, ARGS_MAX_ITEMS);
}

TEST(two_dashes_end_the_options)
{
    REQUIRE(PARSE("-f", "--", "--whole") == VLQA_OK);
    CHECK_STR(fields.where, "--whole");
    REQUIRE(PARSE("-") == VLQA_OK);
    CHECK_STR(fields.where, "-");
}

TEST(numbers_outside_are_refused_with_their_range)
{
    REFUSED("--whole is -4, expected a whole number from -3 to 9", "--whole", "-4");
    REFUSED("--whole is 10, expected", "-n", "10");
    REFUSED("--whole is 99999999999999999999, expected", "-n", "99999999999999999999");
    REFUSED("--large is 1000000000001, expected a whole number from 0 to 1000000000000", "--large",
            "1000000000001");
    REFUSED("--seed is -1, expected a whole number from 0 to 2^64 - 1", "--seed", "-1");
    REFUSED("--seed is 18446744073709551616", "--seed", "18446744073709551616");
    REFUSED("--real is nan, expected a number from 0 to 1.5", "--real", "nan");
    REFUSED("--real is inf", "--real", "inf");
    REFUSED("--real is -0.1", "--real", "-0.1");
    REFUSED("--size is 3x101, expected WIDTHxHEIGHT, each from 0 to 100", "--size", "3x101");
}

TEST(what_is_no_number_is_refused)
{
    static const char *const bad[] = {"", " 5", "5 ", "5a", "0x5", "1e0", "--", "+5", "five"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char word[32];
        snprintf(word, sizeof word, "--whole=%s", bad[i]);
        REFUSED("expected a whole number", word);
        snprintf(word, sizeof word, "--seed=%s", bad[i]);
        REFUSED("expected a whole number", word);
    }
    REFUSED("expected a number", "--real=1.0x");
    REFUSED("expected a number", "--real=");
    REFUSED("expected a number", "--real= 1");
    REFUSED("expected WIDTHxHEIGHT", "--size=3");
    REFUSED("expected WIDTHxHEIGHT", "--size=3x");
    REFUSED("expected WIDTHxHEIGHT", "--size=x3");
    REFUSED("expected WIDTHxHEIGHT", "--size=3x3x3");
    REFUSED("expected WIDTHxHEIGHT", "--size=00000000000000000000001x3");
}

TEST(unknown_choices_are_refused_with_the_known_ones)
{
    REFUSED("--colour is pink, expected red, green or blue", "--colour", "pink");
}

TEST(options_given_twice_are_refused)
{
    REFUSED("--whole is given twice", "-n", "5", "--int=5");
    REFUSED("--flag is given twice", "-f", "-f");
    REFUSED("--where is given twice", "a", "b");
    REFUSED("--where is given twice", "a", "--where", "b");
}

TEST(missing_values_are_refused)
{
    REFUSED("--text needs a value: --text=TEXT", "--text");
    REFUSED("--text needs a value", "--text", "--flag");
    REFUSED("--text needs a value", "-t", "-f");
    REFUSED("--text needs a value", "-t", "--whole=5");
    REFUSED("--flag takes no value", "--flag=1");
    REFUSED("--flag takes no value", "-fn");
}

TEST(values_may_begin_with_a_dash)
{
    REQUIRE(PARSE("--text=--flag") == VLQA_OK);
    CHECK_STR(fields.text, "--flag");
    CHECK_EQ(fields.flag, 0);
    REQUIRE(PARSE("--text", "-five") == VLQA_OK);
    CHECK_STR(fields.text, "-five");
    REQUIRE(PARSE("--text", "-") == VLQA_OK);
    CHECK_STR(fields.text, "-");
    REQUIRE(PARSE("--text=") == VLQA_OK);
    CHECK_STR(fields.text, "");
}

TEST(unknown_options_suggest_the_nearest)
{
    REFUSED("unknown option --imgae; did you mean --image?", "--imgae", "x");
    REFUSED("unknown option --colur; did you mean --colour?", "--colur=red");
    REFUSED("unknown option --bananas", "--bananas");
    CHECK(!strstr(env.message, "did you mean"));
    REFUSED("unknown option -x", "-x");
    REFUSED("unknown option --\xff?[31m", "--\xff\x1b[31m"); /* cannot drive a terminal */
    REFUSED("unknown option --Things", "--Things");          /* headings are no options */
}

TEST(stray_arguments_are_refused_where_none_is_taken)
{
    struct verb plain = verb;
    char *words[] = {(char[]){"stray"}};
    plain.n_args--;
    CHECK_EQ(args_parse(&env, &plain, 1, words, &fields), VLQA_EUSAGE);
    CHECK_STR(env.message, "unexpected argument stray");
}

TEST(the_environment_gives_defaults)
{
    setenv("VLQA_WHOLE", "3", 1);
    setenv("VLQA_FLAG", "1", 1);
    setenv("VLQA_NOTE_FILE", "n", 1);
    setenv("VLQA_TEXT", "", 1); /* empty: as if it were not there */
    CHECK_EQ(PARSE("--image=a"), VLQA_OK);
    CHECK_EQ(fields.whole, 3);
    CHECK_EQ(fields.flag, 1);
    CHECK_EQ(fields.items.n, 2);
    CHECK(!fields.text);
    CHECK_EQ(PARSE("-n", "5"), VLQA_OK); /* the command line is stronger */
    CHECK_EQ(fields.whole, 5);
    setenv("VLQA_FLAG", "0", 1);
    CHECK_EQ(PARSE("-n", "5"), VLQA_OK);
    CHECK_EQ(fields.flag, 0);
    setenv("VLQA_FLAG", "yes", 1);
    REFUSED("VLQA_FLAG is yes, expected 0 or 1", "-n", "5");
    unsetenv("VLQA_FLAG");
    setenv("VLQA_WHOLE", "1000", 1);
    REFUSED("VLQA_WHOLE is 1000, expected a whole number from -3 to 9", "-f");
    unsetenv("VLQA_WHOLE");
    unsetenv("VLQA_NOTE_FILE");
    unsetenv("VLQA_TEXT");
}

static char noted[512];

static void keep_note(void *user, enum vlqa_log_level level, const char *line)
{
    (void)user;
    CHECK_EQ(level, VLQA_LOG_WARN);
    snprintf(noted, sizeof noted, "%s", line);
}

TEST(a_former_name_is_accepted_with_a_note)
{
    env.log = keep_note;
    noted[0] = 0;
    CHECK_EQ(PARSE("--width=2", "--label=x"), VLQA_OK);
    CHECK_STR(noted, "");
    CHECK_EQ(PARSE("--breadth", "3"), VLQA_OK);
    CHECK_EQ((int)fields.width, 3);
    CHECK_STR(noted, "--breadth is now called --width; the next version will not accept the old "
                     "name");
    REFUSED("--width is 10, expected a number from 0 to 9", "--breadth=10");
    REFUSED("--width is given twice", "--breadth=1", "--width=2");
    noted[0] = 0;
    setenv("VLQA_BREADTH", "4", 1);
    CHECK_EQ(PARSE("-f"), VLQA_OK);
    CHECK_EQ((int)fields.width, 4);
    CHECK_HAS(noted, "--breadth is now called --width");
    setenv("VLQA_WIDTH", "5", 1); /* the present name is stronger */
    noted[0] = 0;
    CHECK_EQ(PARSE("-f"), VLQA_OK);
    CHECK_EQ((int)fields.width, 5);
    CHECK_STR(noted, "");
    unsetenv("VLQA_BREADTH");
    unsetenv("VLQA_WIDTH");
    env.log = NULL;
}

TEST(a_former_name_that_another_option_has_now_is_that_option)
{
    env.log = keep_note;
    noted[0] = 0;
    CHECK_EQ(PARSE("--text=hello"), VLQA_OK);
    CHECK_STR(fields.text, "hello");
    CHECK(!fields.label);
    setenv("VLQA_TEXT", "there", 1);
    CHECK_EQ(PARSE("-f"), VLQA_OK);
    CHECK_STR(fields.text, "there");
    CHECK(!fields.label);
    CHECK_STR(noted, "");
    unsetenv("VLQA_TEXT");
    env.log = NULL;
}

TEST(help_fits_and_names_every_option)
{
    char text[8192];
    FILE *f = fmemopen(text, sizeof text, "w");
    REQUIRE(f);
    help_print(f, &verb, 1);
    fclose(f);
    for (size_t i = 1; i < sizeof table / sizeof *table; i++)
        CHECK_HAS(text, table[i].name);
    CHECK_HAS(text, "\nThings:\n");
    CHECK_HAS(text, "-n, --whole N ");
    CHECK_HAS(text, "a number [7]; also --int\n");
    CHECK_HAS(text, "red, green or");
    CHECK_HAS(text, "\nNotes.\n");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        CHECK(strlen(line) <= 80);
        CHECK(line[strlen(line) - 1] != ' ');
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
