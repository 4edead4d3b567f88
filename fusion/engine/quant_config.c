/* quant_config.c - the member quantization_config: which schemes are read, and why not the others.
 */
#include "fusion/engine/quant_config.h"

#include "kernels/weight_quant.h"

#include <stdio.h>

#define READS                                                                                \
    "; vlqa reads compressed-tensors with weights in int8, int4 or FP8, \"fp8\" with e4m3, " \
    "or BF16, F16 and F32"
#define FORMATS "\"pack-quantized\", \"int-quantized\" or \"float-quantized\""
#define FP8_BLOCK 128 /* rows and columns */

static int is_null(const struct json *value)
{
    return !value || json_kind(value) == JSON_NULL;
}

static int is_text(const struct json *value, const char *text)
{
    const char *found = json_text(value);
    return found && strcmp(found, text) == 0;
}

/* A value as messages show it. */
static const char *shown(const struct json *value, char out[48])
{
    const char *text = json_text(value);
    if (text)
        (void)snprintf(out, 48, "\"%.40s\"", text);
    else if (value && json_kind(value) == JSON_NUMBER)
        (void)snprintf(out, 48, "%.10g", json_number(value));
    else if (value && json_kind(value) == JSON_BOOL)
        (void)snprintf(out, 48, "%s", json_is_true(value) ? "true" : "false");
    else
        (void)snprintf(out, 48, "%s", json_kind_name(value));
    return out;
}

/* A member that must be null or missing. */
static vlqa_status want_null(struct env *env, const struct json *object, const char *name,
                             const char *why)
{
    if (is_null(json_get(object, name))) return VLQA_OK;
    return env_fail(env, VLQA_EMODEL, "config.json: quantization_config has %s: %s", name, why);
}

static vlqa_status fail_member(struct env *env, const struct json *object, const char *name,
                               const char *expected)
{
    char found[48];
    return env_fail(env, VLQA_EMODEL, "config.json: %s of the quantised weights is %s, expected %s",
                    name, shown(json_get(object, name), found), expected);
}

static void note_kind(enum quant_kind *kind, enum quant_kind found)
{
    if (*kind == QUANT_NONE || found < *kind) *kind = found;
}

/* ---- FP8 ---- */

/* Null, [128, 128], or "128x128" as older files have it. */
static vlqa_status check_block(struct env *env, const struct json *object, const char *name)
{
    const struct json *block = json_get(object, name), *rows = json_first(block);
    char a[48], b[48];
    if (is_null(block) || is_text(block, "128x128")) return VLQA_OK;
    if (json_kind(block) != JSON_ARRAY || json_count(block) != 2)
        return fail_member(env, object, name, "[128, 128]");
    if (json_number(rows) == FP8_BLOCK && json_number(json_next(rows)) == FP8_BLOCK) return VLQA_OK;
    return env_fail(env, VLQA_EMODEL,
                    "config.json: %s of the quantised weights is [%s, %s], expected [128, 128]",
                    name, shown(rows, a), shown(json_next(rows), b));
}

static void note_activations(struct env *env)
{
    env_log(env, VLQA_LOG_INFO,
            "config.json: quantization_config has a scheme for activations: it is passed over, the "
            "weights alone are in FP8");
}

static vlqa_status check_fp8(struct env *env, const struct json *quant, enum quant_kind *kind)
{
    const struct json *fmt = json_get(quant, "fmt");
    if (!is_null(fmt) && !is_text(fmt, "e4m3")) return fail_member(env, quant, "fmt", "\"e4m3\"");
    TRY(check_block(env, quant, "weight_block_size"));
    if (!is_null(json_get(quant, "activation_scheme"))) note_activations(env);
    note_kind(kind, QUANT_FP8);
    return VLQA_OK;
}

static int is_float8(const struct json *w)
{
    return is_text(json_get(w, "type"), "float") && json_number(json_get(w, "num_bits")) == 8;
}

/* Of compressed-tensors. */
static vlqa_status check_float_weights(struct env *env, const struct json *w, enum quant_kind *kind)
{
    const struct json *strategy = json_get(w, "strategy");
    if (!is_float8(w)) return fail_member(env, w, "num_bits", "8 with type \"float\"");
    if (json_is_true(json_get(w, "dynamic"))) return fail_member(env, w, "dynamic", "false");
    if (json_get(w, "symmetric") && !json_is_true(json_get(w, "symmetric")))
        return fail_member(env, w, "symmetric", "true with type \"float\"");
    if (!is_text(strategy, "tensor") && !is_text(strategy, "channel") &&
        !is_text(strategy, "block"))
        return fail_member(env, w, "strategy",
                           "\"tensor\", \"channel\" or \"block\" with type \"float\"");
    note_kind(kind, QUANT_FP8);
    return is_text(strategy, "block") ? check_block(env, w, "block_structure") : VLQA_OK;
}

/* ---- integers ---- */

