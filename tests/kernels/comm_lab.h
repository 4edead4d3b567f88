/* comm_lab.h - what ranks do in tests of transports; each of these is nonzero where it was right.
 */
#ifndef TESTS_KERNELS_COMM_LAB_H
#define TESTS_KERNELS_COMM_LAB_H

#include "kernels/comm.h"

#include <string.h>
#include <unistd.h>

#define MOST 5

static const uint8_t same[COMM_KEY];

typedef int (*rank_fn)(struct vlqa_ranks *r);

/* Parts of many sizes, empty ones and ones of several pieces among them. */
static inline size_t size_of(int turn, int rank)
{
    static const size_t sizes[] = {
        0, 1, 100, COMM_PIECE - 1, COMM_PIECE, COMM_PIECE + 1, 3 * COMM_PIECE + 17};
    return sizes[(size_t)(turn * 3 + rank * 5) % (sizeof sizes / sizeof *sizes)];
}

static inline uint8_t value_of(int turn, int rank, size_t i)
{
    return (uint8_t)(i * 31 + i / 251 + (size_t)rank * 7 + (size_t)turn);
}

static inline int gathers_once(struct vlqa_ranks *r, int turn, const size_t *at)
{
    static uint8_t block[MOST * 4 * COMM_PIECE];
    memset(block, 0xee, sizeof block);
    for (size_t k = at[r->rank]; k < at[r->rank + 1]; k++)
        block[k] = value_of(turn, r->rank, k - at[r->rank]);
    comm_gather_host(r, COMM_KV, block, at);
    if (r->status != VLQA_OK) return 0;
    for (int i = 0; i < r->n; i++)
        for (size_t k = at[i]; k < at[i + 1]; k++)
            if (block[k] != value_of(turn, i, k - at[i])) return 0;
    return block[at[r->n]] == 0xee;
}

static inline int gathers(struct vlqa_ranks *r)
{
    size_t given = 0, taken = 0;
    for (int turn = 0; turn < 40; turn++) {
        size_t at[MOST + 1] = {0};
        for (int i = 0; i < r->n; i++)
            at[i + 1] = at[i] + size_of(turn, i);
        if ((turn + r->rank) % 3 == 0) usleep(500);
        if (!gathers_once(r, turn, at)) return 0;
        given += at[r->rank + 1] - at[r->rank];
        taken += at[r->n] - (at[r->rank + 1] - at[r->rank]);
    }
    return r->count[COMM_KV].given == given && r->count[COMM_KV].taken == taken;
}

static inline int agrees(struct vlqa_ranks *r)
{
    struct env env = {0};
    if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
    if (comm_choose(r, r->rank + 7) != 7) return 0;
    if (comm_agree(r, &env, VLQA_OK) != VLQA_OK) return 0;
    if (r->rank >= 2) (void)env_fail(&env, VLQA_EMEMORY, "no room on %d", r->rank);
    if (comm_agree(r, &env, r->rank >= 2 ? VLQA_EMEMORY : VLQA_OK) != VLQA_EMEMORY) return 0;
    if (strcmp(env.message, "rank 2: no room on 2") != 0) return 0;
    return comm_choose(r, r->rank + 8) == 8; /* they go on */
}

/* Two leave for different reasons, when all have begun: one of these is that of all. */
static inline int leaves_too(struct vlqa_ranks *r)
{
    static const vlqa_status statuses[] = {VLQA_OK, VLQA_EIO, VLQA_EMEMORY};
    struct env env = {0};
    for (int turn = 0; turn < 20; turn++) {
        vlqa_status mine = statuses[r->rank % 3], all;
        uint8_t seen[MOST] = {0};
        size_t at[MOST + 1];
        if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
        (void)comm_agree(r, &env, VLQA_OK);
        if (mine != VLQA_OK) (void)env_fail(&env, mine, "status %d", (int)mine);
        all = mine == VLQA_OK ? comm_agree(r, &env, mine) : comm_end(r, &env, mine);
        if ((all != VLQA_EIO && all != VLQA_EMEMORY) || !strstr(env.message, "status ")) return 0;
        if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
        for (int i = 0; i <= r->n; i++)
            at[i] = (size_t)i;
        seen[r->rank] = (uint8_t)all;
        comm_gather_host(r, COMM_CONTROL, seen, at);
        for (int i = 0; i < r->n; i++)
            if (seen[i] != all) return 0;
    }
    return 1;
}

