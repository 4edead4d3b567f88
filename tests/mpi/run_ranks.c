/* run_ranks.c - questions to one process, and to those of mpirun, which give the same answers.
 *
 *   run_ranks alone FILE                 writes what one process has of it
 *   mpirun -n N run_ranks FILE ON_HOST   compares each rank's with it; so many are on one host
 */
#include "tests/fusion/charts_lab.h"

static const struct setting {
    enum reuse reuse;
    enum vlqa_dtype format;
    int pass_tokens, divided;
} settings[] = {{REUSE_OFF, VLQA_DTYPE_BF16, 0, 0},      {REUSE_OFF, VLQA_DTYPE_F32, 0, 0},
                {REUSE_OFF, VLQA_DTYPE_F32, 7, 0},       {REUSE_OFF, VLQA_DTYPE_F32, 0, 1},
                {REUSE_INFOFLOW, VLQA_DTYPE_BF16, 0, 1}, {REUSE_FULL, VLQA_DTYPE_BF16, 0, 0},
                {REUSE_NONE, VLQA_DTYPE_BF16, 0, 0},     {REUSE_INFOFLOW, VLQA_DTYPE_BF16, 0, 0},
                {REUSE_PROPHET, VLQA_DTYPE_BF16, 0, 0},  {REUSE_CACHEBLEND, VLQA_DTYPE_BF16, 0, 0},
                {REUSE_EPIC, VLQA_DTYPE_BF16, 0, 0},     {REUSE_KVSHARE, VLQA_DTYPE_BF16, 0, 0},
                {REUSE_AUTO, VLQA_DTYPE_BF16, 0, 0}};
#define SETTINGS (int)(sizeof settings / sizeof *settings)

static void set(const struct setting *s)
{
    reuse = s->reuse;
    format = s->format;
    pass_tokens = s->pass_tokens;
    divided = s->divided;
}

static int alone(FILE *file, struct outcome *out)
{
    for (int i = 0; i < SETTINGS; i++) {
        set(&settings[i]);
        about_charts(NULL, &out[i]);
        CHECK_STR(out[i].message, "");
    }
    return fwrite(out, sizeof *out, SETTINGS, file) == SETTINGS && fflush(file) == 0;
}

static uint64_t given_by(const struct vlqa_ranks *r)
{
    uint64_t bytes = 0;
    for (int i = 0; i < COMM_KINDS; i++)
        bytes += r->count[i].given;
    return bytes;
}

static int by_ranks(FILE *file, struct outcome *expected, int on_host)
{
    struct vlqa_ranks *r = NULL;
    struct outcome *found = outcomes(1);
    if (!found || fread(expected, sizeof *expected, SETTINGS, file) != SETTINGS) return 0;
    if (vlqa_ranks_mpi(60000, &r) != VLQA_OK) CHECK_FAIL("%s", vlqa_ranks_message(r));
    CHECK_EQ(vlqa_ranks_on_host(r), on_host);
    for (int i = 0; i < SETTINGS && !check_failures; i++) {
        set(&settings[i]);
        memset(found, 0, sizeof *found);
        about_charts(r, found);
        if (!same_outcome(&expected[i], found))
            CHECK_FAIL("rank %d, %d: \"%s\" %s, alone \"%s\"", r->rank, i, found->text,
                       found->message, expected[i].text);
    }
    if (!check_failures)
        printf("rank %d of %d gave %llu bytes\n", r->rank, r->n, (unsigned long long)given_by(r));
    vlqa_ranks_close(r);
    return 1;
}

int main(int argc, char **argv)
{
    struct outcome *out = outcomes(SETTINGS);
    int writes = argc == 3 && strcmp(argv[1], "alone") == 0, good;
    FILE *file = argc == 3 ? fopen(argv[writes ? 2 : 1], writes ? "wb" : "rb") : NULL;
    if (!file || !out) return 2;
    good = writes ? alone(file, out) : by_ranks(file, out, atoi(argv[2]));
    return !good || check_failures || fclose(file) != 0;
}
