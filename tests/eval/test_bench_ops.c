/* test_bench_ops.c - single operations are timed: which, in what sizes, held against what. */
#include "eval/bench/ops.h"
#include "tests/check.h"

#include <stdio.h>

#define MAX_SEEN 400

struct seen {
    struct ops_machine machine;
    int machines, n, stop_after;
    struct ops_result result[MAX_SEEN];
    char shape[MAX_SEEN][64];
};

static void on_machine(void *user, const struct ops_machine *machine)
{
    struct seen *seen = user;
    seen->machine = *machine;
    seen->machines++;
}

static int on_result(void *user, const struct ops_result *result)
{
    struct seen *seen = user;
    if (seen->n < MAX_SEEN) {
        seen->result[seen->n] = *result;
        (void)snprintf(seen->shape[seen->n], sizeof seen->shape[0], "%s", result->shape);
        seen->n++;
    }
    return seen->n == seen->stop_after;
}

static struct seen seen;
static struct env env;
static enum vlqa_weights decoder_weights; /* of the next run */

static vlqa_status run(const char *filter, int rows)
{
    struct ops_options options = {.shape = "default",
                                  .seed = 3,
                                  .threads = 2,
                                  .weights = decoder_weights,
                                  .filter = filter,
                                  .n_rows = rows > 0,
                                  .row = {rows},
                                  .samples = 1,
                                  .rotation = 1 << 20,
                                  .onednn = ""};
    struct ops_watch watch = {on_machine, on_result, &seen};
    int stop_after = seen.stop_after;
    memset(&seen, 0, sizeof seen);
    seen.stop_after = stop_after;
    memset(&env, 0, sizeof env);
    return ops_time(&env, &options, &watch);
}

static int is_seen(const char *op)
{
    for (int i = 0; i < seen.n; i++)
        if (strcmp(seen.result[i].op, op) == 0) return 1;
    return 0;
}

/* "k_NAME(" at the begin of a declaration of kernels/ops.h, whatever is added there. */
TEST(every_operation_of_the_table_is_timed)
{
    FILE *file = fopen(VLQA_SOURCE_DIR "/kernels/ops.h", "r");
    char line[512];
    int n = 0;
    REQUIRE(file);
    CHECK_EQ(run(NULL, 2), VLQA_OK);
    while (fgets(line, sizeof line, file)) {
        char name[64];
        if (sscanf(line, "void k_%63[a-z_]", name) != 1 || !strstr(line, "(struct queue")) continue;
        n++;
        if (!is_seen(name)) CHECK_FAIL("%s is not timed", name);
    }
    (void)fclose(file);
    CHECK(n >= 15);
}

TEST(a_result_has_every_number)
{
    CHECK_EQ(run(NULL, 2), VLQA_OK);
    CHECK_EQ(seen.machines, 1);
    CHECK_EQ(seen.machine.threads, 2);
    CHECK(seen.machine.flops > 0 && seen.machine.flops_f32 > 0 && seen.machine.bytes > 0);
    CHECK_EQ(seen.machine.rotation, 1 << 20);
    CHECK_STR(seen.machine.onednn, "");
    for (int i = 0; i < seen.n; i++) {
        const struct ops_result *r = &seen.result[i];
        int has_flops = strstr(r->op, "matmul") || strstr("products attention score", r->op);
        CHECK(r->ms > 0 && r->bytes > 0 && *seen.shape[i]);
        CHECK_EQ(r->rows, 2);
        CHECK_EQ(r->flops > 0, has_flops);
        CHECK(isnan(r->peer_ms[PEER_F32]) && isnan(r->peer_ms[PEER_BF16]));
    }
}

/* 4 heads of 64 and 2 KV heads over 256; the tower is 192 wide with 768 in the middle. */
TEST(a_product_counts_its_additions_and_bytes)
{
    CHECK_EQ(run("matmul text.q", 3), VLQA_OK);
    REQUIRE(seen.n == 1);
    CHECK_STR(seen.result[0].op, "matmul");
    CHECK_STR(seen.result[0].part, "text.q");
    CHECK_STR(seen.shape[0], "256x256");
    CHECK(seen.result[0].flops == 2.0 * 3 * 256 * 256);
    CHECK(seen.result[0].bytes >= 2.0 * 256 * 256 + 3 * 256 * (2 + 4));
    CHECK_EQ(run("matmul vit.fc1", 1), VLQA_OK);
    REQUIRE(seen.n == 1);
    CHECK_STR(seen.shape[0], "768x192");
}

