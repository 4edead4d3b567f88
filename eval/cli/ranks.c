/* ranks.c - the process that was started waits for its ranks, and tells what became of them. */
#include "eval/cli/ranks.h"

#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE_MS 5000 /* for ranks to end behind a rank 0 that has failed */
#define FORWARDED SIGUSR1

/* A terminal sends them to all processes of a command: ranks ignore them, and the one that waits
 * decides. */
static const int from_outside[] = {SIGINT, SIGTERM, SIGHUP};
#define N_FROM_OUTSIDE ((int)(sizeof from_outside / sizeof *from_outside))

struct launch {
    struct cli *cli;
    struct vlqa_ranks *ranks;
    int n, left;
    pid_t parent, pid[VLQA_RANKS_MOST]; /* 0: has been waited for */
    int status[VLQA_RANKS_MOST];
    sigset_t before, waited; /* signals that were blocked; that are waited for */
    int interrupts;
    double deadline_ms; /* 0: none; what has not ended by then is killed */
    int given_up;       /* the first rank that was */
};

static int is_ok(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == CLI_OK;
}

static void say_how(int status, char out[64])
{
    if (WIFSIGNALED(status))
        snprintf(out, 64, "was killed by signal %d", WTERMSIG(status));
    else
        snprintf(out, 64, "ended with exit code %d", WEXITSTATUS(status));
}

/* ---- a rank ---- */

static int say_nothing(void)
{
    int fd = open("/dev/null", O_RDWR);
    if (fd < 0) return -1;
    for (int to = 0; to <= 2; to++)
        if (dup2(fd, to) < 0) return -1;
    if (fd > 2) close(fd);
    return 0;
}

static int become(struct launch *l, int rank)
{
    struct cli *cli = l->cli;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != l->parent) _exit(CLI_FAILED); /* it ended before that was said */
    cli_release_interrupt();                       /* one that was noted before is forwarded */
    for (int i = 0; i < N_FROM_OUTSIDE; i++)
        signal(from_outside[i], SIG_IGN);
    if (rank == 0)
        cli_interrupt_by(FORWARDED);
    else if (say_nothing() != 0)
        _exit(CLI_FAILED);
    if (rank != 0) cli->bar.enabled = 0;
    sigprocmask(SIG_SETMASK, &l->before, NULL);
    cli->ranks = l->ranks;
    cli->rank = rank;
    if (vlqa_ranks_join(l->ranks, rank) == VLQA_OK) return CLI_OK;
    return cli_fail(cli, VLQA_ESTATE, vlqa_ranks_message(l->ranks));
}

/* ---- the one that waits ---- */

static void kill_all(struct launch *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->pid[i]) kill(l->pid[i], SIGKILL);
}

static void wait_for_all(struct launch *l)
{
    for (int i = 0; i < l->n; i++) {
        while (l->pid[i] && waitpid(l->pid[i], &l->status[i], 0) < 0 && errno == EINTR)
            ;
        l->pid[i] = 0;
    }
    l->left = 0;
}

