/* model.c - config.json and its neighbours, checked before any weight is touched. */
#include "fusion/engine/model.h"

#include "base/file.h"
#include "base/heap.h"
#include "fusion/engine/find.h"

#include <stdio.h>
#include <string.h>

#define MODEL_CONFIG_BYTES ((size_t)4 << 20)

static vlqa_status check_family(struct env *env, const struct json_doc *doc)
{
    const struct json *root = json_root(doc);
    const char *type = "";
    TRY(json_want_string(env, doc, root, "model_type", &type));
    if (strcmp(type, "qwen3_vl_moe") == 0 || json_get(json_get(root, "text_config"), "num_experts"))
        return env_fail(env, VLQA_EMODEL,
                        "config.json: this is a mixture of experts (%s); vlqa reads dense Qwen3-VL",
                        type);
    if (strcmp(type, "qwen3_vl") != 0)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: model_type is \"%s\"; vlqa reads \"qwen3_vl\"", type);
    return VLQA_OK;
}

static vlqa_status read_id(struct env *env, const struct json_doc *doc, const char *name,
                           int32_t *out)
{
    int id = -1;
    TRY(json_opt_int(env, doc, json_root(doc), name, 0, INT32_MAX, &id));
    *out = id;
    return VLQA_OK;
}

static vlqa_status apply_config(struct env *env, const struct json_doc *doc, const char *dir,
                                struct decoder_config *text, struct vit_config *vision,
                                struct model_ids *ids)
{
    TRY(check_family(env, doc));
    TRY(quant_config_read(env, doc, &ids->quant));
    TRY(decoder_config_read(env, doc, text));
    TRY(vit_config_read(env, doc, dir, vision));
    TRY(model_check(env, text, vision));
    TRY(read_id(env, doc, "image_token_id", &ids->image));
    TRY(read_id(env, doc, "vision_start_token_id", &ids->vision_start));
    return read_id(env, doc, "vision_end_token_id", &ids->vision_end);
}

/* Opens NAME in dir and feeds its bytes to the digest. *out NULL: there is no such file. */
static vlqa_status open_config(struct env *env, const char *dir, const char *name,
                               struct hash *digest, struct json_doc **out)
{
    char path[MODEL_PATH_BYTES];
    void *text;
    size_t bytes;
    vlqa_status status;
    *out = NULL;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return env_fail(env, VLQA_EUSAGE, "the model's path is longer than %zu bytes", sizeof path);
    if (!file_exists(path)) return VLQA_OK;
    TRY(file_read(env, path, MODEL_CONFIG_BYTES, &text, &bytes));
    hash_text(digest, name);
    hash_u64(digest, bytes);
    hash_bytes(digest, text, bytes);
    status = json_parse(env, path, text, bytes, MODEL_CONFIG_BYTES, out);
    heap_free(text);
    return status;
}

/* The tower's configuration reads these files; here they count for the digest. */
static vlqa_status hash_processor(struct env *env, const char *dir, struct hash *digest)
{
    static const char *const name[] = {"preprocessor_config.json", "processor_config.json"};
    for (int i = 0; i < 2; i++) {
        struct json_doc *doc;
        TRY(open_config(env, dir, name[i], digest, &doc));
        json_free(doc);
    }
    return VLQA_OK;
}

vlqa_status model_read(struct env *env, const char *dir, struct decoder_config *text,
                       struct vit_config *vision, struct model_ids *ids, struct hash *digest)
{
    struct json_doc *doc;
    vlqa_status status;
    *ids = (struct model_ids){.image = -1, .vision_start = -1, .vision_end = -1};
    TRY(open_config(env, dir, "generation_config.json", digest, &doc));
    json_free(doc);
    TRY(hash_processor(env, dir, digest));
    TRY(open_config(env, dir, "config.json", digest, &doc));
    if (!doc)
        return env_fail(env, VLQA_EMODEL, "%s: no config.json; expected a Hugging Face directory",
                        dir);
    status = apply_config(env, doc, dir, text, vision, ids);
    json_free(doc);
    return status;
}

vlqa_status model_check(struct env *env, const struct decoder_config *text,
                        const struct vit_config *vision)
{
    if (vision->out_hidden != text->hidden)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: vision_config.out_hidden_size is %d, expected text_config."
                        "hidden_size = %d",
                        vision->out_hidden, text->hidden);
    if (vision->n_deep > text->layers || vision->n_deep > DECODER_MAX_DEEP)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: deepstack_visual_indexes has %d entries, the decoder has %d "
                        "layers",
                        vision->n_deep, text->layers);
    return VLQA_OK;
}
