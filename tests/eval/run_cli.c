/* run_cli.c - runs the program for tests. */
#include "tests/eval/run_cli.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char scratch[] = "/tmp/vlqa-cli-XXXXXX";
static const char *default_program;
static int terminal = -1; /* our end, while a run has one */

static void require(int ok, const char *what)
{
    if (ok) return;
    perror(what);
    exit(1);
}

static void remove_scratch(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    if (chdir("/") != 0 || system(command) != 0) perror(scratch);
}

void run_begin(const char *program)
{
    default_program = program;
    require(mkdtemp(scratch) && chdir(scratch) == 0, scratch);
    atexit(remove_scratch);
}

void put_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    require(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0, path);
}

size_t get_file(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "rb");
    size_t bytes = f ? fread(out, 1, cap - 1, f) : 0;
    out[bytes] = 0;
    if (f) fclose(f);
    return bytes;
}

static void redirect(int to, const char *path, int flags)
{
    int fd = open(path, flags, 0666);
    require(fd >= 0 && dup2(fd, to) >= 0, path);
    close(fd);
}

static void redirect_all(const struct setup *s)
{
    redirect(0, s->input ? "stdin" : "/dev/null", O_RDONLY);
    redirect(2, s->terminal ? ptsname(terminal) : "stderr", O_WRONLY | O_CREAT | O_TRUNC);
    if (!s->output)
        redirect(1, "stdout", O_WRONLY | O_CREAT | O_TRUNC);
    else if (strcmp(s->output, "closed") == 0)
        close(1);
    else
        redirect(1, s->output, O_WRONLY);
}

pid_t run_start(struct setup s, const char *const *args)
{
    const char *argv[64] = {"vlqa"}, *environment[] = {s.environment, NULL};
    const char *program = s.program ? s.program : default_program;
    pid_t pid;
    for (int i = 0; args[i] && i < 62; i++)
        argv[i + 1] = args[i];
    unlink("fake.calls");
    unlink("fake.go");
    unlink("stdout");
    unlink("stderr");
    put_file("fake.script", s.script ? s.script : "", s.script ? strlen(s.script) : 0);
    if (s.input) put_file("stdin", s.input, strlen(s.input));
    if (s.terminal) {
        terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
        require(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0, "terminal");
    }
    pid = fork();
    require(pid >= 0, "fork");
    if (pid == 0) {
        redirect_all(&s);
        alarm(60);
        execve(program, (char *const *)argv, (char *const *)environment);
        _exit(99);
    }
    return pid;
}

int run_wait_for_call(const char *part)
{
    char calls[8192];
    struct timespec t = {0, 10000000};
    for (int i = 0; i < 1000; i++) {
        get_file("fake.calls", calls, sizeof calls);
        if (strstr(calls, part)) return 1;
        nanosleep(&t, NULL);
    }
    return 0;
}

/* Everything up to the hang-up: what was written may arrive a while after the program ended. */
static void read_terminal(char *out, size_t cap)
{
    struct pollfd poll_fd = {.fd = terminal, .events = POLLIN};
    size_t bytes = 0;
    while (bytes < cap - 1 && poll(&poll_fd, 1, 60000) == 1) {
        ssize_t n = read(terminal, out + bytes, cap - 1 - bytes);
        if (n <= 0) break;
        bytes += (size_t)n;
    }
    out[bytes] = 0;
}

struct run *run_finish(pid_t pid)
{
    static struct run r;
    int status = 0;
    waitpid(pid, &status, 0);
    r.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    r.out_bytes = get_file("stdout", r.out, sizeof r.out);
    get_file("fake.calls", r.calls, sizeof r.calls);
    if (terminal < 0) {
        get_file("stderr", r.err, sizeof r.err);
    } else {
        read_terminal(r.err, sizeof r.err);
        close(terminal);
        terminal = -1;
    }
    return &r;
}

struct run *run_cli(struct setup setup, const char *const *args)
{
    return run_finish(run_start(setup, args));
}

struct run *run_script(const char *script, const char *const *args)
{
    return run_cli((struct setup){.script = script}, args);
}

struct json_doc *run_json(const struct run *r)
{
    struct env env = {0};
    struct json_doc *doc = NULL;
    const char *end = strchr(r->out, '\n');
    if (!end || end[1]) return NULL;
    if (json_parse(&env, "output", r->out, r->out_bytes, 1 << 20, &doc) != VLQA_OK) return NULL;
    return doc;
}

double run_number(const struct json_doc *doc, const char *object, const char *name)
{
    const struct json *in = json_root(doc);
    return json_number(json_get(object ? json_get(in, object) : in, name));
}

const char *run_text(const struct json_doc *doc, const char *name)
{
    return json_text(json_get(json_root(doc), name));
}
