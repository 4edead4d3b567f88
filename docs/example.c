/* example.c - how a program asks questions about documents with libvlqa.
 *
 *   example MODEL-DIRECTORY FIRST-IMAGE SECOND-IMAGE NOTES QUESTION [QUESTION]...
 *
 * Everything is added once, then asked about as often as wanted. The answers are printed as they
 * are generated; Ctrl-C ends the answer in progress and the program. */
#include <vlqa.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t cancelled;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    cancelled = 1;
}

/* Called while images are encoded and prompts are read; nonzero cancels. */
static int on_progress(void *user, const char *phase, int64_t done, int64_t total)
{
    (void)user, (void)phase, (void)done, (void)total;
    return cancelled;
}

/* Called for each delta of an answer; nonzero ends the answer, which is no error. */
static int on_token(void *user, const char *utf8, size_t bytes)
{
    FILE *to = user;
    return fwrite(utf8, 1, bytes, to) != bytes || fflush(to) != 0 || cancelled;
}

static void on_log(void *user, enum vlqa_log_level level, const char *line)
{
    (void)user;
    if (level <= VLQA_LOG_WARN) fprintf(stderr, "%s\n", line);
}

/* Two pages and a note make one document. A call that fails changes nothing, so a program could
 * just as well leave a broken page out and go on. */
static vlqa_status add_document(struct vlqa_session *session, char **part)
{
    vlqa_status status = vlqa_add_image_file(session, part[0]);
    if (status == VLQA_OK) status = vlqa_add_image_file(session, part[1]);
    if (status == VLQA_OK) status = vlqa_add_text(session, part[2], strlen(part[2]));
    return status;
}

static vlqa_status ask(struct vlqa_session *session, const char *question)
{
    struct vlqa_ask_options options = vlqa_ask_options_default();
    struct vlqa_answer answer;
    vlqa_status status;
    options.max_tokens = 64;
    options.on_token = on_token;
    options.user = stdout;
    status = vlqa_ask(session, question, &options, &answer, sizeof answer);
    if (status != VLQA_OK) return status;
    printf("\n(%d prompt tokens, %d answer tokens, %.0f ms)\n", answer.tokens_total,
           answer.n_tokens, answer.ms_total);
    return answer.stop == VLQA_STOP_CALLER ? VLQA_ECANCELLED : VLQA_OK;
}

static vlqa_status ask_all(struct vlqa_engine *engine, char **part, char **question)
{
    struct vlqa_session_options options = vlqa_session_options_default();
    struct vlqa_session *session = NULL;
    vlqa_status status;
    options.log = on_log;
    options.progress = on_progress;
    status = vlqa_session_open(engine, &options, &session);
    if (status == VLQA_OK) status = add_document(session, part);
    for (int i = 0; question[i] && status == VLQA_OK; i++)
        status = ask(session, question[i]);
    if (status != VLQA_OK)
        fprintf(stderr, "%s: %s\n", vlqa_status_name(status),
                session ? vlqa_message(session) : vlqa_engine_message(engine));
    vlqa_session_close(session);
    return status;
}

int main(int argc, char **argv)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    struct vlqa_engine *engine = NULL;
    vlqa_status status;
    if (argc < 6) {
        fprintf(stderr, "usage: example MODEL IMAGE IMAGE NOTES QUESTION [QUESTION]...\n");
        return 2;
    }
    signal(SIGINT, on_interrupt);
    options.model = argv[1];
    options.log = on_log;
    options.progress = on_progress;
    status = vlqa_engine_open(&options, &engine); /* one for the whole program, any threads */
    if (status == VLQA_OK)
        status = ask_all(engine, argv + 2, argv + 5);
    else
        fprintf(stderr, "%s: %s\n", vlqa_status_name(status),
                engine ? vlqa_engine_message(engine) : "no memory");
    vlqa_engine_close(engine);
    return status == VLQA_OK ? 0 : 1;
}
