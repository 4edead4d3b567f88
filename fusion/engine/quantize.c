/* quantize.c - a checkpoint to a new directory with quantised weights. */
#include "fusion/engine/quantize.h"

#include "base/pool.h"
#include "fusion/engine/engine.h"
#include "fusion/engine/find.h"
#include "fusion/engine/tensors.h"

#define SHARD_BYTES ((size_t)5000000000) /* as transformers writes them */

static vlqa_status take_options(struct env *env, const struct vlqa_engine_options *from,
                                struct vlqa_engine_options *to, const char *out)
{
    *to = vlqa_engine_options_default();
    TRY(abi_take(env, "engine", from, to, sizeof *to, ENGINE_OPTIONS_LEAST));
    env->log = to->log;
    env->progress = to->progress;
    env->user = to->user;
    if (!to->model || !out)
        return env_fail(env, VLQA_EUSAGE, "quantize: give a model and a directory to write");
    if (to->weights != VLQA_WEIGHTS_INT8 && to->weights != VLQA_WEIGHTS_INT4)
        return env_fail(env, VLQA_EUSAGE, "quantize: weights is %d, expected INT8 or INT4",
                        (int)to->weights);
    return VLQA_OK;
}

/* It is a model, and all of it is there. */
static vlqa_status check(struct env *env, const char *dir, enum vlqa_cpu cpu,
                         struct st_files *files)
{
    struct decoder_config text;
    struct vit_config vision;
    struct model_ids ids;
    struct hash digest;
    struct device *device;
    vlqa_status status;
    hash_begin(&digest, "vlqa model");
    TRY(model_read(env, dir, &text, &vision, &ids, &digest));
    if (ids.quant)
        return env_fail(env, VLQA_EMODEL, "%s: the weights are quantised already (%s)", dir,
                        quant_name(ids.quant));
    TRY(engine_check_keys(env, files, 0));
    text.layer_weights = text.head_weights = WEIGHT_F32;
    TRY(device_open(env, cpu, &device));
    text.compute = vision.compute = DT_F32;
    status = engine_check_tensors(env, device, files, &text, &vision);
    device_close(device);
    return status;
}

static vlqa_status write_all(struct env *env, const char *dir, struct st_files *files, int bits,
                             struct new_dir *to)
{
    TRY(quantize_tensors(env, files, bits, SHARD_BYTES, to));
    TRY(st_unchanged(env, files)); /* what was read is of one time */
    TRY(quantize_files(env, dir, bits, to));
    return new_dir_commit(env, to);
}

static vlqa_status quantize(struct env *env, const struct vlqa_engine_options *o, const char *out)
{
    char dir[MODEL_PATH_BYTES];
    struct new_dir to = {.path = ""};
    struct st_files *files;
    int bits = o->weights == VLQA_WEIGHTS_INT8 ? QUANTIZE_INT8 : QUANTIZE_INT4;
    vlqa_status status;
    TRY(model_find(env, o->model, dir));
    TRY(st_open(env, dir, engine_rename, engine_n_rename, &files));
    status = check(env, dir, o->cpu, files);
    if (status == VLQA_OK) status = new_dir_open(env, out, &to);
    if (status == VLQA_OK) status = write_all(env, dir, files, bits, &to);
    new_dir_drop(&to);
    st_close(files);
    return status;
}

vlqa_status vlqa_quantize(const struct vlqa_engine_options *options, const char *out)
{
    struct env env = {0};
    struct vlqa_engine_options o;
    struct pool *pool = NULL;
    vlqa_status status;
    if (!options) return VLQA_EUSAGE;
    status = take_options(&env, options, &o, out);
    if (status == VLQA_OK) status = pool_create(&env, o.threads, &pool);
    env.pool = pool;
    if (status == VLQA_OK) status = quantize(&env, &o, out);
    pool_free(pool);
    if (status != VLQA_OK) env_log(&env, VLQA_LOG_ERROR, "%s", env.message);
    return status;
}
