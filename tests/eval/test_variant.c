/* test_variant.c - variants as they are written. */
#include "eval/options/variant.h"

#include "tests/check.h"

static struct env env;

TEST(settings_come_in_any_order)
{
    static const char *const texts[] = {"infoflow/last/max/4-6", "infoflow/4-6/last/max",
                                        "infoflow/max/4-6/last"};
    struct variant m;
    for (int i = 0; i < 3; i++) {
        REQUIRE(variant_parse(&env, "--variants", texts[i], &m) == VLQA_OK);
        CHECK_STR(m.name, texts[i]);
        CHECK_EQ(m.reuse, REUSE_INFOFLOW);
        CHECK_EQ(m.args.query.tokens, VLQA_QUERY_LAST);
        CHECK_EQ(m.args.score, VLQA_SCORE_MAX);
        CHECK(m.args.layers.set[0] == 0x70 && m.args.layers.set[1] == 0);
    }
}

TEST(what_is_left_out_is_the_default)
{
    struct variant m;
    REQUIRE(variant_parse(&env, "--variants", "prophet", &m) == VLQA_OK);
    CHECK_EQ(m.reuse, REUSE_PROPHET);
    CHECK_EQ(m.args.query.tokens, VLQA_QUERY_AUTO);
    CHECK(m.args.layers.set[0] == 0 && m.args.layers.set[1] == 0);
    CHECK(variant_has_layers(&m) && variant_has_ratio(&m));
    REQUIRE(variant_parse(&env, "--variants", "none", &m) == VLQA_OK);
    CHECK(!variant_has_layers(&m) && !variant_has_ratio(&m));
}

TEST(a_list_of_layers_has_no_commas)
{
    struct variant m;
    REQUIRE(variant_parse(&env, "--variants", "prophet/3+5-7", &m) == VLQA_OK);
    CHECK(m.args.layers.set[0] == 0xe8 && m.args.layers.set[1] == 0);
    CHECK(reuse_has_layer(&m.args.layers, 3) && !reuse_has_layer(&m.args.layers, 4));
    CHECK_EQ(reuse_layers_end(&m.args.layers), 8);
    CHECK_EQ(variant_parse(&env, "--variants", "prophet/3+", &m), VLQA_EUSAGE);
    CHECK_HAS(env.message, "3+ is none of");
}

TEST(released_code_is_a_method_without_settings)
{
    struct variant m;
    REQUIRE(variant_parse(&env, "--variants", "infoflow-vlm-release", &m) == VLQA_OK);
    CHECK_EQ(m.reuse, REUSE_INFOFLOW);
    CHECK_EQ(m.args.parity, VLQA_PARITY_INFOFLOW_VLM);
    CHECK(!variant_has_layers(&m) && variant_has_ratio(&m));
    REQUIRE(variant_parse(&env, "--variants", "infoflow-llm-release", &m) == VLQA_OK);
    CHECK_EQ(m.args.parity, VLQA_PARITY_INFOFLOW_LLM);
    REQUIRE(variant_parse(&env, "--variants", "infoflow", &m) == VLQA_OK);
    CHECK_EQ(m.args.parity, VLQA_PARITY_OFF);
}

TEST(any_method_takes_stand_ins)
{
    struct variant m;
    REQUIRE(variant_parse(&env, "--variants", "infoflow/stand-in:3/last", &m) == VLQA_OK);
    CHECK(m.args.stand_ins == 3 && m.args.query.tokens == VLQA_QUERY_LAST);
    REQUIRE(variant_parse(&env, "--variants", "none/stand-in:0", &m) == VLQA_OK);
    CHECK(m.args.stand_ins == -1 && m.reuse == REUSE_NONE);
    CHECK(reuse_is_experimental(&m.args));
    REQUIRE(variant_parse(&env, "--variants", "auto", &m) == VLQA_OK);
    CHECK(m.args.stand_ins == 0 && !reuse_is_experimental(&m.args));
}

TEST(any_method_takes_a_halo)
{
    struct variant m;
    REQUIRE(variant_parse(&env, "--variants", "infoflow/halo:3/last", &m) == VLQA_OK);
    CHECK(m.args.halo == 3 && m.args.query.tokens == VLQA_QUERY_LAST);
    REQUIRE(variant_parse(&env, "--variants", "none/halo:4096", &m) == VLQA_OK);
    CHECK(m.args.halo == 4096 && m.reuse == REUSE_NONE);
    REQUIRE(variant_parse(&env, "--variants", "auto", &m) == VLQA_OK);
    CHECK(m.args.halo == 0 && m.reuse == REUSE_AUTO);
}