TEST(fewer_bits_are_fewer_bytes)
{
    double bytes[3];
    static const enum vlqa_weights weights[] = {VLQA_WEIGHTS_AUTO, VLQA_WEIGHTS_INT8,
                                                VLQA_WEIGHTS_INT4};
    static const char *const names[] = {"bf16", "int8", "int4"};
    for (int i = 0; i < 3; i++) {
        decoder_weights = weights[i];
        CHECK_EQ(run("matmul text.gate", 1), VLQA_OK);
        REQUIRE(seen.n == 1);
        CHECK_STR(seen.machine.weights, names[i]);
        bytes[i] = seen.result[0].bytes;
        CHECK_EQ(run("matmul text.head", 1), VLQA_OK);
        REQUIRE(seen.n == 1);
        CHECK_EQ(run("matmul vit.fc1", 1), VLQA_OK);
        CHECK(seen.result[0].bytes > 2.0 * 768 * 192); /* never quantised */
    }
    CHECK(bytes[0] > 2.0 * 768 * 256);
    CHECK(bytes[1] > 1.0 * 768 * 256 && bytes[1] < 1.1 * 768 * 256);
    CHECK(bytes[2] > 0.5 * 768 * 256 && bytes[2] < 0.7 * 768 * 256);
    decoder_weights = VLQA_WEIGHTS_AUTO;
}

TEST(attention_counts_what_rows_see)
{
    CHECK_EQ(run("attention vit", 8), VLQA_OK);
    REQUIRE(seen.n == 1);
    CHECK_STR(seen.shape[0], "3/3x64, 8 keys");
    CHECK(seen.result[0].flops == 4.0 * 192 * 8 * 8);
    CHECK_EQ(run("attention text", 2), VLQA_OK);
    REQUIRE(seen.n == 2);
    CHECK_STR(seen.shape[0], "4/2x64, 1024 keys");
    CHECK(seen.result[0].flops == 4.0 * 256 * (1024 + 1023));
}

TEST(rows_suit_the_operation_unless_they_are_given)
{
    CHECK_EQ(run("matmul text.head", 0), VLQA_OK);
    REQUIRE(seen.n == 1); /* the head has one row only */
    CHECK_EQ(seen.result[0].rows, 1);
    CHECK_EQ(run("matmul text.head", 5), VLQA_OK);
    REQUIRE(seen.n == 1);
    CHECK_EQ(seen.result[0].rows, 5);
    CHECK_EQ(run("swiglu", 0), VLQA_OK);
    REQUIRE(seen.n == 6);
    CHECK_EQ(seen.result[5].rows, 1024);
}

TEST(what_cannot_be_timed_is_said)
{
    struct ops_options options = {.shape = "3b", .samples = 1, .onednn = ""};
    struct ops_watch watch = {on_machine, on_result, &seen};
    CHECK_EQ(ops_time(&env, &options, &watch), VLQA_EUSAGE);
    CHECK_HAS(env.message, "\"3b\"");
    CHECK_EQ(run("convolution", 1), VLQA_EUSAGE);
    CHECK_HAS(env.message, "no operation has \"convolution\" in its name");
    CHECK_EQ(seen.machines, 0);
    options.shape = "default";
    options.onednn = "/nowhere/libdnnl.so.3";
    CHECK_EQ(ops_time(&env, &options, &watch), VLQA_EIO);
    CHECK_HAS(env.message, "oneDNN: /nowhere/libdnnl.so.3");
}

TEST(whoever_watches_can_end_it)
{
    seen.stop_after = 2;
    CHECK_EQ(run(NULL, 1), VLQA_ECANCELLED);
    CHECK_EQ(seen.n, 2);
    seen.stop_after = 0;
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
