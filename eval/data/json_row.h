/* json_row.h - what a JSON row asks: its question and its images, under the keys that data sets
 * use.
 *
 *   question  question, query, prompt or text; or the one user turn of messages or conversations
 *             (ShareGPT's and LLaVA's {from, value}, OpenAI's {role, content} with content parts)
 *   images    image, images, img or imgs: one or a list; image_1, image_2, ...; else image_path(s),
 *             image_file(s), img_path, image_url(s) or imgname; and the image parts of messages
 *   an image  a path relative to the file, a data URI, base64, or an object {bytes, path} (bytes in
 *             base64, as Hugging Face's data sets have them), {url} or {image}
 *
 * Marks <image> in the question say where an image was; they are taken out, because images come
 * first, and their number must be that of the images (LLaVA's preprocess_multimodal). */
#ifndef EVAL_JSON_ROW_H
#define EVAL_JSON_ROW_H

#include "base/arena.h"
#include "base/json.h"
#include "eval/data/dataset_image.h"

struct json_row_file {
    const char *name;   /* "FILE, line N", for messages */
    const char *path;   /* of the file: images are relative to its folder */
    const char *images; /* the folder of images, as it is given; NULL: that of the file */
};

struct json_row {
    const char *question, *question_key; /* NULL: the row has none */
    const char *answer;                  /* of the turn behind the question; NULL: none */
    struct dataset_image image[DATASET_IMAGES];
    int n_images;
};

/* Bytes of an arena that takes what a row of so many bytes says. */
size_t json_row_room(size_t row_bytes, const struct json_row_file *file);
/* Texts are in the row or in the arena. VLQA_EUSAGE, with what to write, for two of image, images,
 * img and imgs, an image that cannot be one, a URL, a video or a sound, marks that do not fit,
 * several questions, a system text. */
vlqa_status json_row_read(struct env *env, const struct json_row_file *file, const struct json *row,
                          struct arena *arena, struct json_row *out);
/* VLQA_EUSAGE for a key that is near one of ours or one of `known` (ends with NULL) and is none of
 * them, and where a row has no image for a key that seems to be one, with what to write. A key that
 * begins with _ is left alone, and so are null, "", [] and {}. */
vlqa_status json_row_check_keys(struct env *env, const struct json_row_file *file,
                                const struct json *row, const struct json_row *read,
                                const char *const *known);

/* The first key of an image that has nothing in it ("", null, []), or NULL. */
const char *json_row_empty_image(const struct json *row);

/* folder/name in the arena, of the folder that the file is in; name alone, if it is absolute. */
const char *json_row_beside(struct arena *arena, const char *file, const char *folder,
                            const char *name);

#endif
