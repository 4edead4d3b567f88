/* engine.c - opening a model directory: read, check, map, convert, identify. */
#include "fusion/engine/engine.h"

#include "base/file.h"
#include "base/heap.h"
#include "base/stack.h"
#include "fusion/engine/ends.h"
#include "fusion/engine/find.h"
#include "fusion/engine/shape.h"
#include "fusion/engine/tensors.h"
#include "kernels/comm.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static vlqa_status check_options(struct env *env, const struct vlqa_engine_options *o)
{
    if (!o->model == !o->random_shape)
        return env_fail(env, VLQA_EUSAGE,
                        "engine options: give model or random_shape, one of them");
    if (o->threads < 0 || o->threads > POOL_MAX_THREADS)
        return env_fail(env, VLQA_EUSAGE, "engine options: threads is %d, expected 0..%d",
                        o->threads, POOL_MAX_THREADS);
    if ((unsigned)o->dtype > VLQA_DTYPE_F32 || (unsigned)o->kv_dtype > VLQA_DTYPE_INT4 ||
        (unsigned)o->cpu > VLQA_CPU_AMX || (unsigned)o->image_mode > VLQA_IMAGE_HF ||
        (unsigned)o->resize > VLQA_RESIZE_PILLOW || (unsigned)o->weights > VLQA_WEIGHTS_INT4 ||
        (unsigned)o->head_weights > VLQA_WEIGHTS_INT8 || (unsigned)o->device > VLQA_DEVICE_CUDA)
        return env_fail(env, VLQA_EUSAGE,
                        "engine options: dtype, kv_dtype, cpu, image_mode, resize, weights, "
                        "head_weights or device is no value of its enum");
    if (o->gpu < 0)
        return env_fail(env, VLQA_EUSAGE, "engine options: gpu is %d, expected 0 or more", o->gpu);
    if (o->image_min_tokens < 0 || o->image_max_tokens < 0 || o->image_max_pixels < 0)
        return env_fail(env, VLQA_EUSAGE, "engine options: a limit of the image is negative");
    return VLQA_OK;
}

/* The last part of the path. */
static void set_name(struct vlqa_engine *e, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t begin = n;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    snprintf(e->name, sizeof e->name, "%.*s", (int)(n - begin), path + begin);
}

static vlqa_status apply_image_limits(struct vlqa_engine *e, struct vit_config *c)
{
    const struct vlqa_engine_options *o = &e->options;
    int64_t side = (int64_t)c->patch.patch * c->patch.merge, area = side * side;
    if (o->image_min_tokens) c->min_pixels = o->image_min_tokens * area;
    if (o->image_max_tokens) c->max_pixels = o->image_max_tokens * area;
    if (o->image_max_tokens && !o->image_min_tokens && c->min_pixels > c->max_pixels)
        c->min_pixels = c->max_pixels;
    if (c->min_pixels > c->max_pixels)
        return env_fail(&e->env, VLQA_EUSAGE, "an image has at least %lld and at most %lld tokens",
                        (long long)(c->min_pixels / area), (long long)(c->max_pixels / area));
    return VLQA_OK;
}

static enum dtype compute_dtype(const struct vlqa_engine *e)
{
    const struct st_tensor *embed = st_find(e->files, "text.embed_tokens.weight");
    if (e->options.dtype == VLQA_DTYPE_AUTO)
        return embed && embed->dtype != DT_BF16 ? DT_F32 : DT_BF16;
    return e->options.dtype == VLQA_DTYPE_F32 ? DT_F32 : DT_BF16;
}

/* Of a sequence: int8 and int4 are for what is kept. */
static enum dtype kv_dtype(enum vlqa_dtype option, enum dtype compute)
{
    return option == VLQA_DTYPE_F32 ? DT_F32 : option == VLQA_DTYPE_BF16 ? DT_BF16 : compute;
}

#define ENGINE_ARITHMETIC 3 /* changes whenever roundings do: older records are then not found */

int engine_ends_turn(const struct vlqa_engine *e, int32_t id)
{
    for (int i = 0; i < e->ids.n_eos; i++)
        if (e->ids.eos[i] == id) return 1;
    return 0;
}

int engine_chunk_cols(const struct vlqa_engine *e)
{
    const struct decoder_config *c = &e->decoder.config;
    int values = c->kv_heads * c->head_dim;
    return row_cols(e->chunk, values, c->kv_heads);
}

static int32_t quantised_format(struct weight w)
{
    return w.format > WEIGHT_F16 ? (int32_t)w.format : 0;
}

