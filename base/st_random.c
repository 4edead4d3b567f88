/* st_random.c - tensors that are made while they are read, to time models without weights. */
#include "base/arena.h"
#include "base/heap.h"
#include "base/st_files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GROUP 64 /* elements that are made at a time */

/* splitmix64: the number at a place, so that any thread can make any part. */
static uint64_t mixed(uint64_t seed, uint64_t place)
{
    uint64_t z = seed + (place + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Two plain loops, so that the compiler can use vectors in the second. */
static void matrix_group(const struct st_random *r, size_t place, uint16_t out[GROUP])
{
    uint64_t bits[GROUP / 4];
    int16_t raw[GROUP];
    for (size_t i = 0; i < GROUP / 4; i++)
        bits[i] = mixed(r->seed, place / 4 + i);
    memcpy(raw, bits, sizeof raw);
    for (int i = 0; i < GROUP; i++) {
        float value = (float)raw[i] * r->scale;
        uint32_t u;
        memcpy(&u, &value, sizeof u);
        out[i] = (uint16_t)((u + 0x8000u) >> 16); /* the nearest bf16: it is finite */
    }
}

static void group(const struct st_random *r, size_t place, uint16_t out[GROUP])
{
    if (r->scale != 0) {
        matrix_group(r, place, out);
        return;
    }
    for (int i = 0; i < GROUP; i++)
        out[i] = r->all;
}

void st_random_bytes(const struct st_random *r, size_t begin, void *dst, size_t bytes)
{
    uint16_t made[GROUP];
    for (size_t done = 0, n; done < bytes; done += n) {
        size_t at = begin + done, skip = at % sizeof made;
        n = sizeof made - skip < bytes - done ? sizeof made - skip : bytes - done;
        group(r, at / sizeof made * GROUP, made);
        memcpy((uint8_t *)dst + done, (const uint8_t *)made + skip, n);
    }
}

/* Vectors are norms or biases: ones leave the scale of what they multiply, zeros what they are
 * added to. Matrices halve the scale of their input, whatever its width. */
static struct st_random random_of(uint64_t seed, const char *name, int rank, const int64_t *dim)
{
    size_t n = strlen(name);
    int is_bias = n >= 4 && strcmp(name + n - 4, "bias") == 0;
    struct st_random r = {.seed = mixed(seed, checksum64(name, n))};
    double inputs = 1;
    for (int i = 1; i < rank; i++)
        inputs *= (double)dim[i];
    if (rank > 1)
        r.scale = (float)(0.5 / sqrt(inputs) * sqrt(3.0) / 32768); /* uniform: range is sqrt 3 */
    else
        r.all = is_bias ? 0 : f32_to_bf16(1);
    return r;
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
    struct st_part *part;
    struct st_record *record;
    size_t bytes = sizeof(uint16_t);
    int fits = 1;
    for (int i = 0; i < rank; i++)
        fits = fits && size_mul(&bytes, bytes, (size_t)dim[i]);
    if (!fits)
        return env_fail(env, VLQA_EMODEL, "%s is %s, which is too large", name,
                        st_shape(rank, dim).text);
    TRY(make_room(env, files));
    TRY(st_part_add(env, files, &part)); /* st_close frees what it gets, also after a failure */
    (void)snprintf(part->name, sizeof part->name, "random weights");
    part->records = record = heap_alloc_zero(sizeof *record);
    part->names = heap_alloc(strlen(name) + 1);
    part->bytes = bytes;
    part->made = 1;
    part->random = random_of(files->seed, name, rank, dim);
    if (!record || !part->names) return env_no_memory(env, name, sizeof *record);
    part->n = 1;
    record->tensor = (struct st_tensor){.dtype = DT_BF16, .rank = rank};
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

int st_random_matrix(const struct st_files *files, const struct st_tensor *t, uint64_t *seed,
                     float *scale)
{
    const struct st_part *part = &files->parts[((const struct st_record *)t)->part];
    *seed = part->random.seed;
    *scale = part->random.scale;
    return part->made && part->random.scale != 0;
}

vlqa_status st_open_random(struct env *env, uint64_t seed, struct st_files **out)
{
    *out = heap_alloc_zero(sizeof **out);
    if (!*out) return env_no_memory(env, "tensors", sizeof **out);
    (*out)->random = 1;
    (*out)->seed = seed;
    return VLQA_OK;
}
