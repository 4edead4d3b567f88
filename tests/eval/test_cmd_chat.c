/* test_cmd_chat.c - the verb chat over the fake runtime: lines of a pipe and of a terminal. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHAT ARGS("chat", "-m", "model")
#define ANSWER "answer=Yes|, it is|.\n"

static struct run *chat(const char *script, const char *lines)
{
    return run_cli((struct setup){.script = script, .input = lines}, CHAT);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    while ((text = strstr(text, part)))
        n++, text++;
    return n;
}

TEST(lines_of_a_pipe_are_turns)
{
    struct run *r = chat(ANSWER, "Is it?\n\n  And now?  \nLast");
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "Yes, it is.\nYes, it is.\nYes, it is.\n");
    CHECK_STR(r->err, ""); /* no prompts */
    CHECK_HAS(r->calls, "ask Is it? max=128");
    CHECK_HAS(r->calls, "ask And now? max=128");
    CHECK_HAS(r->calls, "ask Last max=128");
    CHECK_EQ(count(r->calls, "keep=1"), 3);
    CHECK_EQ(count(r->calls, "open "), 1);
}

TEST(commands_do_what_they_say)
{
    struct run *r;
    put_file("a text.txt", "T", 1);
    r = chat(ANSWER, "/system Be brief.\n/image a chart.png\n/text a text.txt\nIs it?\n/clear\n"
                     " /is it?\n/quit\nnever asked\n");
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "session rows=0\nclear\nsystem Be brief.\nimage_file a chart.png\ntext T\n"
                        "ask Is it? ");
    CHECK_HAS(r->calls, "clear\nsystem Be brief.\nask /is it? ");
    CHECK(!strstr(r->calls, "never"));
    r = chat(ANSWER, "/help\n");
    CHECK_HAS(r->err, "  /image   FILE  adds a picture");
    CHECK_HAS(r->err, "/quit");
    CHECK_EQ(r->code, 0);
}

TEST(documents_of_the_command_line_come_first)
{
    struct run *r;
    put_file("a.png", "A", 1);
    r = run_cli((struct setup){.script = ANSWER, .input = "Is it?\n/clear\nNow?\n"},
                ARGS("chat", "-m", "model", "--image", "a.png", "--system", "S", "--stop", "x"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "system S\nimage_file a.png\nask Is it? ");
    CHECK_HAS(r->calls, "clear\nsystem S\nask Now? ");
    CHECK_EQ(count(r->calls, "stop x\n"), 2);
    r = run_cli((struct setup){.input = ""}, ARGS("chat", "-m", "model", "--image", "-"));
    CHECK_EQ(r->code, 2);
}

TEST(a_system_text_in_a_conversation_waits_for_clear)
{
    struct run *r = chat(ANSWER, "Is it?\n/system Be brief.\n/clear\n");
    CHECK_HAS(r->err, "the system text counts after /clear");
    CHECK_HAS(r->calls, "clear\nsystem Be brief.\n");
    CHECK_EQ(count(r->calls, "clear\n"), 1);
}

/* Asked without the document that was meant, a question would get a made-up answer. */
TEST(behind_a_command_that_failed_a_pipe_asks_nothing)
{
    struct run *r = chat("image=EIMAGE\n" ANSWER, "/image a.png\nIs it?\nWhy?\n/clear\nIs it?\n");
    CHECK_EQ(r->code, 3);
    CHECK_STR(r->out, "\n\nYes, it is.\n");
    CHECK_HAS(r->err, "fake image fails with EIMAGE");
    CHECK_HAS(r->err, "the question is not asked, because the command before it failed");
    r = chat(ANSWER, "/imag a.png\n/help\nIs it?\n");
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "unknown command /imag; did you mean /image?");
    CHECK_STR(r->out, "\n");
    r = chat(ANSWER, "/image\n/text\n/text none.txt\nIs it?\n");
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "/image needs a file");
    CHECK_HAS(r->err, "none.txt");
    CHECK_STR(r->out, "\n");
}

