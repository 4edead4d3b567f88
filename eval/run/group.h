/* group.h - which questions belong together: those about the same images and texts in the same
 * order, or those whose rows name the same group. Intervals are drawn over groups (stats.h). */
#ifndef EVAL_GROUP_H
#define EVAL_GROUP_H

#include "base/json.h"
#include "eval/run/feed.h"

#define GROUP_NAME 17 /* bytes of a name that is made */

/* The name of a question's group: its row's, or made from the paths of its images, or from their
 * bytes where they have none, and from its texts; or from its id where there is no document. room
 * [GROUP_NAME] */
const char *group_name(const struct feed_question *question, char *room);
uint64_t group_number(const char *name);
/* Of a line of answers: what "group" says; else, in files of other programs and of versions before,
 * by "image" or "images" and "texts", and where there are none by the id. */
uint64_t group_of_line(const struct json *root, const char *id);

#endif
