/* test_ahead.c - items made on another thread come in order, few at a time, with their errors. */
#include "base/heap.h"
#include "eval/run/ahead.h"
#include "tests/check.h"

#include <stdatomic.h>
#include <time.h>

struct thing { /* zeroed, or a block that clear gives back */
    int number;
    void *block;
};

struct works {                   /* what make and clear note */
    int n, fail_at;              /* things there are; the one that cannot be made, or -1 */
    size_t bytes;                /* of each */
    atomic_int made, live, most; /* most: that were there at a time */
};

static vlqa_status make(void *user, struct env *env, void *item, size_t *bytes, int *found)
{
    struct works *w = user;
    struct thing *thing = item;
    int number = atomic_load(&w->made), live;
    CHECK(!thing->block && !thing->number);
    if (number == w->n) return VLQA_OK;
    thing->block = heap_alloc(w->bytes);
    live = atomic_fetch_add(&w->live, 1) + 1;
    if (live > atomic_load(&w->most)) atomic_store(&w->most, live);
    if (number == w->fail_at) return env_fail(env, VLQA_EIMAGE, "thing %d is broken", number);
    thing->number = number;
    *bytes = w->bytes;
    *found = 1;
    atomic_store(&w->made, number + 1);
    return VLQA_OK;
}

static void clear(void *user, void *item)
{
    struct works *w = user;
    struct thing *thing = item;
    if (thing->block) atomic_fetch_sub(&w->live, 1);
    heap_free(thing->block);
}

static struct ahead *begin(struct works *w, int depth, size_t max_bytes)
{
    struct ahead_maker maker = {w, sizeof(struct thing), make, clear};
    struct env env = {0};
    struct ahead *a;
    if (ahead_open(&env, &maker, depth, max_bytes, &a) != VLQA_OK) CHECK_FAIL("%s", env.message);
    return a;
}

/* Until nothing more is made for a while; the number of things made. */
static int settle(struct works *w)
{
    struct timespec t = {0, 20000000};
    int made, quiet = 0;
    for (made = -1; quiet < 3; nanosleep(&t, NULL)) {
        int now = atomic_load(&w->made);
        quiet = now == made ? quiet + 1 : 0;
        made = now;
    }
    return made;
}

TEST(things_come_in_order_at_every_depth)
{
    uint64_t before = heap_live();
    for (int depth = 0; depth <= AHEAD_MAX; depth = 2 * depth + 1) {
        struct works w = {.n = 100, .fail_at = -1, .bytes = 10};
        struct ahead *a = begin(&w, depth, SIZE_MAX);
        struct env env = {0};
        void *item;
        for (int i = 0; i < 100; i++) {
            REQUIRE(ahead_next(&env, a, &item) == VLQA_OK && item);
            CHECK_EQ(((struct thing *)item)->number, i);
        }
        for (int i = 0; i < 3; i++)
            CHECK(ahead_next(&env, a, &item) == VLQA_OK && !item);
        ahead_close(a);
        CHECK(atomic_load(&w.most) <= depth + 1);
        CHECK_EQ(atomic_load(&w.live), 0);
    }
    CHECK_EQ(heap_live(), before);
}

TEST(no_more_than_the_depth_is_made_ahead)
{
    for (int depth = 0; depth < 5; depth++) {
        struct works w = {.n = 100, .fail_at = -1, .bytes = 10};
        struct ahead *a = begin(&w, depth, SIZE_MAX);
        struct env env = {0};
        void *item;
        CHECK_EQ(settle(&w), depth);
        for (int i = 1; i < 4; i++) {
            REQUIRE(ahead_next(&env, a, &item) == VLQA_OK && item);
            CHECK_EQ(settle(&w), i + depth);
        }
        ahead_close(a);
        CHECK_EQ(atomic_load(&w.most), depth + 1);
        CHECK_EQ(atomic_load(&w.live), 0);
    }
}

TEST(no_more_is_made_while_there_are_bytes_enough)
{
    struct works w = {.n = 100, .fail_at = -1, .bytes = 1000};
    struct ahead *a = begin(&w, 9, 2500);
    struct env env = {0};
    void *item;
    CHECK_EQ(settle(&w), 3);
    for (int i = 1; i < 4; i++) {
        REQUIRE(ahead_next(&env, a, &item) == VLQA_OK && item);
        CHECK_EQ(settle(&w), i + 3);
    }
    ahead_close(a);
    w = (struct works){.n = 100, .fail_at = -1, .bytes = 1000};
    a = begin(&w, 9, 1); /* one that is larger than all goes through, alone */
    for (int i = 0; i < 100; i++)
        REQUIRE(ahead_next(&env, a, &item) == VLQA_OK && item);
    CHECK(ahead_next(&env, a, &item) == VLQA_OK && !item);
    ahead_close(a);
    CHECK(atomic_load(&w.most) <= 2);
    CHECK_EQ(atomic_load(&w.live), 0);
}

TEST(a_failure_comes_in_its_turn_and_stays)
{
    for (int depth = 0; depth < 4; depth++) {
        struct works w = {.n = 100, .fail_at = 5, .bytes = 10};
        struct ahead *a = begin(&w, depth, SIZE_MAX);
        void *item;
        for (int i = 0; i < 5; i++) {
            struct env env = {0};
            REQUIRE(ahead_next(&env, a, &item) == VLQA_OK && item);
            CHECK_EQ(((struct thing *)item)->number, i);
        }
        for (int i = 0; i < 3; i++) {
            struct env env = {0};
            CHECK(ahead_next(&env, a, &item) == VLQA_EIMAGE && !item);
            CHECK_STR(env.message, "thing 5 is broken");
        }
        ahead_close(a);
        CHECK_EQ(atomic_load(&w.made), 5);
        CHECK_EQ(atomic_load(&w.live), 0);
    }
}

TEST(an_end_at_any_time_leaves_nothing_behind)
{
    uint64_t before = heap_live();
    for (int taken = 0; taken < 12; taken++)
        for (int depth = 0; depth < 4; depth++) {
            struct works w = {.n = 8, .fail_at = taken % 3 ? -1 : 6, .bytes = 10};
            struct ahead *a = begin(&w, depth, taken % 2 ? 15 : SIZE_MAX);
            struct env env = {0};
            void *item;
            for (int i = 0; i < taken; i++)
                (void)ahead_next(&env, a, &item);
            ahead_close(a);
            CHECK_EQ(atomic_load(&w.live), 0);
        }
    ahead_close(NULL);
    CHECK_EQ(heap_live(), before);
}

TEST(memory_that_is_not_there_is_told)
{
    struct works w = {.n = 3, .fail_at = -1, .bytes = 10};
    struct ahead_maker maker = {&w, sizeof(struct thing), make, clear};
    for (int n = 0; n < 2; n++) {
        struct env env = {0};
        struct ahead *a;
        vlqa_status status;
        heap_fail_after(n);
        status = ahead_open(&env, &maker, 2, 100, &a);
        heap_fail_after(-1);
        CHECK(status == VLQA_EMEMORY && !a);
        CHECK_HAS(env.message, "reading ahead");
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
