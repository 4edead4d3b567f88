/* json.c - checked reading over cJSON. */
#include "base/json.h"

#include "base/bom.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/json_scan.h"
#include "base/placeholder.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53: cJSON keeps numbers as doubles */

struct json_doc {
    cJSON *root;
    char name[]; /* for messages */
};

/* cJSON keeps its hooks, and the place of the last error, in globals. */
static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t parse_lock = PTHREAD_MUTEX_INITIALIZER;

static void set_hooks(void)
{
    cJSON_Hooks hooks = {heap_malloc_hook, heap_free_hook};
    cJSON_InitHooks(&hooks);
}

void json_set_hooks(void)
{
    pthread_once(&hooks_once, set_hooks);
}

static const cJSON *item_of(const struct json *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct json *json_of(const cJSON *item)
{
    return (const struct json *)(const void *)item;
}

/* ---- walking the whole tree, in the order of the text ---- */

struct walk {
    int depth;
    const cJSON *at[JSON_MAX_DEPTH + 1]; /* from the root to the value we are at */
};

static struct walk walk_from(const struct json_doc *doc)
{
    struct walk w = {.depth = 0};
    w.at[0] = doc->root;
    return w;
}

static const cJSON *walk_here(const struct walk *w)
{
    return w->at[w->depth];
}

static int walk_next(struct walk *w)
{
    const cJSON *child = walk_here(w)->child;
    if (child) {
        w->at[++w->depth] = child;
        return 1;
    }
    while (w->depth > 0 && !walk_here(w)->next)
        w->depth--;
    if (w->depth == 0) return 0;
    w->at[w->depth] = walk_here(w)->next;
    return 1;
}

static int index_in(const cJSON *parent, const cJSON *item)
{
    int i = 0;
    for (const cJSON *c = parent->child; c != item; c = c->next)
        i++;
    return i;
}

struct path {
    char text[200];
};

/* "text_config.rope.theta" or "layers[3].size"; cut when it is long. */
static struct path walk_path(const struct walk *w, const char *member)
{
    struct path p = {""};
    size_t n = 0;
    for (int i = 1; i <= w->depth && n < sizeof p.text; i++) {
        const char *dot = n ? "." : "";
        if (w->at[i]->string)
            n += (size_t)snprintf(p.text + n, sizeof p.text - n, "%s%.60s", dot, w->at[i]->string);
        else
            n += (size_t)snprintf(p.text + n, sizeof p.text - n, "[%d]",
                                  index_in(w->at[i - 1], w->at[i]));
    }
    if (n < sizeof p.text)
        (void)snprintf(p.text + n, sizeof p.text - n, "%s%.60s", n ? "." : "", member);
    return p;
}

/* For messages only: looks for the object in the document. */
static struct path path_of(const struct json_doc *doc, const struct json *object, const char *name)
{
    struct walk w = walk_from(doc);
    do {
        if (walk_here(&w) == item_of(object)) return walk_path(&w, name);
    } while (walk_next(&w));
    w.depth = 0;
    return walk_path(&w, name);
}

/* ---- parsing ---- */

struct member {
    uint64_t hash;
    const char *name;
};

static int member_order(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* A name that the object has twice, or NULL. */
static const char *duplicate_name(const cJSON *object, struct member *scratch)
{
    size_t n = 0;
    for (const cJSON *c = object->child; c; c = c->next)
        scratch[n++] = (struct member){checksum64(c->string, strlen(c->string)), c->string};
    if (n > 1) qsort(scratch, n, sizeof *scratch, member_order);
    for (size_t i = 1; i < n; i++)
        if (member_order(&scratch[i - 1], &scratch[i]) == 0) return scratch[i].name;
    return NULL;
}

static size_t largest_object(const struct json_doc *doc)
{
    struct walk w = walk_from(doc);
    size_t largest = 0;
    do {
        const cJSON *here = walk_here(&w);
        size_t n = cJSON_IsObject(here) ? (size_t)cJSON_GetArraySize(here) : 0;
        if (n > largest) largest = n;
    } while (walk_next(&w));
    return largest;
}

/* What the grammar allows and we do not: names twice in an object, numbers beyond a double. */
static vlqa_status check_tree(struct env *env, const struct json_doc *doc)
{
    size_t bytes = largest_object(doc) * sizeof(struct member);
    struct member *scratch = heap_alloc(bytes);
    struct walk w = walk_from(doc);
    vlqa_status status = VLQA_OK;
    if (!scratch) return env_no_memory(env, doc->name, bytes);
    do {
        const cJSON *here = walk_here(&w);
        const char *twice = cJSON_IsObject(here) ? duplicate_name(here, scratch) : NULL;
        if (twice)
            status = env_fail(env, VLQA_EMODEL, "%s: %s is there twice", doc->name,
                              walk_path(&w, twice).text);
        else if (cJSON_IsNumber(here) && !isfinite(here->valuedouble))
            status =
                env_fail(env, VLQA_EMODEL, "%s: a number is too large for a double", doc->name);
    } while (status == VLQA_OK && walk_next(&w));
    heap_free(scratch);
    return status;
}

/* Why the text is no JSON: a file of another kind by its name, else the place where it stops. */
static vlqa_status fail_scan(struct env *env, const char *name, const char *text, size_t bytes,
                             const char *problem, size_t offset)
{
    const char *encoding = bom_foreign(text, bytes);
    TRY(placeholder_check(env, VLQA_EMODEL, name, text, bytes));
    if (encoding)
        return env_fail(env, VLQA_EMODEL,
                        "%s is %s text, expected UTF-8: save it as UTF-8, or convert it with "
                        "\"iconv -f %s -t UTF-8\"",
                        name, encoding, encoding);
    return env_fail(env, VLQA_EMODEL, "%s: %s at byte %zu, expected JSON", name, problem, offset);
}

vlqa_status json_parse(struct env *env, const char *name, const char *text, size_t bytes,
                       size_t max_bytes, struct json_doc **out)
{
    size_t offset, mark = bom_bytes(text, bytes), size = sizeof(struct json_doc) + strlen(name) + 1;
    const char *problem;
    struct json_doc *doc;
    vlqa_status status;
    *out = NULL;
    if (bytes > max_bytes)
        return env_fail(env, VLQA_ELIMIT, "%s has %zu bytes, expected at most %zu", name, bytes,
                        max_bytes);
    problem = json_scan(text + mark, bytes - mark, &offset);
    if (problem) return fail_scan(env, name, text, bytes, problem, mark + offset);
    doc = heap_alloc(size);
    if (!doc) return env_no_memory(env, name, size);
    memcpy(doc->name, name, strlen(name) + 1);
    json_set_hooks();
    pthread_mutex_lock(&parse_lock);
    doc->root = cJSON_ParseWithLengthOpts(text + mark, bytes - mark, NULL, 0);
    pthread_mutex_unlock(&parse_lock);
    status = doc->root ? check_tree(env, doc) : env_no_memory(env, name, bytes);
    if (status != VLQA_OK) {
        json_free(doc);
        return status;
    }
    *out = doc;
    return VLQA_OK;
}

vlqa_status json_read(struct env *env, const char *path, size_t max_bytes, struct json_doc **out)
{
    void *text;
    size_t bytes;
    vlqa_status status;
    *out = NULL;
    TRY(file_read(env, path, max_bytes, &text, &bytes));
    status = json_parse(env, path, text, bytes, max_bytes, out);
    heap_free(text);
    return status;
}

void json_free(struct json_doc *doc)
{
    if (!doc) return;
    cJSON_Delete(doc->root);
    heap_free(doc);
}

const struct json *json_root(const struct json_doc *doc)
{
    return json_of(doc->root);
}

/* ---- numbers as they are written ---- */

static int is_in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The next number of a text that is JSON, outside of its strings; NULL: there is none. */
static const char *next_number(const char *at, const char *end, size_t *bytes)
{
    for (int is_string = 0; at < end; at++) {
        if (is_string && *at == '\\')
            at++;
        else if (*at == '"')
            is_string = !is_string;
        else if (!is_string && (*at == '-' || (*at >= '0' && *at <= '9')))
            break;
    }
    for (*bytes = 0; at + *bytes < end && is_in_number(at[*bytes]);)
        ++*bytes;
    return at < end ? at : NULL;
}

vlqa_status json_keep_numbers(struct env *env, struct json_doc *doc, const char *text, size_t bytes)
{
    struct walk w = walk_from(doc);
    const char *at = text, *end = text + bytes;
    do {
        cJSON *here = (cJSON *)(uintptr_t)walk_here(&w);
        size_t n;
        if (!cJSON_IsNumber(here) || here->valuestring) continue;
        at = next_number(at, end, &n);
        assert(at);
        here->valuestring = heap_malloc_hook(n + 1); /* cJSON_Delete frees it */
        if (!here->valuestring) return env_no_memory(env, doc->name, n + 1);
        memcpy(here->valuestring, at, n);
        here->valuestring[n] = 0;
        at += n;
    } while (walk_next(&w));
    return VLQA_OK;
}

const char *json_written(const struct json *value)
{
    if (!cJSON_IsNumber(item_of(value))) return json_text(value);
    return item_of(value)->valuestring;
}

/* ---- walking by hand ---- */

enum json_kind json_kind(const struct json *value)
{
    const cJSON *item = item_of(value);
    if (cJSON_IsBool(item)) return JSON_BOOL;
    if (cJSON_IsNumber(item)) return JSON_NUMBER;
    if (cJSON_IsString(item)) return JSON_STRING;
    if (cJSON_IsArray(item)) return JSON_ARRAY;
    if (cJSON_IsObject(item)) return JSON_OBJECT;
    return JSON_NULL;
}

const char *json_kind_name(const struct json *value)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",     [JSON_BOOL] = "bool",   [JSON_NUMBER] = "number",
        [JSON_STRING] = "string", [JSON_ARRAY] = "array", [JSON_OBJECT] = "object"};
    return value ? names[json_kind(value)] : "missing";
}

