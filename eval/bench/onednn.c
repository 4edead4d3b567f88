/* onednn.c - oneDNN by its C interface of version 3, opened when the program runs. */
#include "eval/bench/onednn.h"

#include "base/heap.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* What is used of the interface; all of its objects are pointers that we do not look into. */
enum {
    DNNL_OK = 0,
    DNNL_CPU = 1,
    DNNL_DEFAULT_STREAM = 1,
    DNNL_BF16 = 2,
    DNNL_F32 = 3,
    DNNL_ANY = 1, /* layouts: whatever is best; rows; columns */
    DNNL_ROWS = 3,
    DNNL_COLUMNS = 14,
    DNNL_WEIGHTS_DESC = 131,
    DNNL_GELU_TANH = 0x2b,
    DNNL_GELU_ERF = 0x31,
    DNNL_SEQUENTIAL = 1,
    DNNL_OPENMP = 2
};

enum { ARG_SRC = 1, ARG_DST = 17, ARG_WEIGHTS = 33, ARG_BIAS = 41, ARG_FROM = 1, ARG_TO = 17 };

struct dnnl_version {
    int major, minor, patch;
    const char *hash;
    unsigned cpu_runtime, gpu_runtime;
};

struct dnnl_arg {
    int which;
    void *memory;
};

typedef int64_t dnnl_dims[12];

struct dnnl_api {
    const struct dnnl_version *(*version)(void);
    int (*engine_create)(void **engine, int kind, size_t index);
    int (*engine_destroy)(void *engine);
    int (*stream_create)(void **stream, void *engine, unsigned flags);
    int (*stream_wait)(void *stream);
    int (*stream_destroy)(void *stream);
    int (*memory_desc_create_with_tag)(void **desc, int rank, const dnnl_dims dims, int dtype,
                                       int layout);
    int (*memory_desc_clone)(void **desc, const void *from);
    int (*memory_desc_equal)(const void *a, const void *b);
    size_t (*memory_desc_get_size)(const void *desc);
    int (*memory_desc_destroy)(void *desc);
    int (*memory_create)(void **memory, const void *desc, void *engine, void *data);
    int (*memory_destroy)(void *memory);
    int (*primitive_attr_create)(void **attr);
    int (*primitive_attr_set_post_ops)(void *attr, const void *ops);
    int (*primitive_attr_destroy)(void *attr);
    int (*post_ops_create)(void **ops);
    int (*post_ops_append_eltwise)(void *ops, int algorithm, float alpha, float beta);
    int (*post_ops_destroy)(void *ops);
    int (*matmul_primitive_desc_create)(void **out, void *engine, const void *src,
                                        const void *weights, const void *bias, const void *dst,
                                        const void *attr);
    int (*reorder_primitive_desc_create)(void **out, const void *from, void *from_engine,
                                         const void *to, void *to_engine, const void *attr);
    const void *(*primitive_desc_query_md)(const void *desc, int what, int index);
    int (*primitive_desc_destroy)(void *desc);
    int (*primitive_create)(void **primitive, const void *desc);
    int (*primitive_execute)(const void *primitive, void *stream, int n,
                             const struct dnnl_arg *args);
    int (*primitive_destroy)(void *primitive);
};

struct onednn {
    struct env *env;
    void *library;
    struct dnnl_api api;
    void *engine, *stream;
    char text[48];
};

/* ---- the library ---- */