void engine_key_parts(const struct vlqa_engine *e, struct key_parts *out)
{
    const char *cpu = device_arithmetic(e->device);
    memset(out, 0, sizeof *out);
    out->model = e->model_key;
    out->arithmetic = ENGINE_ARITHMETIC;
    out->cpu = (int32_t)checksum64(cpu, strlen(cpu));
    out->compute = e->decoder.config.compute;
    out->weights = quantised_format(e->decoder.layer[0].q) |
                   quantised_format(e->decoder.embed) << 8 |
                   quantised_format(e->decoder.head) << 16;
    out->stored = e->chunk;
    out->salt = e->salt;
}

static vlqa_status open_store(struct vlqa_engine *e)
{
    const struct vlqa_engine_options *o = &e->options;
    struct store_options so = {.dir = o->no_cache ? NULL : o->cache_dir};
    const char *salt = o->cache_salt ? o->cache_salt : "";
    if (o->cache_ram_bytes < 0 || o->cache_disk_bytes < 0 || o->gpu_cache_bytes < 0 ||
        strlen(salt) >= sizeof e->salt)
        return env_fail(&e->env, VLQA_EUSAGE,
                        "engine options: a cache size is negative, or the salt has %zu bytes or "
                        "more",
                        sizeof e->salt);
    memcpy(e->salt, salt, strlen(salt) + 1);
    so.ram_bytes = o->no_cache ? 0 : (size_t)(o->cache_ram_bytes ? o->cache_ram_bytes : 1LL << 30);
    so.disk_bytes = (size_t)(o->cache_disk_bytes ? o->cache_disk_bytes : 1LL << 32);
    if (o->load_or_compute) rates_time_upload(&e->rates, &e->env, e->device);
    if (!o->no_cache) e->store_gpu = store_gpu_open(&e->env, e->device, (size_t)o->gpu_cache_bytes);
    return store_open(&e->env, &so, &e->store);
}

/* Of floats in the files. Where the files have integers, what they have in floats was left out on
 * purpose, but for embedding and head. FP8 can be either: it stays, or is as good as floats. */
static vlqa_status choose_weights(struct vlqa_engine *e, struct decoder_config *text)
{
    enum vlqa_weights wanted = e->options.weights, stored = VLQA_WEIGHTS_BF16;
    enum quant_kind quant = e->ids.quant;
    int is_fp8 = quant == QUANT_FP8, is_integer = quant && !is_fp8;
    if (is_integer) stored = quant == QUANT_INT4 ? VLQA_WEIGHTS_INT4 : VLQA_WEIGHTS_INT8;
    if (is_integer && wanted != VLQA_WEIGHTS_AUTO && wanted != stored)
        return env_fail(&e->env, VLQA_EMODEL,
                        "the weights in the files are quantised (%s): open them as they are, or "
                        "take the model that they were made from",
                        stored == VLQA_WEIGHTS_INT4 ? "int4" : "int8");
    if (wanted == VLQA_WEIGHTS_AUTO) wanted = stored;
    text->layer_weights = wanted == VLQA_WEIGHTS_INT4   ? WEIGHT_INT4
                          : wanted == VLQA_WEIGHTS_INT8 ? WEIGHT_INT8
                                                        : WEIGHT_F32;
    if (e->options.head_weights != VLQA_WEIGHTS_AUTO) wanted = e->options.head_weights;
    text->head_weights = wanted >= VLQA_WEIGHTS_INT8 ? WEIGHT_INT8 : WEIGHT_F32;
    if (is_integer) text->layer_weights = WEIGHT_F32;
    if (is_fp8 && e->options.weights == VLQA_WEIGHTS_AUTO) text->layer_weights = WEIGHT_FP8;
    return VLQA_OK;
}

static vlqa_status load_weights(struct vlqa_engine *e, struct decoder_config *text,
                                struct vit_config *vision)
{
    TRY(choose_weights(e, text));
    text->compute = vision->compute = compute_dtype(e);
    text->kv = kv_dtype(e->options.kv_dtype, text->compute);
    if (e->options.ranks && e->options.ranks->divides_weights && e->options.ranks->n > 1) {
        text->ranks = e->options.ranks->n;
        text->rank = e->options.ranks->rank;
    }
    if (text->ranks && !decoder_divides(text))
        return env_fail(&e->env, VLQA_EUSAGE,
                        "the weights of this model cannot be divided among ranks: %d heads of %d "
                        "values share keys, expected a multiple of %d values",
                        text->heads / text->kv_heads, text->head_dim, WEIGHT_BLOCK);
    e->chunk = e->options.kv_dtype == VLQA_DTYPE_INT8   ? DT_ROW_INT8
               : e->options.kv_dtype == VLQA_DTYPE_INT4 ? DT_ROW_INT4
                                                        : text->kv;
    return engine_load_weights(e, text, vision);
}