const struct json *json_get(const struct json *object, const char *name)
{
    if (!object || json_kind(object) != JSON_OBJECT) return NULL;
    return json_of(cJSON_GetObjectItemCaseSensitive(item_of(object), name));
}

const struct json *json_get_renamed(const struct json *object, const char *name, const char *former)
{
    const struct json *value = json_get(object, name);
    return value ? value : json_get(object, former);
}

const struct json *json_first(const struct json *array_or_object)
{
    return array_or_object ? json_of(item_of(array_or_object)->child) : NULL;
}

const struct json *json_next(const struct json *value)
{
    return value ? json_of(item_of(value)->next) : NULL;
}

const char *json_name(const struct json *member)
{
    return member ? item_of(member)->string : NULL;
}

int json_count(const struct json *array_or_object)
{
    return cJSON_GetArraySize(item_of(array_or_object));
}

const char *json_text(const struct json *string)
{
    return cJSON_GetStringValue((cJSON *)(uintptr_t)item_of(string));
}

double json_number(const struct json *number)
{
    return cJSON_IsNumber(item_of(number)) ? item_of(number)->valuedouble : (double)NAN;
}

int json_is_true(const struct json *value)
{
    return cJSON_IsTrue(item_of(value));
}

/* ---- checked members ---- */

static vlqa_status fail_kind(struct env *env, const struct json_doc *doc, const struct json *object,
                             const char *name, const char *expected)
{
    const char *found = json_kind_name(json_get(object, name));
    return env_fail(env, VLQA_EMODEL, "%s: %s is %s, expected %s", doc->name,
                    path_of(doc, object, name).text, found, expected);
}

