/* test_placement.c - a row's bits follow from the keys it sees, not from the slots they lie in. */
#include "tests/kernels/lab_amx.h"

#define KEYS 205      /* a row sees at most */
#define ALIGNMENTS 64 /* of the tail: every place in a panel of up to 64 */
#define TAIL 130      /* its first slot at alignment 0 */
#define SLOTS (TAIL + ALIGNMENTS + KEYS)
#define ROWS 11
#define HEADS 4
#define KV_HEADS 2
#define DIM 64

/* Keys in front of the gap: none, those that fill a panel or a tile, one more or less, and so many
 * that the first rows do not see the gap. */
static const int heads[] = {0, 1, 63, 64, 65, 100, 127, 128, 129};
#define N_HEADS ((int)(sizeof heads / sizeof *heads))

struct placed { /* keys and where they lie: key i in slot i before `head`, the others from tail on
                 */
    struct mat k, v;
    struct span span[ROWS];
    int head, tail;
};

struct problem {
    struct lab lab;
    struct mat q;
    struct placed packed, gapped; /* the same keys */
    enum dtype products;          /* of attention */
};

/* Values of rows that differ in magnitude by up to 2^12: their sums depend on the order. */
static struct mat spread_mat(enum dtype dtype, uint64_t seed)
{
    struct mat m = lab_mat(dtype, KEYS, KV_HEADS * DIM, KV_HEADS * DIM + 1, 1, seed);
    for (int r = 0; r < m.rows; r++) {
        double factor = exp2(floor(6 * lab_uniform(&seed)));
        for (int c = 0; c < m.cols; c++)
            lab_put(m, r, c, ref_value(m, r, c) * factor);
    }
    return m;
}

/* Each row sees more than the one before, from 35 keys to all. */
static int keys_of(int row)
{
    return KEYS - 17 * (ROWS - 1 - row);
}

static void open_problem(struct problem *p, struct lab_cpu cpu, enum dtype kv)
{
    const int width = KV_HEADS * DIM;
    lab_open(&p->lab, cpu, 2);
    p->q = lab_mat(DT_F32, ROWS, HEADS * DIM, HEADS * DIM, 3, 1);
    p->packed =
        (struct placed){.k = lab_mat(kv, KEYS, width, width + 1, 2, 2), .v = spread_mat(kv, 3)};
    p->gapped = (struct placed){.k = lab_mat(kv, SLOTS, width, width + 3, 0, 4),
                                .v = lab_mat(kv, SLOTS, width, width + 3, 0, 5)};
    for (int row = 0; row < ROWS; row++)
        p->packed.span[row] = (struct span){0, 0, keys_of(row)};
}

static void close_problem(struct problem *p)
{
    lab_free(p->gapped.v);
    lab_free(p->gapped.k);
    lab_free(p->packed.v);
    lab_free(p->packed.k);
    lab_free(p->q);
    lab_close(&p->lab);
}

static int slot_of(const struct placed *p, int key)
{
    return key < p->head ? key : key - p->head + p->tail;
}

/* The slots of the gap and behind the keys hold NaN. */
static void place_rows(const struct placed *p, struct mat to, struct mat from)
{
    memset(to.data, 0xff, mat_bytes(to.dtype, to.rows, to.stride));
    for (int key = 0; key < KEYS; key++)
        memcpy(mat_at(to, slot_of(p, key), 0), mat_at(from, key, 0),
               mat_bytes(to.dtype, 1, to.cols));
}

static void place(struct problem *p, int head, int tail)
{
    p->gapped.head = head;
    p->gapped.tail = tail;
    place_rows(&p->gapped, p->gapped.k, p->packed.k);
    place_rows(&p->gapped, p->gapped.v, p->packed.v);
    for (int row = 0; row < ROWS; row++) {
        int keys = keys_of(row);
        p->gapped.span[row] =
            keys > head ? (struct span){head, tail, tail + keys - head} : (struct span){keys, 0, 0};
    }
}

