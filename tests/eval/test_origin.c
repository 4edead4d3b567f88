/* test_origin.c - what tells where a number comes from. */
#include "base/heap.h"
#include "eval/run/origin.h"
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

static void check_command(const char *expected, int argc, char *const *argv)
{
    char *command = origin_command("eval", argc, argv);
    CHECK_STR(command, expected);
    heap_free(command);
}

#define WORDS(...)                                                      \
    (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]) \
    {                                                                   \
        __VA_ARGS__                                                     \
    }

TEST(words_are_quoted_as_a_shell_takes_them)
{
    char *none[] = {NULL};
    check_command("vlqa eval", 0, none);
    check_command("vlqa eval a/b-c_d.e --x=1,2:3 +@%", WORDS("a/b-c_d.e", "--x=1,2:3", "+@%"));
    check_command("vlqa eval '' 'a b' '*' '$HOME' 'it'\\''s' 'a\\b'",
                  WORDS("", "a b", "*", "$HOME", "it's", "a\\b"));
    check_command("vlqa eval 'gr\xc3\xb6\xc3\x9f"
                  "e'",
                  WORDS("gr\xc3\xb6\xc3\x9f"
                        "e"));
    check_command("vlqa eval $'a\\x0ab\\'\\\\' $'\\xff \\xc3'", WORDS("a\nb'\\", "\xff \xc3"));
}

/* Whatever the bytes are, a shell gives them back. */
TEST(a_shell_reads_what_was_quoted)
{
    char word[256], found[300], script[2048];
    char *const argv[] = {word};
    char *command;
    FILE *out;
    if (access("/bin/bash", X_OK) != 0) SKIP("no bash");
    for (int i = 1; i < 256; i++)
        word[i - 1] = (char)i;
    word[255] = 0;
    command = origin_command("eval", 1, argv);
    snprintf(script, sizeof script, "%s", command + strlen("vlqa eval "));
    heap_free(command);
    setenv("WORD", script, 1);
    out = popen("bash -c 'eval \"printf %s $WORD\"'", "r");
    REQUIRE(out);
    found[fread(found, 1, sizeof found - 1, out)] = 0;
    CHECK_EQ(pclose(out), 0);
    CHECK_STR(found, word);
}

TEST(the_machine_is_told_by_kind_and_size)
{
    char machine[ORIGIN_MACHINE];
    origin_machine(machine);
    CHECK_HAS(machine, " core");
    CHECK_HAS(machine, "iB");
    CHECK(strlen(machine) > 20);
}

TEST(the_build_is_told)
{
    const char *commit = origin_commit();
    size_t n = strspn(commit, "0123456789abcdef");
    CHECK(strlen(origin_build()) > 4);
    CHECK(!*commit || n == 12); /* none where there is no checkout */
    CHECK(!commit[n] || strcmp(commit + n, "-dirty") == 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
