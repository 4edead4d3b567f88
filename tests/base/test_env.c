/* test_env.c - messages are cut, clean and may quote the one before. */
#include "base/env.h"
#include "tests/check.h"

TEST(message_and_status_come_back)
{
    struct env env = {0};
    CHECK_EQ(env_fail(&env, VLQA_EIO, "%s has %d bytes", "a.json", 3), VLQA_EIO);
    CHECK_STR(env.message, "a.json has 3 bytes");
    CHECK_EQ(env_no_memory(&env, "cache", 10), VLQA_EMEMORY);
    CHECK_STR(env.message, "out of memory: cache needs 10 bytes");
}

TEST(message_may_quote_the_one_before)
{
    struct env env = {0};
    (void)env_fail(&env, VLQA_EIO, "inner");
    (void)env_fail(&env, VLQA_EMODEL, "outer: %s", env.message);
    CHECK_STR(env.message, "outer: inner");
}

TEST(control_characters_are_replaced)
{
    struct env env = {0};
    (void)env_fail(&env, VLQA_EIO, "a\x1b[31m\n\x7f\xc2\x9b z\xc3\xa4");
    CHECK_STR(env.message, "a?[31m???? z\xc3\xa4");
}

TEST(long_messages_are_cut)
{
    struct env env = {0};
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    (void)env_fail(&env, VLQA_EIO, "%s", text);
    CHECK_EQ(strlen(env.message), sizeof env.message - 1);
}

static int stop_at_half(void *user, const char *phase, int64_t done, int64_t total)
{
    *(int *)user += 1;
    return strcmp(phase, "load") == 0 && done * 2 >= total;
}

TEST(progress_may_cancel)
{
    int calls = 0;
    struct env env = {.progress = stop_at_half, .user = &calls};
    CHECK_EQ(env_progress(&env, "load", 1, 10), VLQA_OK);
    CHECK_EQ(env_progress(&env, "load", 5, 10), VLQA_ECANCELLED);
    CHECK_STR(env.message, "cancelled during load");
    CHECK_EQ(calls, 2);
}

static void keep_line(void *user, enum vlqa_log_level level, const char *line)
{
    (void)snprintf(user, 100, "%d %s", (int)level, line);
}

TEST(log_lines_reach_the_sink)
{
    char line[100] = "";
    struct env silent = {0}, env = {.log = keep_line, .user = line};
    env_log(&silent, VLQA_LOG_WARN, "nobody hears %d", 1);
    env_log(&env, VLQA_LOG_WARN, "rows\t%d", 7);
    CHECK_STR(line, "1 rows?7");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
