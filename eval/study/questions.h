/* questions.h - a file of questions about documents, one JSON object a line.
 *
 *   {"image": "a.png" or ["a.png", "b.png"], "texts": ["..."], "question": "...",
 *    "answer": "..." or "answers": ["...", "..."]}
 *
 * Only the question must be there; members of other names are left alone. */
#ifndef EVAL_QUESTIONS_H
#define EVAL_QUESTIONS_H

#include "base/env.h"
#include "base/json.h"

struct question {
    struct json_doc *doc;
    const char *text;
    int line;     /* in the file, from 1 */
    int document; /* equal for questions about the same images and texts */
};

struct questions {
    struct question *item; /* by document, in the order of the file */
    int n;
    size_t cap;
    const char *path;
};

vlqa_status questions_read(struct env *env, const char *path, struct questions *out);
void questions_free(struct questions *q);

/* Text i of a member that is a text or a list of texts; NULL behind the last. */
const char *question_member(const struct question *q, const char *member, int i);
/* Whether the text is one of the answers, white space around it and the case of ASCII aside. */
int question_is_answer(const struct question *q, const char *text);
int question_has_answer(const struct question *q);
/* The path of an image: as it is when it is absolute, else relative to the file of questions. 0: it
 * does not fit. */
int question_image_path(const struct questions *all, const char *image, char *out, size_t cap);

#endif
