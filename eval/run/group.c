/* group.c - documents to the name of a group. */
#include "eval/run/group.h"

#include "base/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct documents { /* of a question, in their order */
    uint64_t sum;
    int n;
};

static void add(struct documents *d, const char *text)
{
    uint64_t both[2] = {d->sum, checksum64(text, strlen(text))};
    d->sum = checksum64(both, sizeof both);
    d->n++;
}

const char *group_name(const struct feed_question *question, char *room)
{
    const struct dataset_item *item = &question->item;
    struct documents d = {0, 0};
    if (item->group) return item->group;
    for (int i = 0; i < item->n_images; i++)
        add(&d, item->image[i].path ? item->image[i].path : question->digest[i]);
    for (int i = 0; i < item->n_texts; i++)
        add(&d, item->text[i]);
    if (!d.n) add(&d, item->id);
    snprintf(room, GROUP_NAME, "%016" PRIx64, d.sum);
    return room;
}

uint64_t group_number(const char *name)
{
    return checksum64(name, strlen(name));
}

static void add_all(struct documents *d, const struct json *value)
{
    if (json_text(value)) add(d, json_text(value));
    for (const struct json *i = json_first(value); i; i = json_next(i))
        if (json_text(i)) add(d, json_text(i));
}

uint64_t group_of_line(const struct json *root, const char *id)
{
    static const char *const members[] = {"image", "images", "texts"};
    const struct json *group = json_get(root, "group");
    struct documents d = {0, 0};
    char number[40];
    snprintf(number, sizeof number, "%.17g", json_number(group));
    if (json_text(group)) return group_number(json_text(group));
    if (!isnan(json_number(group))) return group_number(number);
    for (int i = 0; i < 3; i++)
        add_all(&d, json_get(root, members[i]));
    if (!d.n) add(&d, id);
    return d.sum;
}
