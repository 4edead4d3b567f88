/* id_set.h - finds an id that two rows of a data set have, which the answers of a run could not be
 * told apart by. */
#ifndef EVAL_ID_SET_H
#define EVAL_ID_SET_H

#include "eval/data/dataset.h"

struct id_set { /* zeroed at first */
    struct id_set_entry *entry;
    size_t n, cap; /* cap: a power of two */
};

/* VLQA_EUSAGE where an earlier row has the id of this one, with both places. */
vlqa_status id_set_add(struct env *env, struct id_set *set, const struct dataset_item *item);
void id_set_free(struct id_set *set);

#endif