static vlqa_status find_all(struct onednn *d)
{
    struct dnnl_api *api = &d->api;
    const struct {
        const char *name;
        void *to;
    } wanted[] = {
        {"dnnl_version", &api->version},
        {"dnnl_engine_create", &api->engine_create},
        {"dnnl_engine_destroy", &api->engine_destroy},
        {"dnnl_stream_create", &api->stream_create},
        {"dnnl_stream_wait", &api->stream_wait},
        {"dnnl_stream_destroy", &api->stream_destroy},
        {"dnnl_memory_desc_create_with_tag", &api->memory_desc_create_with_tag},
        {"dnnl_memory_desc_clone", &api->memory_desc_clone},
        {"dnnl_memory_desc_equal", &api->memory_desc_equal},
        {"dnnl_memory_desc_get_size", &api->memory_desc_get_size},
        {"dnnl_memory_desc_destroy", &api->memory_desc_destroy},
        {"dnnl_memory_create", &api->memory_create},
        {"dnnl_memory_destroy", &api->memory_destroy},
        {"dnnl_primitive_attr_create", &api->primitive_attr_create},
        {"dnnl_primitive_attr_set_post_ops", &api->primitive_attr_set_post_ops},
        {"dnnl_primitive_attr_destroy", &api->primitive_attr_destroy},
        {"dnnl_post_ops_create", &api->post_ops_create},
        {"dnnl_post_ops_append_eltwise", &api->post_ops_append_eltwise},
        {"dnnl_post_ops_destroy", &api->post_ops_destroy},
        {"dnnl_matmul_primitive_desc_create", &api->matmul_primitive_desc_create},
        {"dnnl_reorder_primitive_desc_create", &api->reorder_primitive_desc_create},
        {"dnnl_primitive_desc_query_md", &api->primitive_desc_query_md},
        {"dnnl_primitive_desc_destroy", &api->primitive_desc_destroy},
        {"dnnl_primitive_create", &api->primitive_create},
        {"dnnl_primitive_execute", &api->primitive_execute},
        {"dnnl_primitive_destroy", &api->primitive_destroy},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = dlsym(d->library, wanted[i].name);
        if (!found)
            return env_fail(d->env, VLQA_EIO, "oneDNN: the library has no %s; version 3 is needed",
                            wanted[i].name);
        memcpy(wanted[i].to, &found, sizeof found); /* ISO C has no cast to a function */
    }
    return VLQA_OK;
}

/* The same number of threads as ours. */
static vlqa_status set_threads(struct onednn *d, int threads)
{
    const struct dnnl_version *v = d->api.version();
    void *found = dlsym(d->library, "omp_set_num_threads");
    void (*omp_set_num_threads)(int);
    if (v->major != 3)
        return env_fail(d->env, VLQA_EIO, "oneDNN: the library has version %d, expected 3",
                        v->major);
    (void)snprintf(d->text, sizeof d->text, "%d.%d.%d, %s", v->major, v->minor, v->patch,
                   v->cpu_runtime == DNNL_OPENMP ? "OpenMP" : "one thread");
    if (v->cpu_runtime == DNNL_OPENMP && found) {
        memcpy(&omp_set_num_threads, &found, sizeof found);
        omp_set_num_threads(threads);
        return VLQA_OK;
    }
    if (v->cpu_runtime == DNNL_SEQUENTIAL && threads == 1) return VLQA_OK;
    return env_fail(d->env, VLQA_EIO,
                    "oneDNN: the library cannot be told to use %d threads; give one that was built "
                    "for OpenMP",
                    threads);
}

