/* test_processor.c - which file of the image processor counts, as transformers 5.24 was seen to. */
#include "fusion/session/session.h"

#include "tests/check.h"
#include "tests/fusion/fixture.h"

#define FLAT "preprocessor_config.json"
#define NESTED "processor_config.json"
#define SIZE(least, most) "\"size\":{\"shortest_edge\":" #least ",\"longest_edge\":" #most "}"
#define HALF "\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5]"
#define PLAIN "{" SIZE(49152, 147456) "," HALF "}"
#define OTHER "{" SIZE(1024, 4096) "," HALF "}"

struct seen { /* of an engine that was opened */
    vlqa_status status;
    char message[512], log[2048];
    struct vlqa_model_info info;
    struct patch_config patch;
};

static void keep_log(void *user, enum vlqa_log_level level, const char *line)
{
    struct seen *s = user;
    size_t n = strlen(s->log);
    if (level <= VLQA_LOG_WARN) (void)snprintf(s->log + n, sizeof s->log - n, "%s\n", line);
}

/* tied64 with these files, each NULL: none. */
static struct seen see(const char *flat, const char *nested)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    struct vlqa_engine *engine = NULL;
    struct seen s = {.status = VLQA_ESTATE};
    struct fixture f;
    if (!fixture_open(&f, FIXTURE_TIED)) return s;
    fixture_remove(&f, FLAT);
    if (flat) fixture_write(&f, FLAT, flat, strlen(flat));
    if (nested) fixture_write(&f, NESTED, nested, strlen(nested));
    o.model = f.dir;
    o.threads = 1;
    o.log = keep_log;
    o.user = &s;
    s.status = vlqa_engine_open(&o, &engine);
    (void)snprintf(s.message, sizeof s.message, "%s", vlqa_engine_message(engine));
    if (s.status == VLQA_OK) (void)vlqa_engine_info(engine, &s.info, sizeof s.info);
    if (s.status == VLQA_OK) s.patch = engine->vit.config.patch;
    vlqa_engine_close(engine);
    fixture_close(&f);
    return s;
}

static void check_limits(const char *flat, const char *nested, int64_t least, int64_t most)
{
    struct seen s = see(flat, nested);
    if (s.status != VLQA_OK)
        CHECK_FAIL("%s | %s: %s", flat, nested, s.message);
    else if (s.info.min_pixels != least || s.info.max_pixels != most)
        CHECK_FAIL("%s | %s: %lld to %lld", flat, nested, (long long)s.info.min_pixels,
                   (long long)s.info.max_pixels);
}

static void check_refused(const char *flat, const char *nested, const char *word)
{
    struct seen s = see(flat, nested);
    CHECK_EQ(s.status, VLQA_EMODEL);
    CHECK_HAS(s.message, word);
}

/* preprocessor_config.json won, silently. */
TEST(the_nested_image_processor_comes_first_and_says_so)
{
    struct seen s;
    check_limits(PLAIN, "{\"image_processor\":" OTHER "}", 1024, 4096);
    s = see(PLAIN, "{\"image_processor\":" OTHER "}");
    CHECK_HAS(s.log, FLAT " is passed over: the image_processor of " NESTED " comes first");
    CHECK_STR(see(PLAIN, NULL).log, "");
    CHECK_STR(see(NULL, "{\"image_processor\":" OTHER "}").log, "");
}

TEST(either_file_is_enough)
{
    check_limits(PLAIN, NULL, 49152, 147456);
    check_limits(NULL, "{\"image_processor\":" PLAIN "}", 49152, 147456);
}

TEST(a_processor_without_an_image_processor_is_passed_over)
{
    check_limits(PLAIN, "{\"processor_class\":\"Qwen3VLProcessor\"}", 49152, 147456);
    check_limits(PLAIN, OTHER, 49152, 147456);
    check_limits(PLAIN, "{\"image_processor\":null}", 49152, 147456);
    check_limits("{" SIZE(49152, 147456) "," HALF ",\"image_processor\":" OTHER "}", NULL, 49152,
                 147456);
    CHECK_STR(see(PLAIN, OTHER).log, "");
}

/* transformers takes one file and does not fill its gaps from the other. */
TEST(the_two_files_are_not_merged)
{
    check_refused(PLAIN, "{\"image_processor\":{" HALF "}}", "pixel limits are 0 to 0");
    check_refused(PLAIN, "{\"image_processor\":\"x\"}", "image_processor is string");
}