/* As the signal would have ended one process. */
static void end_by(struct launch *l, int signal_number)
{
    sigset_t one;
    kill_all(l);
    wait_for_all(l);
    signal(signal_number, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    raise(signal_number); /* blocked until here */
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(128 + signal_number);
}

static void take_signal(struct launch *l, int signal_number)
{
    if (signal_number == SIGTERM || signal_number == SIGHUP) end_by(l, signal_number);
    if (signal_number != SIGINT) return;
    if (l->interrupts++) end_by(l, signal_number); /* the second one kills */
    if (l->pid[0]) kill(l->pid[0], FORWARDED);
}

/* Once something has gone wrong, or the answer is out, the rest has a time to end in. */
static void set_deadline(struct launch *l, int rank)
{
    int failed = !is_ok(l->status[rank]);
    double ms = 1e3 * l->cli->args->rank_timeout;
    if (rank != 0 && !failed) return;
    if (rank == 0 && failed && ms > GRACE_MS) ms = GRACE_MS;
    if (l->deadline_ms == 0 || env_ms() + ms < l->deadline_ms) l->deadline_ms = env_ms() + ms;
}

static void collect(struct launch *l)
{
    for (int i = 0; i < l->n; i++) {
        char how[64];
        if (!l->pid[i] || waitpid(l->pid[i], &l->status[i], WNOHANG) != l->pid[i]) continue;
        l->pid[i] = 0;
        l->left--;
        say_how(l->status[i], how);
        vlqa_ranks_lost(l->ranks, i, how); /* who has ended in order is waited for by nobody */
        set_deadline(l, i);
    }
}

static void give_up(struct launch *l)
{
    if (l->deadline_ms == 0 || env_ms() < l->deadline_ms) return;
    for (int i = l->n - 1; i >= 0; i--)
        if (l->pid[i]) l->given_up = i;
    kill_all(l);
    wait_for_all(l);
}

/* Until the next signal, or the deadline. */
static int next_signal(const struct launch *l)
{
    double ms = l->deadline_ms > 0 ? l->deadline_ms - env_ms() : 3600e3;
    struct timespec t = {0, 0};
    if (ms > 0) {
        t.tv_sec = (time_t)(ms / 1e3);
        t.tv_nsec = (long)((ms - 1e3 * (double)t.tv_sec) * 1e6);
    }
    return sigtimedwait(&l->waited, NULL, &t);
}

static int outcome(const struct launch *l)
{
    int first = -1;
    char how[64];
    for (int i = l->n - 1; i >= 0; i--)
        if (!is_ok(l->status[i])) first = i;
    if (first < 0) return CLI_OK;
    if (first == 0 && WIFEXITED(l->status[0]))
        return WEXITSTATUS(l->status[0]); /* it has said why */
    say_how(l->status[first], how);
    if (l->cli->bar.enabled) l->cli->bar.width = 79; /* what rank 0 may have left */
    if (l->given_up == first)
        cli_note(l->cli, "rank %d did not end with the others", first);
    else
        cli_note(l->cli, "rank %d %s", first, how);
    return CLI_FAILED;
}

static _Noreturn void wait_and_exit(struct launch *l)
{
    if (l->interrupts && l->pid[0]) kill(l->pid[0], FORWARDED);
    for (collect(l); l->left; collect(l)) {
        take_signal(l, next_signal(l));
        give_up(l);
    }
    _exit(outcome(l));
}

/* ---- starting ---- */

/* Those that are waited for are blocked, so that none comes between two looks. What was ignored
 * stays so: a shell starts background jobs like that. */
static void block_signals(struct launch *l)
{
    struct sigaction old;
    sigset_t blocked;
    signal(SIGCHLD, SIG_DFL); /* ignored, it would let statuses go */
    sigemptyset(&l->waited);
    sigaddset(&l->waited, SIGCHLD);
    for (int i = 0; i < N_FROM_OUTSIDE; i++)
        if (sigaction(from_outside[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaddset(&l->waited, from_outside[i]);
    blocked = l->waited;
    sigaddset(&blocked, FORWARDED);
    sigprocmask(SIG_BLOCK, &blocked, &l->before);
    sigdelset(&l->before, FORWARDED);
}

/* -1 in the one that waits, or the rank; *error: not all could be started, and none is there. */
static int fork_all(struct launch *l, int *error)
{
    *error = 0;
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < l->n; i++) {
        pid_t pid = fork();
        if (pid == 0) return i;
        if (pid < 0) {
            *error = errno;
            kill_all(l);
            wait_for_all(l);
            return -1;
        }
        l->pid[i] = pid;
        l->left++;
    }
    return -1;
}

/* What ranks of one host share; this is number i of them. */
static void divide(const struct cli *cli, int i, struct vlqa_engine_options *options)
{
    int here = vlqa_ranks_on_host(cli->ranks), cores = pool_cores();
    vlqa_ranks_divide_weights(cli->ranks, cli->args->divide_weights);
    options->ranks = cli->ranks;
    if (!options->threads) options->threads = cores > here ? cores / here : 1;
    if (options->device != VLQA_DEVICE_CPU) options->gpu += i;
}

/* Whoever fails says so: it may be the only one. */
static int join_launched(struct cli *cli, struct args_launch l, struct vlqa_engine_options *options)
{
    vlqa_status status = vlqa_ranks_mpi((int64_t)cli->args->rank_timeout * 1000, &cli->ranks);
    int n = vlqa_ranks_count(cli->ranks);
    if (status == VLQA_OK && n != l.n)
        status = env_fail(&cli->env, VLQA_EDEVICE,
                          "%d processes were started together, but MPI has %d", l.n, n);
    else if (status != VLQA_OK)
        (void)env_fail(&cli->env, status, "%s", vlqa_ranks_message(cli->ranks));
    if (status != VLQA_OK) return cli_fail(cli, status, cli->env.message);
    cli->rank = vlqa_ranks_rank(cli->ranks);
    if (cli->rank != 0 && say_nothing() != 0) return CLI_FAILED;
    if (cli->rank != 0) cli->bar.enabled = 0;
    divide(cli, l.on_host >= 0 ? l.on_host : cli->rank % vlqa_ranks_on_host(cli->ranks), options);
    return CLI_OK;
}

int ranks_wanted(const struct cli *cli)
{
    int launched = args_launched().n, given = cli->args->ranks;
    if (!cli->args->rank_timeout) return 1;
    return launched > 1 ? launched : given ? given : 1;
}

static int fork_ranks(struct cli *cli, struct vlqa_engine_options *options)
{
    struct launch l = {.cli = cli, .n = cli->args->ranks, .parent = getpid(), .given_up = -1};
    vlqa_status status;
    int rank, error, code;
    status = vlqa_ranks_local(l.n, (int64_t)cli->args->rank_timeout * 1000, &l.ranks);
    if (status != VLQA_OK) {
        code = cli_fail(cli, status, vlqa_ranks_message(l.ranks));
        vlqa_ranks_close(l.ranks);
        return code;
    }
    block_signals(&l);
    l.interrupts = cli_interrupted();
    rank = fork_all(&l, &error);
    if (rank < 0 && !error) wait_and_exit(&l);
    if (rank < 0) {
        sigprocmask(SIG_SETMASK, &l.before, NULL);
        cli_note(cli, "%d processes cannot be started: %s", l.n, strerror(error));
        vlqa_ranks_close(l.ranks);
        return CLI_FAILED;
    }
    code = become(&l, rank);
    if (code == CLI_OK) divide(cli, rank, options);
    return code;
}

int ranks_start(struct cli *cli, struct vlqa_engine_options *options)
{
    struct args_launch launched = args_launched();
    int given = cli->args->ranks;
    if (ranks_wanted(cli) == 1) return CLI_OK;
    if (launched.n == 1) return fork_ranks(cli, options);
    if (!given || given == launched.n) return join_launched(cli, launched, options);
    (void)env_fail(&cli->env, VLQA_EUSAGE,
                   "--ranks is %d, but %d processes were started together: leave it out", given,
                   launched.n);
    return cli_fail(cli, VLQA_EUSAGE, cli->env.message);
}