static struct mat attend_from(const struct problem *p, const struct placed *keys, int first)
{
    int n = ROWS - first;
    struct attn a = {.q = mat_rows(p->q, first, n), .k = keys->k, .v = keys->v, .scale = 0.5f};
    a.products = p->products;
    a.span = lab_spans(keys->span + first, n);
    a.heads = HEADS;
    a.kv_heads = KV_HEADS;
    a.out = lab_mat(DT_F32, n, HEADS * DIM, HEADS * DIM, 0, 1);
    k_attention(p->lab.queue, &a);
    return a.out;
}

static struct mat attend(const struct problem *p, const struct placed *keys)
{
    return attend_from(p, keys, 0);
}

/* Few rows read keys and values where they are. */
static struct mat attend_few(const struct problem *p, const struct placed *keys)
{
    return attend_from(p, keys, ROWS - 3);
}

static struct mat score(const struct problem *p, const struct placed *keys) /* [1, KEYS] */
{
    struct score s = {
        .q = p->q, .k = keys->k, .v = keys->v, .span = lab_spans(keys->span, ROWS), .scale = 0.5f};
    struct mat by_key = lab_mat(DT_F32, 1, KEYS, KEYS, 0, 1);
    s.heads = HEADS;
    s.kv_heads = KV_HEADS;
    s.out = lab_mat(DT_F32, 1, keys->k.rows, keys->k.rows, 0, 1);
    s.work = lab_alloc(k_score_work(p->lab.device, ROWS, HEADS, keys->k.rows));
    k_score(p->lab.queue, &s);
    for (int key = 0; key < KEYS; key++)
        memcpy(mat_at(by_key, 0, key), mat_at(s.out, 0, slot_of(keys, key)), sizeof(float));
    heap_free(s.work);
    lab_free(s.out);
    return by_key;
}

static void check_every_alignment(struct lab_cpu cpu, enum dtype kv, enum dtype products,
                                  struct mat (*run)(const struct problem *, const struct placed *))
{
    struct problem p;
    struct mat expected;
    open_problem(&p, cpu, kv);
    p.products = products;
    expected = run(&p, &p.packed);
    for (int i = 0; i < N_HEADS; i++) {
        int differ = 0;
        for (int alignment = 0; alignment < ALIGNMENTS; alignment++) {
            struct mat found;
            place(&p, heads[i], TAIL + alignment);
            found = run(&p, &p.gapped);
            differ += !lab_same(found, expected);
            lab_free(found);
        }
        if (differ)
            CHECK_FAIL("%s: %d of %d alignments of the tail behind %d keys change bits",
                       kv == DT_F32 ? "f32" : "bf16", differ, ALIGNMENTS, heads[i]);
    }
    lab_free(expected);
    close_problem(&p);
}

EMULATED_CPU_TEST(attention_is_the_same_wherever_its_keys_lie)
{
    check_every_alignment(cpu, DT_F32, DT_F32, attend);
    check_every_alignment(cpu, DT_BF16, DT_F32, attend);
    check_every_alignment(cpu, DT_F32, DT_F32, attend_few);
    check_every_alignment(cpu, DT_BF16, DT_F32, attend_few);
}

/* Where products may be of bf16 and are. */
AMX_TEST(attention_in_bf16_is_the_same_wherever_its_keys_lie)
{
    check_every_alignment(cpu, DT_F32, DT_BF16, attend);
    check_every_alignment(cpu, DT_BF16, DT_BF16, attend);
    check_every_alignment(cpu, DT_F32, DT_BF16, attend_few);
    check_every_alignment(cpu, DT_BF16, DT_BF16, attend_few);
}

CPU_TEST(scores_are_the_same_wherever_their_keys_lie)
{
    check_every_alignment(cpu, DT_F32, DT_F32, score);
    check_every_alignment(cpu, DT_BF16, DT_F32, score);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