static vlqa_status same_id(struct env *env, const char *name, int32_t config, int32_t tokenizer)
{
    if (config >= 0 && config != tokenizer)
        return env_fail(env, VLQA_EMODEL, "config.json: %s is %d, the tokenizer says %d", name,
                        config, tokenizer);
    return VLQA_OK;
}

static vlqa_status load_tokenizer(struct vlqa_engine *e, int vocab, struct hash *digest)
{
    struct env *env = &e->env;
    struct model_ids *ids = &e->ids;
    const char *dir = e->options.model;
    if (dir)
        TRY(tokenizer_load(env, dir, vocab, &e->tokenizer));
    else
        TRY(tokenizer_bytes(env, vocab, &e->tokenizer));
    TRY(prompt_tokens_find(env, e->tokenizer, dir, e->options.chat_template, &e->tokens));
    TRY(same_id(env, "image_token_id", ids->image, e->tokens.image_pad));
    TRY(same_id(env, "vision_start_token_id", ids->vision_start, e->tokens.vision_start));
    TRY(same_id(env, "vision_end_token_id", ids->vision_end, e->tokens.vision_end));
    TRY(ends_read(env, dir, e->tokenizer, ids, digest));
    for (int32_t id = 0; id < vocab; id++) {
        size_t bytes;
        (void)tokenizer_token_bytes(e->tokenizer, id, &bytes);
        if ((int)bytes > e->max_token_bytes) e->max_token_bytes = (int)bytes;
    }
    return VLQA_OK;
}

static vlqa_status load(struct vlqa_engine *e)
{
    struct env *env = &e->env;
    const struct vlqa_engine_options *o = &e->options;
    struct decoder_config text;
    struct vit_config vision;
    struct hash digest;
    TRY(pool_create(env, o->threads, &e->pool));
    env->pool = e->pool;
    TRY(device_choose(env, o->device, o->cpu, o->gpu, &e->device));
    TRY(comm_open(o->ranks, env, e->device));
    TRY(env_progress(env, "load", 0, 4));
    hash_begin(&digest, "vlqa model");
    if (o->model) {
        TRY(model_read(env, o->model, &text, &vision, &e->ids, &digest));
        TRY(st_open(env, o->model, engine_rename, engine_n_rename, &e->files));
        TRY(engine_check_keys(env, e->files, e->ids.quant != QUANT_NONE));
    } else {
        snprintf(e->name, sizeof e->name, "random-%s", o->random_shape);
        TRY(shape_named(env, o->random_shape, &text, &vision));
        TRY(st_open_random(env, o->random_seed, &e->files));
        e->ids = (struct model_ids){.image = -1, .vision_start = -1, .vision_end = -1};
    }
    TRY(apply_image_limits(e, &vision));
    TRY(env_progress(env, "load", 1, 4));
    TRY(load_tokenizer(e, text.vocab, &digest));
    TRY(env_progress(env, "load", 2, 4));
    TRY(load_weights(e, &text, &vision));
    TRY(env_progress(env, "load", 3, 4));
    tokenizer_digest(e->tokenizer, &digest);
    TRY(st_digest(env, e->files, &digest));
    TRY(st_unchanged(env, e->files)); /* what was read is of one time */
    st_let_go(e->files);
    e->model_key = hash_end(&digest);
    TRY(open_store(e));
    env_log(env, VLQA_LOG_INFO, "%s: %d tensors, %.1f MiB, %s on %s, %d threads", e->name,
            st_count(e->files), (double)st_bytes(e->files) / 1048576.0, dtype_name(text.compute),
            device_name(e->device), pool_threads(e->pool));
    return env_progress(env, "load", 4, 4);
}

/* From here on the model's path is that of its directory, in `dir`. */
static vlqa_status find_and_load(struct vlqa_engine *e, char dir[MODEL_PATH_BYTES])
{
    TRY(stack_check(&e->env));
    TRY(check_options(&e->env, &e->options));
    if (e->options.model) {
        set_name(e, e->options.model);
        TRY(model_find(&e->env, e->options.model, dir));
        e->options.model = dir;
    }
    return load(e);
}

/* What one rank has given for all others to be the same. */
static struct key key_of_engine(const struct vlqa_engine *e)
{
    struct key_parts parts;
    engine_key_parts(e, &parts);
    parts.chunker = e->options.no_cache;
    parts.stored = e->decoder.config.kv;
    parts.k = (int32_t)e->chunk;
    parts.index = e->decoder.config.ranks; /* of which each has a part of the weights */
    return key_of(&parts);
}