/* "group": columns of a scale; "channel": one a row. */
static vlqa_status check_groups(struct env *env, const struct json *w, int bits)
{
    double group = json_number(json_get(w, "group_size"));
    const struct json *strategy = json_get(w, "strategy");
    int channel = is_text(strategy, "channel") || (is_null(strategy) && group == -1);
    if (channel) return VLQA_OK;
    if (!is_text(strategy, "group") && !(is_null(strategy) && group > 0))
        return fail_member(env, w, "strategy", "\"channel\" or \"group\"");
    if (bits == 8) return fail_member(env, w, "strategy", "\"channel\" with 8 bits");
    if (!(group >= WEIGHT_GROUP && group <= 1 << 20) || (int)group % WEIGHT_GROUP)
        return fail_member(env, w, "group_size", "32 or a multiple of it");
    return VLQA_OK;
}

static vlqa_status check_weights(struct env *env, const struct json *w, enum quant_kind *kind)
{
    const struct json *order = json_get(w, "actorder");
    double n = json_number(json_get(w, "num_bits"));
    if (!is_null(json_get(w, "type")) && !is_text(json_get(w, "type"), "int"))
        return fail_member(env, w, "type", "\"int\" or \"float\"");
    if (n != 4 && n != 8) return fail_member(env, w, "num_bits", "4 or 8");
    if (json_is_true(json_get(w, "dynamic"))) return fail_member(env, w, "dynamic", "false");
    if (!is_null(order) && !is_text(order, "weight") && !is_text(order, "static") &&
        (json_kind(order) != JSON_BOOL || json_is_true(order)))
        return fail_member(env, w, "actorder",
                           "null or \"static\": columns in another order are not read");
    if (n == 8 && json_get(w, "symmetric") && !json_is_true(json_get(w, "symmetric")))
        return fail_member(env, w, "symmetric", "true with 8 bits");
    note_kind(kind, n == 4 ? QUANT_INT4 : QUANT_INT8);
    return check_groups(env, w, (int)n);
}

static int is_read_format(const struct json *format)
{
    return is_text(format, "pack-quantized") || is_text(format, "int-quantized") ||
           is_text(format, "float-quantized");
}

/* Activations in FP8 beside such weights may be computed in more bits. */
static vlqa_status check_activations(struct env *env, const struct json *group, const char *name)
{
    const struct json *a = json_get(group, name);
    static const char why[] = "activations are quantised, too; vlqa computes with weights "
                              "in int8 or int4 and activations in bf16: take a model of "
                              "which the weights alone are (W8A16, W4A16)";
    if (!is_float8(json_get(group, "weights")) || !is_float8(a))
        return want_null(env, group, name, why);
    note_activations(env);
    return VLQA_OK;
}

static vlqa_status check_group(struct env *env, const struct json *group, enum quant_kind *kind)
{
    const struct json *w = json_get(group, "weights");
    TRY(check_activations(env, group, "input_activations"));
    TRY(check_activations(env, group, "output_activations"));
    if (!is_null(json_get(group, "format")) && !is_read_format(json_get(group, "format")))
        return fail_member(env, group, "format", FORMATS);
    if (json_kind(w) != JSON_OBJECT) return fail_member(env, group, "weights", "an object");
    if (is_text(json_get(w, "type"), "float")) return check_float_weights(env, w, kind);
    return check_weights(env, w, kind);
}

static vlqa_status check_compressed(struct env *env, const struct json *quant,
                                    enum quant_kind *kind)
{
    const struct json *groups = json_get(quant, "config_groups");
    const struct json *sparsity = json_get(quant, "sparsity_config");
    if (!is_read_format(json_get(quant, "format")))
        return fail_member(env, quant, "format", FORMATS);
    TRY(want_null(env, quant, "kv_cache_scheme", "keys and values in fewer bits are not read so"));
    if (json_count(json_get(quant, "transform_config")))
        return env_fail(env, VLQA_EMODEL,
                        "config.json: quantization_config has transform_config: weights that are "
                        "rotated are not read");
    if (json_count(sparsity) && !is_text(json_get(sparsity, "format"), "dense"))
        return env_fail(env, VLQA_EMODEL,
                        "config.json: quantization_config has sparsity_config: weights without "
                        "their zeros are not read");
    if (json_kind(groups) != JSON_OBJECT || !json_count(groups))
        return fail_member(env, quant, "config_groups", "an object with a group");
    for (const struct json *g = json_first(groups); g; g = json_next(g))
        TRY(check_group(env, g, kind));
    return VLQA_OK;
}

vlqa_status quant_config_read(struct env *env, const struct json_doc *doc, enum quant_kind *kind)
{
    const struct json *root = json_root(doc), *quant = json_get(root, "quantization_config");
    const char *scheme;
    *kind = QUANT_NONE;
    if (is_null(quant)) quant = json_get(json_get(root, "text_config"), "quantization_config");
    if (is_null(quant)) quant = json_get(root, "quantization"); /* MLX */
    if (is_null(quant)) return VLQA_OK;
    scheme = json_text(json_get(quant, "quant_method"));
    if (scheme && strcmp(scheme, "compressed-tensors") == 0)
        return check_compressed(env, quant, kind);
    if (scheme && strcmp(scheme, "fp8") == 0) return check_fp8(env, quant, kind);
    if (!scheme && json_get(quant, "bits") && json_get(quant, "group_size")) scheme = "MLX";
    return env_fail(env, VLQA_EMODEL, "config.json: the weights are quantised (%.100s)" READS,
                    scheme ? scheme : "unknown scheme");
}

const char *quant_name(enum quant_kind kind)
{
    static const char *const name[] = {"", "INT4", "INT8", "FP8"};
    return name[kind];
}
