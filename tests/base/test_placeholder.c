/* test_placeholder.c - what is found in the place of a file is named; files are no placeholders. */
#include "base/placeholder.h"
#include "tests/check.h"

#define LFS "version https://git-lfs.github.com/spec/v1\n"
#define OID "oid sha256:abababababababababababababababababababababababababababababababab\n"

/* The message; "" when it is none. The text is in a block of exactly its size. */
static const char *said(const char *text, size_t bytes)
{
    static struct env env;
    char *copy = malloc(bytes ? bytes : 1);
    vlqa_status status = VLQA_OK;
    env = (struct env){0};
    if (copy) memcpy(copy, text, bytes);
    if (copy) status = placeholder_check(&env, VLQA_EIMAGE, "d/x.png", copy, bytes);
    free(copy);
    CHECK_EQ(status, env.message[0] ? VLQA_EIMAGE : VLQA_OK);
    return env.message;
}

static const char *said_of(const char *text)
{
    return said(text, strlen(text));
}

TEST(a_git_lfs_pointer_is_named_with_the_size_and_the_command)
{
    CHECK_STR(said_of(LFS OID "size 1100804\n"),
              "d/x.png is a Git LFS pointer, not the file of 1100804 bytes itself: run \"git lfs "
              "install && git lfs pull\" in its repository, or download the file again");
    CHECK_HAS(said_of(LFS OID), "not the file itself: run");
    CHECK_HAS(said_of(LFS), "Git LFS pointer");
    CHECK_HAS(said_of(LFS OID "size 99999999999999999999999\n"), "Git LFS pointer");
}

TEST(spellings_of_a_pointer_are_named)
{
    CHECK_HAS(said_of("version https://git-lfs.github.com/spec/v1\r\noid sha256:ab\r\nsize 7\r\n"),
              "not the file of 7 bytes itself");
    CHECK_HAS(said_of("\xef\xbb\xbf" LFS "size 7\n"), "not the file of 7 bytes itself");
    CHECK_HAS(said_of("\n" LFS "size 7"), "not the file of 7 bytes itself");
    CHECK_HAS(said_of("version https://hawser.github.com/spec/v1\nsize 7\n"), "Git LFS pointer");
    CHECK_HAS(said_of(LFS "ext-0-foo sha256:ab\n" OID "size 12\n"), "of 12 bytes");
    CHECK_HAS(said_of("/annex/objects/SHA256E-s1048576--ab.png\n"),
              "is a git-annex pointer, not the file itself: run \"git annex get\"");
    CHECK_HAS(said_of("<!DOCTYPE html>\n<html class=\"\">"), "is a web page that was saved");
    CHECK_HAS(said_of("<!doctype HTML><html>"), "is a web page");
    CHECK_HAS(said_of("  <html lang=\"en\">"), "is a web page");
}

TEST(other_files_are_no_placeholders)
{
    static char large[5000] = LFS;
    CHECK_STR(said_of(""), "");
    CHECK_STR(said_of("version"), "");
    CHECK_STR(said_of("version https://git-lfs.github.com"), "");
    CHECK_STR(said_of("{\"version\": \"https://git-lfs.github.com/spec/v1\"}"), "");
    CHECK_STR(said_of("<?xml version='1.0'?><svg>"), "");
    CHECK_STR(said_of("<htm"), "");
    CHECK_STR(said_of(" \r\n\t"), "");
    CHECK_STR(said_of("\xef\xbb"), "");
    memset(large + strlen(LFS), 'x', sizeof large - strlen(LFS));
    CHECK_STR(said(large, sizeof large), "");
    CHECK_STR(said("\0\0\0\0", 4), "");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
