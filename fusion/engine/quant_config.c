/* quant_config.c - the member quantization_config: which schemes are read, and why not the others.
 */
#include "fusion/engine/quant_config.h"

#include "kernels/weight_quant.h"

#include <stdio.h>

#define READS "; vlqa reads compressed-tensors with weights in int8 or int4, or BF16, F16 and F32"

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

static vlqa_status check_weights(struct env *env, const struct json *w, int *bits)
{
    const struct json *order = json_get(w, "actorder");
    double n = json_number(json_get(w, "num_bits"));
    if (!is_null(json_get(w, "type")) && !is_text(json_get(w, "type"), "int"))
        return fail_member(env, w, "type", "\"int\"");
    if (n != 4 && n != 8) return fail_member(env, w, "num_bits", "4 or 8");
    if (json_is_true(json_get(w, "dynamic"))) return fail_member(env, w, "dynamic", "false");
    if (!is_null(order) && !is_text(order, "weight") && !is_text(order, "static") &&
        (json_kind(order) != JSON_BOOL || json_is_true(order)))
        return fail_member(env, w, "actorder",
                           "null or \"static\": columns in another order are not read");
    if (n == 8 && json_get(w, "symmetric") && !json_is_true(json_get(w, "symmetric")))
        return fail_member(env, w, "symmetric", "true with 8 bits");
    if (!*bits || n < *bits) *bits = (int)n;
    return check_groups(env, w, (int)n);
}

static int is_read_format(const struct json *format)
{
    return is_text(format, "pack-quantized") || is_text(format, "int-quantized");
}

static vlqa_status check_group(struct env *env, const struct json *group, int *bits)
{
    static const char activations[] = "activations are quantised, too; vlqa computes with weights "
                                      "in int8 or int4 and activations in bf16: take a model of "
                                      "which the weights alone are (W8A16, W4A16)";
    TRY(want_null(env, group, "input_activations", activations));
    TRY(want_null(env, group, "output_activations", activations));
    if (!is_null(json_get(group, "format")) && !is_read_format(json_get(group, "format")))
        return fail_member(env, group, "format", "\"pack-quantized\" or \"int-quantized\"");
    if (json_kind(json_get(group, "weights")) != JSON_OBJECT)
        return fail_member(env, group, "weights", "an object");
    return check_weights(env, json_get(group, "weights"), bits);
}

static vlqa_status check_compressed(struct env *env, const struct json *quant, int *bits)
{
    const struct json *groups = json_get(quant, "config_groups");
    const struct json *sparsity = json_get(quant, "sparsity_config");
    if (!is_read_format(json_get(quant, "format")))
        return fail_member(env, quant, "format", "\"pack-quantized\" or \"int-quantized\"");
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
        TRY(check_group(env, g, bits));
    return VLQA_OK;
}

vlqa_status quant_config_read(struct env *env, const struct json_doc *doc, int *bits)
{
    const struct json *root = json_root(doc), *quant = json_get(root, "quantization_config");
    const char *scheme;
    *bits = 0;
    if (is_null(quant)) quant = json_get(json_get(root, "text_config"), "quantization_config");
    if (is_null(quant)) quant = json_get(root, "quantization"); /* MLX */
    if (is_null(quant)) return VLQA_OK;
    scheme = json_text(json_get(quant, "quant_method"));
    if (scheme && strcmp(scheme, "compressed-tensors") == 0)
        return check_compressed(env, quant, bits);
    if (!scheme && json_get(quant, "bits") && json_get(quant, "group_size")) scheme = "MLX";
    return env_fail(env, VLQA_EMODEL, "config.json: the weights are quantised (%.100s)" READS,
                    scheme ? scheme : "unknown scheme");
}
