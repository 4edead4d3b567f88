/* test_cmd_cache.c - the verb cache over the fake runtime. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#define DIR "--cache-dir", "kept"

TEST(ls_prints_a_line_a_record)
{
    struct run *r = run_script("records=2\n", ARGS("cache", "ls", DIR));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->calls, "scan kept verify=0\n");
    CHECK_STR(r->out, "chunk       70 tokens                2.00 KiB      2 h  0000000000000000\n"
                      "visual      70 tokens     10 x 7     2.00 KiB      2 h  0000000000000000\n");
}

TEST(stat_counts_each_kind)
{
    struct run *r =
        run_script("records=5\ndamaged=2\n", ARGS("cache", "stat", DIR, "--cache-disk", "1024"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "visual        3 records     6.00 KiB\n"
                      "chunk         0 records      0 bytes\n"
                      "damaged       2 records     4.00 KiB\n"
                      "all           5 records    10.00 KiB of 1.00 GiB\n");
}

TEST(verify_exits_with_6_for_damage)
{
    struct run *r = run_script("records=3\n", ARGS("cache", "verify", DIR));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->calls, "scan kept verify=1\n");
    CHECK_STR(r->out, "3 records, 0 damaged\n");
    r = run_script("records=3\ndamaged=1\n", ARGS("cache", "verify", DIR));
    CHECK_EQ(r->code, 6);
    CHECK_HAS(r->out, "damaged ");
    CHECK_HAS(r->out, "000.vlqa is a fake\n");
    CHECK_HAS(r->out, "\n3 records, 1 damaged\n");
}

TEST(json_holds_what_the_lines_say)
{
    struct run *r = run_script("records=2\ndamaged=1\n", ARGS("cache", "ls", DIR, "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "{\"records\":[{\"key\":\"0000");
    CHECK_HAS(r->out, "\"kind\":\"damaged\",\"problem\":\"is a fake\",\"tokens\":70");
    CHECK_HAS(r->out, "\"grid\":{\"width\":10,\"height\":7},\"bytes\":2048,\"mtime\":");
    CHECK_HAS(r->out, "],\"read\":2,\"damaged\":1,\"version\":");
    r = run_script("records=5\ndamaged=2\n", ARGS("cache", "stat", DIR, "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out,
              "{\"visual\":{\"records\":3,\"bytes\":6144},\"chunk\":{\"records\":0,\"bytes\":0},"
              "\"damaged\":{\"records\":2,\"bytes\":4096},\"all\":{\"records\":5,"
              "\"bytes\":10240},\"budget_bytes\":4294967296,");
    r = run_script("records=3\ndamaged=1\n", ARGS("cache", "verify", DIR, "--json"));
    CHECK_EQ(r->code, 6);
    CHECK_HAS(r->out, "\"kind\":\"damaged\"");
    CHECK_EQ(strstr(r->out, "\"visual\"") == NULL, 1);
    CHECK_HAS(r->out, "],\"read\":3,\"damaged\":1,");
    r = run_script("scan=EIO\n", ARGS("cache", "ls", DIR, "--json"));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->out, "");
}

TEST(rm_wants_a_key_or_all)
{
    struct run *r = run_script("records=4\n", ARGS("cache", "rm", DIR, "--all"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->calls, "remove kept all\n");
    CHECK_STR(r->out, "4 records removed\n");
    r = run_script("records=1\n", ARGS("cache", "rm", "00ab", DIR));
    CHECK_STR(r->calls, "remove kept 00ab\n");
    r = run_script("records=0\n", ARGS("cache", "rm", "00ab", DIR));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "no key begins with 00ab");
    r = run_script("", ARGS("cache", "rm", DIR));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->calls, "");
    r = run_script("", ARGS("cache", "rm", "00ab", "--all", DIR));
    CHECK_EQ(r->code, 2);
    r = run_script("remove=EUSAGE\n", ARGS("cache", "rm", "x", DIR));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "vlqa: fake remove fails with EUSAGE\n");
}

TEST(a_directory_that_cannot_be_read_is_told)
{
    static const char *const verbs[] = {"ls", "stat", "verify"};
    for (int i = 0; i < 3; i++) {
        struct run *r = run_script("scan=EIO\n", ARGS("cache", verbs[i], DIR));
        CHECK_EQ(r->code, 1);
        CHECK_STR(r->err, "vlqa: fake scan fails with EIO\n");
    }
}

TEST(a_cache_home_that_is_not_there_yet_is_empty)
{
    struct run *r = run_cli((struct setup){.environment = "HOME=/none"}, ARGS("cache", "ls"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "");
    CHECK_STR(r->calls, "");
    r = run_cli((struct setup){.environment = "HOME=/none"}, ARGS("cache", "rm", "--all"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "0 records removed\n");
    r = run_script("", ARGS("cache", "ls"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--cache-dir");
}

TEST(warm_adds_the_document_and_asks_nothing)
{
    struct run *r;
    put_file("a.png", "", 0);
    put_file("note", "a note", 6);
    r = run_script("reuse=1\n", ARGS("cache", "warm", "-m", "model", "--image", "a.png", "--text",
                                     "note", DIR, "--chunk", "grid:2"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "cache dir=kept ");
    CHECK_HAS(r->calls, "image_file a.png\ntext a note\nwarm\nreuse 0 ");
    CHECK_HAS(r->calls, " chunker=1 k=2 text=256 ");
    CHECK_STR(r->out, "images: 1 hit, 0 computed\nchunks: 1 hit, 1 computed\n");
    r = run_script("reuse=1\n",
                   ARGS("cache", "warm", "-m", "model", "--image", "a.png", DIR, "--json"));
    CHECK_STR(r->out,
              "{\"visual\":{\"ram\":0,\"disk\":1,\"computed\":0},\"chunks\":{\"ram\":1,\"disk\":"
              "0,\"computed\":1},\"context_tokens\":2,\"version\":\"0.1.0\"}\n");
}

TEST(warm_fails_where_nothing_is_kept)
{
    struct run *r;
    put_file("a.png", "", 0);
    r = run_script("problem=no room\n",
                   ARGS("cache", "warm", "-m", "model", "--image", "a.png", DIR));
    CHECK_EQ(r->code, 6);
    r = run_script("", ARGS("cache", "warm", "-m", "model", "--image", "a.png", DIR, "--no-cache"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "nothing would be stored");
    r = run_script("", ARGS("cache", "warm", "-m", "model", DIR));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->calls, "");
    r = run_script("warm=ELIMIT\n", ARGS("cache", "warm", "-m", "model", "--image", "a.png", DIR));
    CHECK_EQ(r->code, 5);
    CHECK_HAS(r->err, "fake warm fails with ELIMIT");
}

TEST(unknown_verbs_of_cache_are_told)
{
    struct run *r = run_script("", ARGS("cache", "verfy"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "did you mean verify?");
    CHECK_EQ(run_script("", ARGS("cache"))->code, 2);
    r = run_script("", ARGS("cache", "--help"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "verify");
    r = run_script("", ARGS("cache", "rm", "--help"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "--all");
    r = run_script("", ARGS("cache", "ls", "--nonsense"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "Try 'vlqa cache ls --help'.");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
