/* json.h - checked reading over cJSON: caps on size and depth, exact names, types and ranges. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/env.h"

/* cJSON allocates by heap.h from now on: whoever calls it himself does this first. */
void json_set_hooks(void);

struct json_doc; /* owns the tree */
struct json;     /* a value inside; valid while the document lives */

#define JSON_MAX_DEPTH 64

/* name is used in messages ("config.json"). VLQA_ELIMIT for more than max_bytes; VLQA_EMODEL for
 * all that is not exactly JSON (with the byte where it stops), nesting beyond JSON_MAX_DEPTH, a
 * member name twice in one object, ill-formed UTF-8, NUL in a string, bytes after the value. A
 * UTF-8 byte order mark is skipped; UTF-16 and placeholders (placeholder.h) are refused by name. */
vlqa_status json_parse(struct env *env, const char *name, const char *text, size_t bytes,
                       size_t max_bytes, struct json_doc **out);
vlqa_status json_read(struct env *env, const char *path, size_t max_bytes, struct json_doc **out);
void json_free(struct json_doc *doc); /* NULL is fine */
const struct json *json_root(const struct json_doc *doc);

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
enum json_kind json_kind(const struct json *value);
const char *json_kind_name(const struct json *value); /* "object", "missing" for NULL */

/* Walking. NULL in, NULL out. */
const struct json *json_get(const struct json *object, const char *name); /* case-sensitive */
/* The same for a member that files of the version before call `former`. */
const struct json *json_get_renamed(const struct json *object, const char *name,
                                    const char *former);
const struct json *json_first(const struct json *array_or_object);
const struct json *json_next(const struct json *value);
const char *json_name(const struct json *member); /* of a member of an object */
int json_count(const struct json *array_or_object);

/* Unchecked values of a known kind. */
const char *json_text(const struct json *string); /* NULL when it is no string */
double json_number(const struct json *number);    /* NaN when it is no number */
int json_is_true(const struct json *value);

/* Keeps how each number of doc is written ("7910.0", "1e3"), for json_written; text is what doc was
 * parsed from. Once, right after parsing. VLQA_EMEMORY */
vlqa_status json_keep_numbers(struct env *env, struct json_doc *doc, const char *text,
                              size_t bytes);
/* A string, or after json_keep_numbers a number as it is written; NULL: neither. */
const char *json_written(const struct json *value);

/* Checked members. want: must be there. opt: *out is left alone when absent or null. The message
 * says document, name, expected, found. Integers must be whole, in [min, max] and within
 * 2^53. */
vlqa_status json_want_int(struct env *env, const struct json_doc *doc, const struct json *object,
                          const char *name, int64_t min, int64_t max, int *out);
vlqa_status json_opt_int(struct env *env, const struct json_doc *doc, const struct json *object,
                         const char *name, int64_t min, int64_t max, int *out);
vlqa_status json_want_int64(struct env *env, const struct json_doc *doc, const struct json *object,
                            const char *name, int64_t min, int64_t max, int64_t *out);
vlqa_status json_opt_int64(struct env *env, const struct json_doc *doc, const struct json *object,
                           const char *name, int64_t min, int64_t max, int64_t *out);
vlqa_status json_want_double(struct env *env, const struct json_doc *doc, const struct json *object,
                             const char *name, double min, double max, double *out);
vlqa_status json_opt_double(struct env *env, const struct json_doc *doc, const struct json *object,
                            const char *name, double min, double max, double *out);
vlqa_status json_opt_bool(struct env *env, const struct json_doc *doc, const struct json *object,
                          const char *name, int *out);
vlqa_status json_want_string(struct env *env, const struct json_doc *doc, const struct json *object,
                             const char *name, const char **out);
vlqa_status json_opt_string(struct env *env, const struct json_doc *doc, const struct json *object,
                            const char *name, const char **out);
vlqa_status json_want_object(struct env *env, const struct json_doc *doc, const struct json *object,
                             const char *name, const struct json **out);
/* An array of at most cap whole numbers. */
vlqa_status json_want_ints(struct env *env, const struct json_doc *doc, const struct json *object,
                           const char *name, int64_t min, int64_t max, int cap, int *out, int *n);

#endif
