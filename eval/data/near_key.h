/* near_key.h - keys that somebody has spelled in another way than we do. */
#ifndef EVAL_NEAR_KEY_H
#define EVAL_NEAR_KEY_H

/* Whether both are the same word but for case, blanks, hyphens, underscores, a plural s, or a
 * typing error (one letter, two of long words; two letters that are exchanged count as one;
 * question_id is not question). Equal ones are near, too. */
int near_key(const char *a, const char *b);
/* The first of `known`, which ends with NULL, that is near to key; NULL: none. */
const char *near_key_find(const char *key, const char *const *known);
/* Whether the key speaks of an image, whatever else: "image_file_name", "Img", "photoUrl". */
int near_key_is_image(const char *key);
/* Whether a value names or is an image: "charts/031.PNG", "data:image/png;base64,...". */
int near_key_is_image_value(const char *text);

#endif
