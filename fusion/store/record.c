/* record.c - the name of a record: a hash over everything that its bytes depend on. */
#include "fusion/store/record.h"

#include "base/arena.h"

static void hash_int(struct hash *h, int32_t value)
{
    hash_u64(h, (uint64_t)(int64_t)value);
}

static void hash_key(struct hash *h, const struct key *key)
{
    hash_bytes(h, key->b, sizeof key->b);
}

struct key key_of(const struct key_parts *parts)
{
    struct hash h;
    hash_begin(&h, "vlqa record");
    hash_int(&h, (int32_t)parts->kind);
    hash_key(&h, &parts->model);
    hash_key(&h, &parts->content);
    hash_key(&h, &parts->prefix);
    hash_int(&h, parts->arithmetic);
    hash_int(&h, parts->cpu);
    hash_int(&h, (int32_t)parts->compute);
    hash_int(&h, (int32_t)parts->stored);
    hash_int(&h, parts->resize);
    hash_int(&h, parts->image_mode);
    hash_int(&h, parts->width);
    hash_int(&h, parts->height);
    hash_int(&h, parts->grid.h);
    hash_int(&h, parts->grid.w);
    hash_int(&h, parts->chunker);
    hash_int(&h, parts->k);
    hash_int(&h, parts->index);
    hash_int(&h, parts->halo);
    hash_int(&h, parts->salt != NULL);
    if (parts->salt) hash_text(&h, parts->salt);
    if (parts->weights) hash_text(&h, "weights"), hash_int(&h, parts->weights);
    return hash_end(&h);
}

int record_step(size_t *at, int rows, int cols, enum dtype dtype, size_t *bytes)
{
    size_t cells, end;
    if (!size_mul(&cells, (size_t)rows, (size_t)cols) ||
        !size_mul(bytes, cells, dtype_size(dtype)) || !size_add(&end, *at, *bytes) ||
        !size_add(&end, end, 63))
        return 0;
    *at = end & ~(size_t)63;
    return 1;
}

int record_fits(const struct record *r, const struct record_shape *shape)
{
    if (r->kind != shape->kind || r->rows != shape->rows || r->n_mats != shape->n_mats) return 0;
    if (r->grid.h != shape->grid.h || r->grid.w != shape->grid.w) return 0;
    for (int i = 0; i < r->n_mats; i++)
        if (r->mat[i].cols != shape->cols[i] || r->mat[i].dtype != shape->dtype) return 0;
    return 1;
}