static vlqa_status begin(struct onednn *d, const char *path, int threads)
{
    d->library = dlopen(path ? path : "libdnnl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!d->library) return path ? env_fail(d->env, VLQA_EIO, "oneDNN: %s", dlerror()) : VLQA_OK;
    TRY(find_all(d));
    TRY(set_threads(d, threads));
    if (d->api.engine_create(&d->engine, DNNL_CPU, 0) != DNNL_OK ||
        d->api.stream_create(&d->stream, d->engine, DNNL_DEFAULT_STREAM) != DNNL_OK)
        return env_fail(d->env, VLQA_EIO, "oneDNN: the library has no CPU engine");
    return VLQA_OK;
}

vlqa_status onednn_open(struct env *env, const char *path, int threads, struct onednn **out)
{
    struct onednn *d = heap_alloc_zero(sizeof *d);
    vlqa_status status;
    *out = NULL;
    if (!d) return env_no_memory(env, "oneDNN", sizeof *d);
    d->env = env;
    status = begin(d, path, threads);
    if (status == VLQA_OK && d->library)
        *out = d;
    else
        onednn_close(d);
    return status;
}

/* The library stays in memory: its threads do not end. */
void onednn_close(struct onednn *d)
{
    if (!d) return;
    if (d->stream) d->api.stream_destroy(d->stream);
    if (d->engine) d->api.engine_destroy(d->engine);
    heap_free(d);
}

const char *onednn_text(const struct onednn *d)
{
    return d->text;
}

/* ---- products ---- */

struct memory { /* of the library, over a block of ours */
    void *desc, *memory, *block;
};

struct onednn_product {
    struct onednn *dnn;
    const struct op_case *c;
    int dtype, rows;
    void *attr; /* NULL: none */
    void *primitive;
    struct memory src, bias, dst;
    struct memory *weights; /* [n] */
    int n;
};

static vlqa_status failed(const struct onednn *d, const char *what)
{
    return env_fail(d->env, VLQA_EIO, "oneDNN: %s failed", what);
}

static void memory_free(const struct dnnl_api *api, struct memory *m)
{
    if (m->memory) api->memory_destroy(m->memory);
    if (m->desc) api->memory_desc_destroy(m->desc);
    heap_free(m->block);
    *m = (struct memory){NULL, NULL, NULL};
}

/* m->desc is set. */
static vlqa_status memory_fill(const struct onednn *d, struct memory *m)
{
    size_t bytes = d->api.memory_desc_get_size(m->desc);
    m->block = heap_alloc(bytes);
    if (!m->block) return env_no_memory(d->env, "oneDNN's memory", bytes);
    heap_populate(m->block, bytes);
    return d->api.memory_create(&m->memory, m->desc, d->engine, m->block) == DNNL_OK
               ? VLQA_OK
               : failed(d, "dnnl_memory_create");
}

static vlqa_status describe(const struct onednn *d, void **out, int rows, int cols, int dtype,
                            int layout)
{
    const dnnl_dims dims = {rows, cols};
    return d->api.memory_desc_create_with_tag(out, 2, dims, dtype, layout) == DNNL_OK
               ? VLQA_OK
               : failed(d, "dnnl_memory_desc_create_with_tag");
}

/* Values in the rows of the file, [out, in]: for oneDNN a matrix [in, out] by columns. */
static vlqa_status fill_plain(const struct onednn_product *p, int copy, struct memory *m)
{
    const struct onednn *d = p->dnn;
    size_t n = (size_t)p->c->out * (size_t)p->c->in;
    float *value;
    TRY(describe(d, &m->desc, p->c->in, p->c->out, p->dtype, DNNL_COLUMNS));
    TRY(memory_fill(d, m));
    value = lab_weights_values(p->c->weights, copy);
    if (!value) return env_no_memory(d->env, "weights", n * sizeof *value);
    for (size_t i = 0; p->dtype == DNNL_BF16 && i < n; i++)
        ((uint16_t *)m->block)[i] = f32_to_bf16(value[i]);
    if (p->dtype == DNNL_F32) memcpy(m->block, value, n * sizeof *value);
    heap_free(value);
    return VLQA_OK;
}

static vlqa_status reorder(const struct onednn *d, const struct memory *from,
                           const struct memory *to)
{
    const struct dnnl_arg args[] = {{ARG_FROM, from->memory}, {ARG_TO, to->memory}};
    const struct dnnl_api *api = &d->api;
    void *desc = NULL, *primitive = NULL;
    int ok = api->reorder_primitive_desc_create(&desc, from->desc, d->engine, to->desc, d->engine,
                                                NULL) == DNNL_OK &&
             api->primitive_create(&primitive, desc) == DNNL_OK &&
             api->primitive_execute(primitive, d->stream, 2, args) == DNNL_OK &&
             api->stream_wait(d->stream) == DNNL_OK;
    if (primitive) api->primitive_destroy(primitive);
    if (desc) api->primitive_desc_destroy(desc);
    return ok ? VLQA_OK : failed(d, "a reorder");
}

static vlqa_status take_copy(struct onednn_product *p, int copy, const void *wanted)
{
    struct memory plain = {NULL, NULL, NULL}, *to = &p->weights[copy];
    const struct dnnl_api *api = &p->dnn->api;
    vlqa_status status;
    if (to->desc && api->memory_desc_equal(to->desc, wanted)) return VLQA_OK;
    memory_free(api, to);
    if (api->memory_desc_clone(&to->desc, wanted) != DNNL_OK)
        return failed(p->dnn, "dnnl_memory_desc_clone");
    TRY(memory_fill(p->dnn, to));
    status = fill_plain(p, copy, &plain);
    if (status == VLQA_OK) status = reorder(p->dnn, &plain, to);
    memory_free(api, &plain);
    return status;
}

/* *out NULL: there is no such product. */
static vlqa_status product_desc(const struct onednn_product *p, int rows, void **out)
{
    const struct onednn *d = p->dnn;
    const struct op_case *c = p->c;
    void *src = NULL, *weights = NULL, *bias = NULL, *dst = NULL;
    vlqa_status status = describe(d, &src, rows, c->in, p->dtype, DNNL_ROWS);
    *out = NULL;
    if (status == VLQA_OK) status = describe(d, &weights, c->in, c->out, p->dtype, DNNL_ANY);
    if (status == VLQA_OK && c->has_bias)
        status = describe(d, &bias, 1, c->out, DNNL_F32, DNNL_ROWS);
    if (status == VLQA_OK) status = describe(d, &dst, rows, c->out, DNNL_F32, DNNL_ROWS);
    if (status == VLQA_OK && d->api.matmul_primitive_desc_create(out, d->engine, src, weights, bias,
                                                                 dst, p->attr) != DNNL_OK)
        *out = NULL;
    if (src) d->api.memory_desc_destroy(src);
    if (weights) d->api.memory_desc_destroy(weights);
    if (bias) d->api.memory_desc_destroy(bias);
    if (dst) d->api.memory_desc_destroy(dst);
    return status;
}

static vlqa_status make_attr(struct onednn_product *p)
{
    const struct dnnl_api *api = &p->dnn->api;
    int kind = p->c->act == ACT_GELU_TANH ? DNNL_GELU_TANH : DNNL_GELU_ERF, ok;
    void *ops = NULL;
    if (p->c->act == ACT_NONE) return VLQA_OK;
    ok = api->post_ops_create(&ops) == DNNL_OK &&
         api->post_ops_append_eltwise(ops, kind, 0, 0) == DNNL_OK &&
         api->primitive_attr_create(&p->attr) == DNNL_OK &&
         api->primitive_attr_set_post_ops(p->attr, ops) == DNNL_OK;
    if (ops) api->post_ops_destroy(ops);
    return ok ? VLQA_OK : failed(p->dnn, "a post-operation");
}

static vlqa_status fill_product(struct onednn_product *p, int *exists)
{
    void *desc;
    p->weights = heap_alloc_zero((size_t)p->n * sizeof *p->weights);
    if (!p->weights) return env_no_memory(p->dnn->env, "oneDNN", (size_t)p->n * sizeof *p->weights);
    TRY(make_attr(p));
    TRY(product_desc(p, 1, &desc));
    *exists = desc != NULL;
    if (desc) p->dnn->api.primitive_desc_destroy(desc);
    return VLQA_OK;
}

vlqa_status onednn_product_open(struct onednn *dnn, const struct op_case *c, enum dtype dtype,
                                struct onednn_product **out)
{
    struct onednn_product *p = heap_alloc_zero(sizeof *p);
    vlqa_status status;
    int exists = 0;
    *out = NULL;
    if (!p) return env_no_memory(dnn->env, "oneDNN", sizeof *p);
    p->dnn = dnn;
    p->c = c;
    p->dtype = dtype == DT_BF16 ? DNNL_BF16 : DNNL_F32;
    p->n = c->weights->n;
    status = fill_product(p, &exists);
    if (status == VLQA_OK && exists)
        *out = p;
    else
        onednn_product_close(p);
    return status;
}

static void forget_rows(struct onednn_product *p)
{
    const struct dnnl_api *api = &p->dnn->api;
    if (p->primitive) api->primitive_destroy(p->primitive);
    p->primitive = NULL;
    memory_free(api, &p->src);
    memory_free(api, &p->bias);
    memory_free(api, &p->dst);
}

void onednn_product_close(struct onednn_product *p)
{
    if (!p) return;
    forget_rows(p);
    for (int i = 0; p->weights && i < p->n; i++)
        memory_free(&p->dnn->api, &p->weights[i]);
    if (p->attr) p->dnn->api.primitive_attr_destroy(p->attr);
    heap_free(p->weights);
    heap_free(p);
}

/* The values of a matrix of the operation, f32 or bf16. */
static vlqa_status take_mat(const struct onednn_product *p, struct queue *q, struct mat from,
                            int dtype, struct memory *m)
{
    size_t n = (size_t)from.rows * (size_t)from.cols;
    void *values = heap_alloc(n * sizeof(float));
    vlqa_status status;
    if (!values) return env_no_memory(p->dnn->env, "inputs", n * sizeof(float));
    status = describe(p->dnn, &m->desc, from.rows, from.cols, dtype, DNNL_ROWS);
    if (status == VLQA_OK) status = memory_fill(p->dnn, m);
    if (status == VLQA_OK) status = queue_read(q, values, from);
    for (size_t i = 0; i < n && status == VLQA_OK; i++) {
        float f =
            from.dtype == DT_F32 ? ((float *)values)[i] : bf16_to_f32(((uint16_t *)values)[i]);
        if (dtype == DNNL_F32)
            ((float *)m->block)[i] = f;
        else
            ((uint16_t *)m->block)[i] = f32_to_bf16(f);
    }
    heap_free(values);
    return status;
}

static vlqa_status take_rows(struct onednn_product *p, struct queue *q, const struct call *call,
                             void *desc)
{
    const struct dnnl_api *api = &p->dnn->api;
    const void *wanted = api->primitive_desc_query_md(desc, DNNL_WEIGHTS_DESC, 0);
    for (int i = 0; i < p->n; i++)
        TRY(take_copy(p, i, wanted));
    TRY(take_mat(p, q, call->x, p->dtype, &p->src));
    if (p->c->has_bias) TRY(take_mat(p, q, call->a, DNNL_F32, &p->bias));
    TRY(describe(p->dnn, &p->dst.desc, call->x.rows, p->c->out, DNNL_F32, DNNL_ROWS));
    TRY(memory_fill(p->dnn, &p->dst));
    return api->primitive_create(&p->primitive, desc) == DNNL_OK
               ? VLQA_OK
               : failed(p->dnn, "dnnl_primitive_create");
}

vlqa_status onednn_product_take(struct onednn_product *p, struct queue *q, const struct call *call)
{
    vlqa_status status;
    void *desc;
    forget_rows(p);
    TRY(product_desc(p, call->x.rows, &desc));
    if (!desc) return failed(p->dnn, "dnnl_matmul_primitive_desc_create");
    status = take_rows(p, q, call, desc);
    p->dnn->api.primitive_desc_destroy(desc);
    return status;
}

vlqa_status onednn_product_run(struct onednn_product *p, int turn)
{
    const struct dnnl_arg args[] = {{ARG_SRC, p->src.memory},
                                    {ARG_WEIGHTS, p->weights[turn % p->n].memory},
                                    {ARG_DST, p->dst.memory},
                                    {ARG_BIAS, p->bias.memory}};
    const struct onednn *d = p->dnn;
    return d->api.primitive_execute(p->primitive, d->stream, 3 + p->c->has_bias, args) == DNNL_OK &&
                   d->api.stream_wait(d->stream) == DNNL_OK
               ? VLQA_OK
               : failed(d, "a product");
}

const float *onednn_product_out(const struct onednn_product *p)
{
    return p->dst.block;
}