TEST(all_take_a_budget_of_the_kv)
{
    struct variant m;
    const struct reuse_keep *keep = &m.args.keep;
    REQUIRE(variant_parse(&env, "--variants", "off/kv:0.2/keep:infokv/entropy:0.25", &m) ==
            VLQA_OK);
    CHECK_EQ(m.reuse, REUSE_OFF);
    CHECK(!keep->budget.tokens && fabs(keep->budget.share - 0.2) < 1e-9);
    CHECK_STR(reuse_keeps[keep->by], "infokv");
    CHECK(fabs(keep->entropy - 0.25) < 1e-9 && keep->window == 16 && keep->step == 64);
    REQUIRE(variant_parse(&env, "--variants", "off/kv:64/block:128/window:8/step:32/shared/worst",
                          &m) == VLQA_OK);
    CHECK(keep->budget.tokens == 64 && keep->block == 128 && keep->window == 8);
    CHECK(keep->step == 32 && keep->shared && keep->worst);
    REQUIRE(variant_parse(&env, "--variants", "infoflow/halo:4/kv:10%", &m) == VLQA_OK);
    CHECK(m.reuse == REUSE_INFOFLOW && fabs(keep->budget.share - 0.1) < 1e-9);
    CHECK_EQ(variant_parse(&env, "--variants", "off", &m), VLQA_EUSAGE);
    CHECK_EQ(variant_parse(&env, "--variants", "off/kv:1.5", &m), VLQA_EUSAGE);
    CHECK_EQ(variant_parse(&env, "--variants", "off/kv:3", &m), VLQA_EUSAGE);
    CHECK_EQ(variant_parse(&env, "--variants", "off/kv:0.2/keep:best", &m), VLQA_EUSAGE);
    CHECK_EQ(variant_parse(&env, "--variants", "off/kv:0.2/window:0", &m), VLQA_EUSAGE);
    CHECK_EQ(variant_parse(&env, "--variants", "off/last", &m), VLQA_EUSAGE);
}

TEST(named_settings_go_with_every_method_that_chooses)
{
    struct variant m;
    REQUIRE(variant_parse(&env, "--variants", "vlcache/taper:0.5", &m) == VLQA_OK);
    CHECK(m.reuse == REUSE_VLCACHE && fabs(m.args.taper - 0.5) < 1e-9);
    REQUIRE(variant_parse(&env, "--variants", "infoflow/last/taper:1/3/closing:2", &m) == VLQA_OK);
    CHECK_EQ(m.args.closing, 2);
    CHECK(fabs(m.args.taper - 1) < 1e-9 && m.args.layers.set[0] == 8);
    REQUIRE(variant_parse(&env, "--variants", "kvshare/check:1+2/refresh:4:8", &m) == VLQA_OK);
    CHECK(m.args.check.set[0] == 6 && m.args.refresh.every == 4 && m.args.refresh.tokens == 8);
}

TEST(wrong_methods_are_refused_with_what_is_expected)
{
    static const char *const wrong[][2] = {
        {"off", "off is none of full, none"},
        {"", "is none of full"},
        {"info", "info is none of"},
        {"infoflow/", "is none of suffix"},
        {"infoflow/first", "first is none of suffix"},
        {"infoflow/6-4", "6-4 is none of suffix"},
        {"infoflow/-1", "-1 is none of"},
        {"infoflow/last/5x", "5x is none of"},
        {"epic/last", "epic does not take last"},
        {"none/all", "none does not take all"},
        {"infoflow//last", "is none of suffix"},
        {"infoflow-vlm-release/last", "infoflow-vlm-release does not take last"},
        {"none/halo:-1", "none does not take halo:-1"},
        {"epic/halo:2x", "epic does not take halo:2x"},
        {"epic/stand-in:65", "epic does not take stand-in:65"},
        {"infoflow-llm-release/stand-in:1", "infoflow-llm-release does not take stand-in:1"},
        {"infoflow-vlm-release/halo:2", "infoflow-vlm-release does not take halo:2"},
        {"prophet/norm", "prophet does not take norm"},
        {"none/taper:1", "none does not take taper:1"},
        {"epic/closing:9", "epic does not take closing:9"},
        {"epic/check:1", "epic does not take check:1"},
        {"cacheblend/refresh:1:1", "cacheblend does not take refresh:1:1"},
        {"kvshare/refresh:1", "kvshare does not take refresh:1"},
        {"epic/taper:2", "epic does not take taper:2"},
        {"epic/taper:", "epic does not take taper:"},
        {"epic/taper:1x", "epic does not take taper:1x"},
    };
    struct variant m;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_EQ(variant_parse(&env, "--variants", wrong[i][0], &m), VLQA_EUSAGE);
        CHECK_HAS(env.message, "--variants: ");
        CHECK_HAS(env.message, wrong[i][1]);
    }
}

TEST(an_endless_name_is_refused)
{
    char text[500];
    struct variant m;
    memset(text, '/', sizeof text);
    memcpy(text, "infoflow", 8);
    text[sizeof text - 1] = 0;
    CHECK_EQ(variant_parse(&env, "--variants", text, &m), VLQA_EUSAGE);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