TEST(paths_may_be_quoted_as_terminals_paste_them)
{
    put_file("a b.txt", "text", 4);
    CHECK_EQ(chat(ANSWER, "/text \"a b.txt\"\nIs it?\n")->code, 0);
    CHECK_EQ(chat(ANSWER, "/text 'a b.txt'\nIs it?\n")->code, 0);
    CHECK_EQ(chat(ANSWER, "/text a\\ b.txt\nIs it?\n")->code, 0);
    CHECK_EQ(chat(ANSWER, "/text a b.txt\nIs it?\n")->code, 0);
}

TEST(a_full_session_says_what_to_do)
{
    struct run *r = chat("ask=ELIMIT\n" ANSWER, "Is it?\n");
    CHECK_EQ(r->code, 5);
    CHECK_HAS(r->err, "fake ask fails with ELIMIT");
    CHECK_HAS(r->err, "/clear begins a new conversation");
    r = chat("stop=rows\n" ANSWER, "Is it?\n");
    CHECK_HAS(r->err, "the answer was cut because the session is full (--max-seq-len)");
}

TEST(thoughts_are_shown_when_they_are_wanted)
{
    struct run *r = chat("thinking=hm\nanswer=8\n", "?\n");
    CHECK_STR(r->out, "8\n");
    r = run_cli((struct setup){.script = "thinking=hm\nanswer=8\n", .input = "?\n"},
                ARGS("chat", "-m", "model", "--show-thinking"));
    CHECK_STR(r->out, "<think>\nhm\n</think>\n\n8\n");
}

/* Loading takes five steps, prefill five, a delta one: the hold is behind the first delta. */
TEST(an_interrupt_stops_the_answer_and_not_the_program)
{
    struct run *r;
    pid_t pid = run_start(
        (struct setup){.script = "answer=a|b|c\nhold=12\n", .input = "One?\nTwo?\n"}, CHAT);
    CHECK(run_wait_for_call("held"));
    CHECK_EQ(kill(pid, SIGINT), 0);
    put_file("fake.go", "", 0);
    r = run_finish(pid);
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "stopped");
    CHECK_HAS(r->calls, "ask Two? ");
    CHECK(strncmp(r->out, "abc", 3) != 0);
    CHECK_HAS(r->out, "\nabc\n");
}

TEST(an_interrupt_stops_what_comes_before_the_answer_too)
{
    struct run *r;
    pid_t pid = run_start(
        (struct setup){.script = "answer=a|b|c\nhold=8\n", .input = "One?\nTwo?\n"}, CHAT);
    CHECK(run_wait_for_call("held"));
    CHECK_EQ(kill(pid, SIGINT), 0);
    put_file("fake.go", "", 0);
    r = run_finish(pid);
    CHECK_EQ(r->code, 130);
    CHECK_HAS(r->err, "stopped");
    CHECK_STR(r->out, "abc\n");
}

/* Everything that a terminal shows until the program ends. */
static void read_all(int fd, char *out, size_t cap)
{
    size_t used = 0;
    ssize_t n;
    while (used + 1 < cap && (n = read(fd, out + used, cap - 1 - used)) > 0)
        used += (size_t)n;
    out[used] = 0;
}

TEST(a_terminal_has_prompts)
{
    static const char lines[] = "Is it?\n/quit\n";
    char shown[4096];
    int master = posix_openpt(O_RDWR | O_NOCTTY), status = 0;
    pid_t pid;
    REQUIRE(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    put_file("fake.script", ANSWER, strlen(ANSWER));
    pid = fork();
    if (pid == 0) {
        int fd = open(ptsname(master), O_RDWR | O_NOCTTY);
        for (int i = 0; i < 3; i++)
            dup2(fd, i);
        close(fd);
        close(master);
        alarm(60);
        execl(FAKE_CLI, "vlqa", "chat", "-m", "model", (char *)NULL);
        _exit(99);
    }
    CHECK_EQ(write(master, lines, strlen(lines)), (ssize_t)strlen(lines));
    waitpid(pid, &status, 0);
    CHECK_EQ(WEXITSTATUS(status), 0);
    fcntl(master, F_SETFL, O_NONBLOCK);
    read_all(master, shown, sizeof shown);
    close(master);
    CHECK_HAS(shown, "a question, /image FILE, or /help");
    CHECK_HAS(shown, "> ");
    CHECK_HAS(shown, "Yes, it is.");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