/* Absent, or null, which configurations write for "as usual". */
static int is_absent(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, name);
    return !value || json_kind(value) == JSON_NULL;
}

static int is_whole(double v, int64_t min, int64_t max)
{
    return fabs(v) <= EXACT_MAX && v == floor(v) && (int64_t)v >= min && (int64_t)v <= max;
}

vlqa_status json_want_int64(struct env *env, const struct json_doc *doc, const struct json *object,
                            const char *name, int64_t min, int64_t max, int64_t *out)
{
    const struct json *value = json_get(object, name);
    double v = json_number(value);
    if (isnan(v)) return fail_kind(env, doc, object, name, "a number");
    if (!is_whole(v, min, max))
        return env_fail(env, VLQA_EMODEL, "%s: %s is %.17g, expected %s%lld..%lld", doc->name,
                        path_of(doc, object, name).text, v,
                        v == floor(v) ? "" : "a whole number in ", (long long)min, (long long)max);
    *out = (int64_t)v;
    return VLQA_OK;
}

vlqa_status json_opt_int64(struct env *env, const struct json_doc *doc, const struct json *object,
                           const char *name, int64_t min, int64_t max, int64_t *out)
{
    if (is_absent(object, name)) return VLQA_OK;
    return json_want_int64(env, doc, object, name, min, max, out);
}