/* One leaves in the middle, when all have begun, and others wait for it; then all of them go on. */
static inline int leaves(struct vlqa_ranks *r)
{
    struct env env = {0};
    for (int turn = 1; turn < 20; turn++) {
        size_t at[MOST + 1];
        uint8_t block[MOST] = {0};
        for (int i = 0; i <= r->n; i++)
            at[i] = (size_t)i;
        if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
        for (int k = 0; k < turn; k++)
            comm_gather_host(r, COMM_CONTROL, block, at);
        if (r->rank == turn % r->n) {
            (void)env_fail(&env, VLQA_EIO, "the disk of %d", turn);
            if (comm_end(r, &env, VLQA_EIO) != VLQA_EIO) return 0;
            continue;
        }
        for (int k = 0; k < 3; k++)
            comm_gather_host(r, COMM_CONTROL, block, at);
        if (comm_agree(r, &env, VLQA_OK) != VLQA_EIO) return 0;
        if (comm_end(r, &env, VLQA_EIO) != VLQA_EIO) return 0;
        if (!strstr(env.message, "the disk of")) return 0;
    }
    return comm_begin(r, &env, "it", same) == VLQA_OK && comm_choose(r, r->rank) == 0;
}

/* One leaves at once, and nobody reads what others gave meanwhile; it is not taken for what they
 * give next. */
static inline int leaves_much(struct vlqa_ranks *r)
{
    struct env env = {0};
    size_t at[MOST + 1];
    for (int i = 0; i <= r->n; i++)
        at[i] = (size_t)i * (3 * COMM_PIECE + 17);
    for (int turn = 0; turn < 12; turn++) {
        if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
        (void)comm_agree(r, &env, VLQA_OK);
        if (r->rank != turn % r->n) {
            for (int k = 0; k < 20; k++)
                (void)comm_choose(r, -1);
            if (gathers_once(r, turn, at)) return 0;
            if (comm_agree(r, &env, VLQA_OK) != VLQA_EIO) return 0;
        }
        (void)env_fail(&env, VLQA_EIO, "the disk");
        if (comm_end(r, &env, VLQA_EIO) != VLQA_EIO) return 0;
        if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
        if (comm_choose(r, 100 * turn + r->rank) != 100 * turn) return 0;
        if (!gathers_once(r, turn + 1, at)) return 0;
    }
    return 1;
}

static inline int differs(struct vlqa_ranks *r)
{
    struct env env = {0};
    uint8_t key[COMM_KEY] = {0};
    key[31] = r->rank == 1;
    return comm_begin(r, &env, "the question", key) == VLQA_ESTATE &&
           strstr(env.message, "the question: rank 1 was given something else") &&
           comm_begin(r, &env, "the question", same) == VLQA_OK;
}

/* The last rank stops; the others end for good within the time. */
static inline int hangs(struct vlqa_ranks *r)
{
    struct env env = {0};
    double begin = env_ms();
    if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
    if (r->rank == r->n - 1) {
        usleep(1500000);
        return comm_begin(r, &env, "it", same) == VLQA_EDEVICE; /* for it, too */
    }
    if (comm_choose(r, 1) != 1 || comm_agree(r, &env, VLQA_OK) != VLQA_EDEVICE) return 0;
    return env_ms() - begin < 10000 && strstr(env.message, "rank 2 has not answered for 0.3 s") &&
           comm_begin(r, &env, "it", same) == VLQA_EDEVICE;
}

/* Three times as long as others wait, but alive. */
static inline int works_by_itself(struct vlqa_ranks *r)
{
    struct env env = {0};
    if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
    for (int i = 0; i < 30 && r->rank == 1; i++) {
        usleep(100000);
        comm_beat(r);
    }
    return comm_agree(r, &env, VLQA_OK) == VLQA_OK;
}

/* One fails, the others only look; then all of them go on. */
static inline int looks(struct vlqa_ranks *r)
{
    struct env env = {0};
    struct comm_wait w = {0, 0};
    if (comm_begin(r, &env, "it", same) != VLQA_OK || comm_agree(r, &env, VLQA_OK) != VLQA_OK)
        return 0;
    if (r->rank == 1) {
        usleep(20000);
        (void)comm_failed(r, VLQA_EIO, "rank 1: the disk");
    }
    while (!comm_look(r, &w))
        usleep(1000);
    if (comm_status(r, &env) != VLQA_EIO || strcmp(env.message, "rank 1: the disk") != 0) return 0;
    return comm_begin(r, &env, "it", same) == VLQA_OK && comm_agree(r, &env, VLQA_OK) == VLQA_OK &&
           !comm_look(r, &w);
}

static inline int looks_too_long(struct vlqa_ranks *r)
{
    struct env env = {0};
    struct comm_wait w = {0, 0};
    double begin = env_ms();
    if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
    while (!comm_look(r, &w))
        usleep(1000);
    return env_ms() - begin > 250 && env_ms() - begin < 10000 &&
           comm_status(r, &env) == VLQA_EDEVICE && strstr(env.message, "device memory for 0.3 s");
}

#endif