TEST(old_names_of_pixel_limits_overrule_the_size)
{
    check_limits("{\"min_pixels\":3136,\"max_pixels\":8192," SIZE(49152, 147456) "," HALF "}", NULL,
                 3136, 8192);
    check_limits("{\"min_pixels\":3136,\"max_pixels\":8192," HALF "}", NULL, 3136, 8192);
    check_limits("{\"max_pixels\":98304," SIZE(49152, 147456) "," HALF "}", NULL, 49152, 98304);
    check_limits("{\"min_pixels\":null,\"max_pixels\":null," SIZE(49152, 147456) "," HALF "}", NULL,
                 49152, 147456);
    check_limits(NULL,
                 "{\"image_processor\":{\"max_pixels\":98304," SIZE(49152, 147456) "," HALF "}}",
                 49152, 98304);
    /* transformers opens these and fails at the first image */
    check_refused("{\"size\":{\"min_pixels\":3136,\"max_pixels\":8192}," HALF "}", NULL,
                  "expected size.shortest_edge and size.longest_edge");
    check_refused("{\"size\":{\"longest_edge\":4096}," HALF "}", NULL,
                  "pixel limits are 0 to 4096");
    check_refused("{\"size\":4096," HALF "}", NULL, "pixel limits are 0 to 0");
}

static void check_patch(const char *json, float mean, float std)
{
    struct seen s = see(json, NULL);
    if (s.status != VLQA_OK) CHECK_FAIL("%s", s.message);
    CHECK(s.patch.mean[0] == mean && s.patch.std[0] == std);
}

/* Missing ones were taken as 0.5. */
TEST(mean_and_deviation_are_those_of_transformers)
{
    check_patch("{" SIZE(49152, 147456) "}", 0.48145466f, 0.26862954f);
    CHECK_HAS(see("{" SIZE(49152, 147456) "}", NULL).log, "image_mean is missing");
    check_patch("{" SIZE(49152, 147456) ",\"image_mean\":0.5,\"image_std\":0.25}", 0.5f, 0.25f);
    check_patch("{" SIZE(49152, 147456) "," HALF ",\"do_normalize\":false}", 0, 1);
    check_refused("{" SIZE(49152, 147456) ",\"image_mean\":null,\"image_std\":[1,1,1]}", NULL,
                  "image_mean is not three numbers");
}

/* They were passed over. */
TEST(steps_that_are_switched_off_are_refused)
{
    check_refused("{" SIZE(9, 99) "," HALF ",\"do_resize\":false}", NULL, "do_resize is false");
    check_refused("{" SIZE(9, 99) "," HALF ",\"do_rescale\":false}", NULL, "do_rescale is false");
    check_refused("{" SIZE(9, 99) "," HALF ",\"resample\":2}", NULL, "resample is 2, expected 3");
    check_refused("{" SIZE(9, 99) "," HALF ",\"rescale_factor\":1}", NULL, "rescale_factor is 1");
    check_limits(
        "{" SIZE(
            49152,
            147456) "," HALF ",\"do_resize\":true,\"do_rescale\":true,"
                    "\"do_normalize\":true,\"resample\":3,\"rescale_factor\":0.00392156862745098}",
        NULL, 49152, 147456);
}

/* "processor_config.json: cannot open": the usual name was not said. */
TEST(a_missing_preprocessor_names_both_files_and_the_command)
{
    struct seen s = see(NULL, NULL);
    CHECK_EQ(s.status, VLQA_EMODEL);
    CHECK_HAS(s.message, " has neither " FLAT " nor " NESTED ": copy the first from the model");
    CHECK_HAS(s.message, "hf download ID " FLAT " --local-dir DIR");
    s = see(NULL, PLAIN);
    CHECK_EQ(s.status, VLQA_EMODEL);
    CHECK_HAS(s.message, NESTED " has no image_processor, and " FLAT " is missing: copy it");
}

/* Spellings of one thing that was read wrongly: a byte order mark, and a pointer. */
TEST(marks_and_pointers_are_told_in_configurations)
{
    check_limits("\xef\xbb\xbf" PLAIN, NULL, 49152, 147456);
    check_refused("version https://git-lfs.github.com/spec/v1\nsize 390\n", NULL,
                  FLAT " is a Git LFS pointer, not the file of 390 bytes itself");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
