/* test_image.c - images that are made ready ahead of the session that takes them. */
#include "base/heap.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 6

struct file {
    char *data;
    size_t bytes;
};

static struct file picture(void)
{
    struct file file = {malloc(1 << 20), 0};
    FILE *f = fopen(FIXTURE_PICTURE, "rb");
    if (f && file.data) file.bytes = fread(file.data, 1, 1 << 20, f);
    if (f) fclose(f);
    return file;
}

static struct vlqa_image *open_picture(const struct run *r)
{
    struct file file = picture();
    struct vlqa_image *image;
    if (vlqa_image_open(r->engine, file.data, file.bytes, "down", &image) != VLQA_OK)
        CHECK_FAIL("open: %s", vlqa_image_message(image));
    memset(file.data, 0, file.bytes); /* nothing of it is kept */
    free(file.data);
    return image;
}

TEST(an_opened_image_gives_the_bits_of_its_file)
{
    for (int no_cache = 0; no_cache < 2; no_cache++) {
        struct run r = run_new();
        struct vlqa_image_info opened, added;
        struct vlqa_image *image;
        float logits[FIXTURE_VOCAB];
        r.no_cache = no_cache;
        REQUIRE(run_open(&r));
        image = open_picture(&r);
        for (int i = 0; i < 3; i++) {
            CHECK(vlqa_session_clear(r.session) == VLQA_OK);
            CHECK(vlqa_add_image(r.session, image) == VLQA_OK);
            CHECK(run_logits(r.session, FIXTURE_QUESTION, logits));
            CHECK(memcmp(logits, run_undisturbed(), sizeof logits) == 0);
        }
        CHECK(vlqa_image_read_info(image, &opened, sizeof opened) == VLQA_OK);
        CHECK(vlqa_last_image(r.session, &added, sizeof added) == VLQA_OK);
        CHECK(opened.ms_decode > 0 && !(opened.ms_vision > 0));
        added.ms_vision = 0;
        CHECK(memcmp(&opened, &added, sizeof added) == 0);
        vlqa_image_close(image);
        run_close(&r);
    }
}

TEST(a_broken_image_says_why_and_is_not_added)
{
    struct run r = run_new(), other = run_new();
    struct vlqa_image_info info;
    struct vlqa_image *image;
    REQUIRE(run_open(&r) && run_open(&other));
    CHECK(vlqa_image_open(r.engine, "GIF89a..", 8, "x.gif", &image) == VLQA_EIMAGE);
    CHECK_HAS(vlqa_image_message(image), "x.gif: this is GIF");
    CHECK(vlqa_image_read_info(image, &info, sizeof info) == VLQA_ESTATE);
    CHECK(vlqa_add_image(r.session, image) == VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "the image was not opened");
    vlqa_image_close(image);
    CHECK(vlqa_add_image_file(r.session, FIXTURE_PICTURE) == VLQA_OK);
    CHECK(run_is_undisturbed(r.session)); /* it has that picture alone */
    CHECK(vlqa_image_open(r.engine, NULL, 8, NULL, &image) == VLQA_EUSAGE);
    CHECK_HAS(vlqa_image_message(image), "the image is NULL");
    vlqa_image_close(image);
    image = open_picture(&other);
    CHECK(vlqa_add_image(r.session, image) == VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "down was opened for another engine");
    vlqa_image_close(image);
    run_close(&r);
    run_close(&other);
}

TEST(handles_that_are_null_are_refused)
{
    struct run r = run_new();
    struct vlqa_image_info info;
    struct vlqa_image *image;
    REQUIRE(run_open(&r));
    CHECK(vlqa_image_open(NULL, "a", 1, "a", &image) == VLQA_EUSAGE);
    CHECK(!image);
    CHECK(vlqa_image_open(r.engine, "a", 1, "a", NULL) == VLQA_EUSAGE);
    CHECK(vlqa_add_image(NULL, NULL) == VLQA_EUSAGE);
    CHECK(vlqa_add_image(r.session, NULL) == VLQA_EUSAGE);
    CHECK(vlqa_image_read_info(NULL, &info, sizeof info) == VLQA_EUSAGE);
    CHECK_STR(vlqa_image_message(NULL), "no image");
    vlqa_image_close(NULL);
    run_close(&r);
}

TEST(an_image_that_finds_no_memory_leaves_none_behind)
{
    struct run r = run_new();
    struct file file = picture();
    uint64_t before;
    int made = 0;
    REQUIRE(run_open(&r));
    before = heap_live();
    for (int n = 0; !made && n < 100; n++) {
        struct vlqa_image *image;
        vlqa_status status;
        heap_fail_after(n);
        status = vlqa_image_open(r.engine, file.data, file.bytes, "down", &image);
        heap_fail_after(-1);
        made = status == VLQA_OK;
        CHECK(made || status == VLQA_EMEMORY);
        vlqa_image_close(image);
        CHECK_EQ(heap_live(), before);
    }
    CHECK(made);
    free(file.data);
    run_close(&r);
}

/* ---- on other threads ---- */

struct reader {
    pthread_t thread;
    struct vlqa_engine *engine;
    struct file file;
    struct vlqa_image *image[ROUNDS];
};

static void *read_images(void *arg)
{
    struct reader *reader = arg;
    for (int i = 0; i < ROUNDS; i++)
        if (vlqa_image_open(reader->engine, reader->file.data, reader->file.bytes, "down",
                            &reader->image[i]) != VLQA_OK)
            return reader;
    return NULL;
}

TEST(images_are_opened_while_sessions_answer)
{
    struct run r = run_new();
    struct reader reader[2];
    float logits[FIXTURE_VOCAB];
    void *failed;
    r.threads = 2;
    r.no_cache = 1;
    REQUIRE(run_open(&r));
    for (int k = 0; k < 2; k++) {
        reader[k] = (struct reader){.engine = r.engine, .file = picture()};
        REQUIRE(pthread_create(&reader[k].thread, NULL, read_images, &reader[k]) == 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(vlqa_session_clear(r.session) == VLQA_OK);
        CHECK(vlqa_add_image_file(r.session, FIXTURE_PICTURE) == VLQA_OK);
        CHECK(run_is_undisturbed(r.session));
    }
    for (int k = 0; k < 2; k++) {
        CHECK(pthread_join(reader[k].thread, &failed) == 0 && !failed);
        for (int i = 0; i < ROUNDS; i++) {
            CHECK(vlqa_session_clear(r.session) == VLQA_OK);
            CHECK(vlqa_add_image(r.session, reader[k].image[i]) == VLQA_OK);
            CHECK(run_logits(r.session, FIXTURE_QUESTION, logits));
            CHECK(memcmp(logits, run_undisturbed(), sizeof logits) == 0);
            vlqa_image_close(reader[k].image[i]);
        }
        free(reader[k].file.data);
    }
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