/* On all ranks, or on none. */
static vlqa_status load_together(struct vlqa_engine *e, char dir[MODEL_PATH_BYTES])
{
    struct vlqa_ranks *r = e->options.ranks;
    struct key none = {{0}};
    vlqa_status status;
    TRY(comm_begin(r, &e->env, "the engine", none.b));
    status = find_and_load(e, dir);
    status = status == VLQA_OK ? comm_agree(r, &e->env, status) : comm_end(r, &e->env, status);
    if (status != VLQA_OK || !r) return status;
    TRY(comm_begin(r, &e->env, "the engine", key_of_engine(e).b));
    return comm_connect(r, &e->env, e->device);
}

static vlqa_status open_engine(struct vlqa_engine *e, const struct vlqa_engine_options *options)
{
    char dir[MODEL_PATH_BYTES];
    vlqa_status status;
    e->process = getpid();
    e->options = vlqa_engine_options_default();
    TRY(abi_take(&e->env, "engine", options, &e->options, sizeof e->options, ENGINE_OPTIONS_LEAST));
    e->env.log = e->options.log;
    e->env.progress = e->options.progress;
    e->env.user = e->options.user;
    e->env.only_told = vlqa_ranks_rank(e->options.ranks) > 0;
    TRY(comm_check(e->options.ranks, &e->env));
    status = load_together(e, dir);
    e->usable = status == VLQA_OK;
    e->options.model = e->options.random_shape = NULL;
    e->options.cache_dir = e->options.cache_salt = NULL; /* the caller's, and only until here */
    e->options.chat_template = NULL;
    return status;
}

/* Without memory for a handle: other ranks are not left waiting. */
static vlqa_status no_engine(const struct vlqa_engine_options *options)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    struct env env = {0};
    struct key none = {{0}};
    if (abi_take(&env, "engine", options, &o, sizeof o, ENGINE_OPTIONS_LEAST) != VLQA_OK ||
        comm_check(o.ranks, &env) != VLQA_OK)
        return VLQA_EMEMORY;
    TRY(comm_begin(o.ranks, &env, "the engine", none.b));
    return comm_end(o.ranks, &env, env_no_memory(&env, "engine", sizeof(struct vlqa_engine)));
}

vlqa_status vlqa_engine_open(const struct vlqa_engine_options *options, struct vlqa_engine **out)
{
    struct vlqa_engine *e;
    vlqa_status status;
    if (!out) return VLQA_EUSAGE;
    *out = NULL;
    if (!options) return VLQA_EUSAGE;
    e = heap_alloc(sizeof *e);
    if (!e) return no_engine(options);
    memset(e, 0, sizeof *e);
    rates_open(&e->rates);
    atomic_init(&e->holders, 2); /* this call, and the handle, which a callback may close */
    *out = e;
    status = open_engine(e, options);
    if (!engine_let_go(e)) return status;
    *out = NULL;
    return VLQA_ESTATE;
}

static void engine_free(struct vlqa_engine *e)
{
    store_close(&e->env, e->store);
    store_gpu_close(e->store_gpu);
    rates_close(&e->rates);
    prompt_tokens_free(&e->tokens);
    tokenizer_free(e->tokenizer);
    st_close(e->files);
    if (e->device) device_release(e->device, e->weights);
    device_close(e->device);
    if (getpid() == e->process) pool_free(e->pool); /* a child has no workers to wait for */
    heap_free(e);
}

void engine_hold(struct vlqa_engine *e)
{
    (void)atomic_fetch_add(&e->holders, 1);
}

int engine_let_go(struct vlqa_engine *e)
{
    if (atomic_fetch_sub(&e->holders, 1) > 1) return 0;
    engine_free(e);
    return 1;
}

void vlqa_engine_close(struct vlqa_engine *e)
{
    int open;
    if (!e || atomic_exchange(&e->closed, 1)) return;
    open = atomic_load(&e->holders) - 1;
    if (open > 0 && e->usable)
        env_log(&e->env, VLQA_LOG_WARN,
                "%d sessions or images are open: the engine closes with the last of them", open);
    (void)engine_let_go(e);
}

const char *vlqa_engine_message(const struct vlqa_engine *e)
{
    return e ? e->env.message : "no engine";
}

const char *vlqa_version(void)
{
    return VLQA_VERSION_TEXT;
}

const char *vlqa_status_name(vlqa_status status)
{
    switch (status) {
    case VLQA_OK:
        return "ok";
    case VLQA_EUSAGE:
        return "usage";
    case VLQA_ESTATE:
        return "state";
    case VLQA_EIO:
        return "io";
    case VLQA_EIMAGE:
        return "image";
    case VLQA_EMODEL:
        return "model";
    case VLQA_ETEXT:
        return "text";
    case VLQA_ELIMIT:
        return "limit";
    case VLQA_EMEMORY:
        return "memory";
    case VLQA_EDEVICE:
        return "device";
    case VLQA_ECANCELLED:
        return "cancelled";
    }
    return "unknown status";
}
