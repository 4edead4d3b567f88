/* fuzz_json.c - any bytes as JSON; what is accepted is walked and asked for. */
#include "base/heap.h"
#include "base/json.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* As the loaders do, two levels down. */
static void ask(struct env *env, const struct json_doc *doc, const struct json *object)
{
    int v = 0, list[4], n = 0;
    double d = 0;
    for (const struct json *m = json_first(object); m; m = json_next(m)) {
        const char *name = json_name(m) ? json_name(m) : "x";
        (void)json_kind_name(m);
        if (json_want_int(env, doc, object, name, -5, 5, &v) == VLQA_OK) assert(v >= -5 && v <= 5);
        if (json_want_ints(env, doc, object, name, 0, 9, 4, list, &n) == VLQA_OK) assert(n <= 4);
        if (json_opt_double(env, doc, object, name, 0, 1, &d) == VLQA_OK) assert(d >= 0 && d <= 1);
        if (json_kind(object) == JSON_OBJECT) assert(json_get(object, name) == m);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct env env = {0};
    struct json_doc *doc;
    uint64_t live = heap_live();
    if (json_parse(&env, "fuzz", (const char *)data, bytes, 1 << 20, &doc) == VLQA_OK) {
        const struct json *root = json_root(doc);
        ask(&env, doc, root);
        for (const struct json *m = json_first(root); m; m = json_next(m))
            ask(&env, doc, m);
        json_free(doc);
    } else {
        assert(env.message[0]);
    }
    assert(heap_live() == live);
    return 0;
}
