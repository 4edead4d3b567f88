/* test_damaged.c - model files that change under an engine. */
#include "include/vlqa.h"

#include "tests/check.h"
#include "tests/fusion/fixture.h"

#include <fcntl.h>
#include <unistd.h>

#define QUESTION FIXTURE_QUESTION
#define PICTURE FIXTURE_PICTURE

struct damage { /* of the model's file, at a moment of a call */
    const char *path;
    off_t cut; /* -1: one byte is written */
    int at;    /* which call of the callback */
};

static void damage_now(const struct damage *d)
{
    int fd = open(d->path, O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    if (d->cut >= 0)
        CHECK(ftruncate(fd, d->cut) == 0);
    else
        CHECK(pwrite(fd, "x", 1, 9) == 1);
    close(fd);
}

static void damage_in_answer(void *user, int step_of_answer, const float *logits, int n)
{
    const struct damage *d = user;
    (void)logits;
    (void)n;
    if (step_of_answer == d->at) damage_now(d);
}

/* tied64 with a file of its own, so that it may be damaged. */
static void own_weights(struct fixture *f, char path[512])
{
    size_t bytes;
    char *data;
    REQUIRE(fixture_open(f, FIXTURE_TIED));
    data = fixture_read(f, "model.safetensors", &bytes);
    fixture_write(f, "model.safetensors", data, bytes);
    snprintf(path, 512, "%s", fixture_path(f, "model.safetensors"));
    free(data);
}

/* They were mapped: 28 of 40 cuts killed the process in the middle of an answer. */
TEST(weights_that_are_cut_in_an_answer_change_nothing)
{
    for (int i = 0; i < 40; i++) {
        struct run r = run_new();
        struct fixture f;
        char path[512];
        struct damage d = {path, i * 1100, i % 3};
        struct vlqa_answer answer;
        struct vlqa_ask_options o = run_ask(4);
        own_weights(&f, path);
        o.on_logits = damage_in_answer;
        o.user = &d;
        REQUIRE(fixture_engine(f.dir, VLQA_DTYPE_AUTO, &r.engine) == VLQA_OK);
        REQUIRE(vlqa_session_open(r.engine, NULL, &r.session) == VLQA_OK);
        CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
        CHECK(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
        CHECK(run_is_undisturbed(r.session));
        run_close(&r);
        fixture_close(&f);
    }
}

static int damage_in_load(void *user, const char *phase, int64_t done, int64_t total)
{
    struct damage *d = user;
    (void)phase;
    (void)total;
    if (done == d->at) damage_now(d);
    return 0;
}

/* One that was cut was read behind its end: SIGBUS. */
TEST(weights_that_change_while_they_are_read_are_an_error)
{
    for (int i = 0; i < 12; i++) {
        struct vlqa_engine_options o = vlqa_engine_options_default();
        struct vlqa_engine *engine;
        struct fixture f;
        char path[512];
        struct damage d = {path, i < 10 ? i * 4096 : -1, i % 2 + 1};
        own_weights(&f, path);
        o.model = f.dir;
        o.threads = i % 3 + 1;
        o.progress = damage_in_load;
        o.user = &d;
        CHECK(vlqa_engine_open(&o, &engine) == VLQA_EIO);
        CHECK_HAS(vlqa_engine_message(engine), "model.safetensors");
        CHECK_HAS(vlqa_engine_message(engine), "while in use");
        vlqa_engine_close(engine);
        fixture_close(&f);
    }
}

/* Between answers that was an error; now they are of the weights that were read. */
TEST(weights_that_change_under_a_session_change_nothing)
{
    for (int i = 0; i < 3; i++) {
        struct run r = run_new();
        struct fixture f;
        char path[512];
        own_weights(&f, path);
        REQUIRE(fixture_engine(f.dir, VLQA_DTYPE_AUTO, &r.engine) == VLQA_OK);
        REQUIRE(vlqa_session_open(r.engine, NULL, &r.session) == VLQA_OK);
        if (i == 0) CHECK(truncate(path, 4096) == 0);
        if (i == 1) fixture_write(&f, "model.safetensors", "x", 1); /* another file */
        if (i == 2) fixture_remove(&f, "model.safetensors");
        CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
        CHECK(run_is_undisturbed(r.session));
        run_close(&r);
        fixture_close(&f);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
