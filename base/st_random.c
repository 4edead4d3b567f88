/* st_random.c - tensors that are made when they are asked for, to time models without weights. */
#include "base/arena.h"
#include "base/heap.h"
#include "base/pool.h"
#include "base/st_files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BLOCK (1 << 16) /* elements a run */
#define GROUP 64        /* elements a step */

struct fill {
    uint16_t *data;
    size_t n;
    uint64_t seed;
    float scale; /* of a random int16_t */
};

/* splitmix64: the number at a place, so that any thread can make any block. */
static uint64_t mixed(uint64_t seed, uint64_t place)
{
    uint64_t z = seed + (place + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Two plain loops, so that the compiler can use vectors in the second. */
static void fill_group(const struct fill *f, size_t place, uint16_t out[GROUP])
{
    uint64_t bits[GROUP / 4];
    int16_t raw[GROUP];
    for (size_t i = 0; i < GROUP / 4; i++)
        bits[i] = mixed(f->seed, place / 4 + i);
    memcpy(raw, bits, sizeof raw);
    for (int i = 0; i < GROUP; i++) {
        float value = (float)raw[i] * f->scale;
        uint32_t u;
        memcpy(&u, &value, sizeof u);
        out[i] = (uint16_t)((u + 0x8000u) >> 16); /* the nearest bf16: it is finite */
    }
}

static void fill_blocks(void *arg, int begin, int end, int worker)
{
    const struct fill *f = arg;
    size_t at = (size_t)begin * BLOCK, to = (size_t)end * BLOCK < f->n ? (size_t)end * BLOCK : f->n;
    uint16_t rest[GROUP];
    (void)worker;
    for (; to - at >= GROUP; at += GROUP)
        fill_group(f, at, f->data + at);
    if (at == to) return;
    fill_group(f, at, rest);
    memcpy(f->data + at, rest, (to - at) * sizeof *rest);
}

/* Vectors are norms or biases: ones leave the scale of what they multiply, zeros what they are
 * added to. Matrices halve the scale of their input, whatever its width. */
static void fill(struct env *env, struct fill *f, const char *name, int rank, const int64_t *dim)
{
    double inputs = 1;
    if (rank <= 1) {
        size_t n = strlen(name);
        int is_bias = n >= 4 && strcmp(name + n - 4, "bias") == 0;
        for (size_t i = 0; i < f->n; i++)
            f->data[i] = is_bias ? 0 : f32_to_bf16(1);
        return;
    }
    for (int i = 1; i < rank; i++)
        inputs *= (double)dim[i];
    f->scale = (float)(0.5 / sqrt(inputs) * sqrt(3.0) / 32768); /* uniform: range is sqrt 3 */
    pool_for(env->pool, (int)((f->n + BLOCK - 1) / BLOCK), 1, fill_blocks, f);
}

/* Keeps the table sorted; there is room. */
static void insert(struct st_files *files, struct st_record *record)
{
    int at = files->count++;
    for (; at > 0 && strcmp(files->sorted[at - 1]->tensor.name, record->tensor.name) > 0; at--)
        files->sorted[at] = files->sorted[at - 1];
    files->sorted[at] = record;
}

static vlqa_status make_room(struct env *env, struct st_files *files)
{
    int cap = files->cap ? files->cap * 2 : 64;
    struct st_record **grown;
    if (files->count < files->cap) return VLQA_OK;
    grown = heap_resize(files->sorted, (size_t)files->count * sizeof *grown,
                        (size_t)cap * sizeof *grown);
    if (!grown) return env_no_memory(env, "list of tensors", (size_t)cap * sizeof *grown);
    files->sorted = grown;
    files->cap = cap;
    return VLQA_OK;
}

vlqa_status st_make(struct env *env, struct st_files *files, const char *name, int rank,
                    const int64_t *dim, struct st_record **out)
{
    struct fill f = {.n = 1, .seed = mixed(files->seed, checksum64(name, strlen(name)))};
    struct st_part *part;
    struct st_record *record;
    size_t bytes = 0;
    int fits = 1;
    for (int i = 0; i < rank; i++)
        fits = fits && size_mul(&f.n, f.n, (size_t)dim[i]);
    if (!fits || !size_mul(&bytes, f.n, sizeof *f.data) || f.n / BLOCK >= INT32_MAX)
        return env_fail(env, VLQA_EMODEL, "%s is %s, which is too large", name,
                        st_shape(rank, dim).text);
    TRY(make_room(env, files));
    TRY(st_part_add(env, files, &part)); /* st_close frees what it gets, also after a failure */
    (void)snprintf(part->name, sizeof part->name, "random weights");
    part->records = record = heap_alloc_zero(sizeof *record);
    part->names = heap_alloc(strlen(name) + 1);
    part->made = f.data = heap_alloc(bytes);
    part->memory = part->made;
    part->bytes = bytes;
    if (!record || !part->names || !f.data) return env_no_memory(env, name, bytes);
    part->n = 1;
    fill(env, &f, name, rank, dim);
    record->tensor = (struct st_tensor){.dtype = DT_BF16, .rank = rank, .data = f.data};
    record->tensor.name = record->tensor.key = memcpy(part->names, name, strlen(name) + 1);
    record->tensor.bytes = bytes;
    memcpy(record->tensor.dim, dim, (size_t)rank * sizeof *dim);
    record->readable = 1;
    record->dtype_name = dtype_name(DT_BF16);
    record->part = files->n_parts - 1;
    insert(files, record);
    *out = record;
    return VLQA_OK;
}

vlqa_status st_open_random(struct env *env, uint64_t seed, struct st_files **out)
{
    *out = heap_alloc_zero(sizeof **out);
    if (!*out) return env_no_memory(env, "tensors", sizeof **out);
    (*out)->random = 1;
    (*out)->seed = seed;
    return VLQA_OK;
}