vlqa_status json_want_int(struct env *env, const struct json_doc *doc, const struct json *object,
                          const char *name, int64_t min, int64_t max, int *out)
{
    int64_t v = 0;
    assert(min >= INT_MIN && max <= INT_MAX);
    TRY(json_want_int64(env, doc, object, name, min, max, &v));
    *out = (int)v;
    return VLQA_OK;
}

vlqa_status json_opt_int(struct env *env, const struct json_doc *doc, const struct json *object,
                         const char *name, int64_t min, int64_t max, int *out)
{
    if (is_absent(object, name)) return VLQA_OK;
    return json_want_int(env, doc, object, name, min, max, out);
}

vlqa_status json_want_double(struct env *env, const struct json_doc *doc, const struct json *object,
                             const char *name, double min, double max, double *out)
{
    double v = json_number(json_get(object, name));
    if (isnan(v)) return fail_kind(env, doc, object, name, "a number");
    if (v < min || v > max)
        return env_fail(env, VLQA_EMODEL, "%s: %s is %g, expected %g..%g", doc->name,
                        path_of(doc, object, name).text, v, min, max);
    *out = v;
    return VLQA_OK;
}

vlqa_status json_opt_double(struct env *env, const struct json_doc *doc, const struct json *object,
                            const char *name, double min, double max, double *out)
{
    if (is_absent(object, name)) return VLQA_OK;
    return json_want_double(env, doc, object, name, min, max, out);
}

vlqa_status json_opt_bool(struct env *env, const struct json_doc *doc, const struct json *object,
                          const char *name, int *out)
{
    const struct json *value = json_get(object, name);
    if (is_absent(object, name)) return VLQA_OK;
    if (json_kind(value) != JSON_BOOL) return fail_kind(env, doc, object, name, "true or false");
    *out = json_is_true(value);
    return VLQA_OK;
}

vlqa_status json_want_string(struct env *env, const struct json_doc *doc, const struct json *object,
                             const char *name, const char **out)
{
    const char *text = json_text(json_get(object, name));
    if (!text) return fail_kind(env, doc, object, name, "a string");
    *out = text;
    return VLQA_OK;
}

vlqa_status json_opt_string(struct env *env, const struct json_doc *doc, const struct json *object,
                            const char *name, const char **out)
{
    if (is_absent(object, name)) return VLQA_OK;
    return json_want_string(env, doc, object, name, out);
}

vlqa_status json_want_object(struct env *env, const struct json_doc *doc, const struct json *object,
                             const char *name, const struct json **out)
{
    const struct json *value = json_get(object, name);
    if (!value || json_kind(value) != JSON_OBJECT)
        return fail_kind(env, doc, object, name, "an object");
    *out = value;
    return VLQA_OK;
}

vlqa_status json_want_ints(struct env *env, const struct json_doc *doc, const struct json *object,
                           const char *name, int64_t min, int64_t max, int cap, int *out, int *n)
{
    const struct json *array = json_get(object, name);
    int count = 0;
    assert(min >= INT_MIN && max <= INT_MAX);
    if (!array || json_kind(array) != JSON_ARRAY)
        return fail_kind(env, doc, object, name, "an array of whole numbers");
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        if (count == cap)
            return env_fail(env, VLQA_EMODEL, "%s: %s has %d elements, expected at most %d",
                            doc->name, path_of(doc, object, name).text, json_count(array), cap);
        if (!is_whole(json_number(v), min, max))
            return env_fail(env, VLQA_EMODEL, "%s: %s[%d] is no whole number in %lld..%lld",
                            doc->name, path_of(doc, object, name).text, count, (long long)min,
                            (long long)max);
        out[count++] = (int)json_number(v);
    }
    *n = count;
    return VLQA_OK;
}
