/* id_set.c - open addressing over hashes of ids. */
#include "eval/data/id_set.h"

#include "base/hash.h"
#include "base/heap.h"

struct id_set_entry {
    uint64_t hash;
    int line; /* + 1; 0: empty */
};

/* The entry of a hash, or the empty one where it belongs. */
static struct id_set_entry *find(const struct id_set *set, uint64_t hash)
{
    size_t i = (size_t)hash & (set->cap - 1);
    while (set->entry[i].line && set->entry[i].hash != hash)
        i = (i + 1) & (set->cap - 1);
    return &set->entry[i];
}

static vlqa_status grow(struct env *env, struct id_set *set)
{
    struct id_set larger = {.n = set->n, .cap = set->cap ? 2 * set->cap : 1024};
    larger.entry = heap_alloc_zero(larger.cap * sizeof *larger.entry);
    if (!larger.entry) return env_no_memory(env, "ids", larger.cap * sizeof *larger.entry);
    for (size_t i = 0; i < set->cap; i++)
        if (set->entry[i].line) *find(&larger, set->entry[i].hash) = set->entry[i];
    heap_free(set->entry);
    *set = larger;
    return VLQA_OK;
}

vlqa_status id_set_add(struct env *env, struct id_set *set, const struct dataset_item *item)
{
    uint64_t hash = checksum64(item->id, strlen(item->id));
    struct id_set_entry *entry;
    if (2 * set->n >= set->cap) TRY(grow(env, set));
    entry = find(set, hash);
    if (entry->line)
        return env_fail(
            env, VLQA_EUSAGE,
            "%.150s, %s %d: its id, %.60s, is that of %s %d, too; answers are told apart "
            "by their ids, so give every row its own, or none",
            item->file, item->unit, item->line, item->id, item->unit, entry->line - 1);
    *entry = (struct id_set_entry){hash, item->line + 1};
    set->n++;
    return VLQA_OK;
}

void id_set_free(struct id_set *set)
{
    heap_free(set->entry);
    *set = (struct id_set){.n = 0};
}
