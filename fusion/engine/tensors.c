/* tensors.c - the inventory of both towers, gone through to load it and to look for a culprit. */
#include "fusion/engine/tensors.h"

#include "base/heap.h"
#include "fusion/engine/engine.h"

#include <string.h>

/* Of rows with the same right side the first one is the usual one. */
const struct st_rename engine_rename[] = {
    {"base_model.model.", NULL}, /* peft, merged or not */
    {"module.", NULL},           /* torch's data parallel */
    {"_orig_mod.", NULL},        /* torch.compile */
    {"model.visual.", "visual."},
    {"visual.", "visual."},
    {"model.language_model.visual.", "visual."},
    {"model.vision_tower.", "visual."},
    {"vision_tower.", "visual."}, /* MLX */
    {"model.language_model.", "text."},
    {"language_model.model.", "text."},
    {"language_model.lm_head.", "lm_head."},
    {"model.lm_head.", "lm_head."},
    {"lm_head.", "lm_head."},
    {"model.", "text."},
};
const int engine_n_rename = (int)(sizeof engine_rename / sizeof *engine_rename);

/* ---- what is no plain checkpoint ---- */

static const struct telltale {
    const char *part; /* of a key */
    int at_end;
    const char *what;
    int is_packed; /* schemes that are read have it, too */
} telltales[] = {
    {".lora_A.", 0, "a LoRA adapter that is not merged", 0},
    {".lora_B.", 0, "a LoRA adapter that is not merged", 0},
    {".base_layer.", 0, "a LoRA adapter that is not merged", 0},
    {".lora_embedding_A", 0, "a LoRA adapter that is not merged", 0},
    {".lora_magnitude_vector", 0, "a LoRA adapter that is not merged", 0},
    {".modules_to_save.", 0, "a LoRA adapter that is not merged", 0},
    {".original_module.", 0, "a LoRA adapter that is not merged", 0},
    {".scales", 1, "quantised by MLX", 0},
    {".biases", 1, "quantised by MLX", 0},
    {".qweight", 1, "quantised (GPTQ or AWQ)", 0},
    {".qzeros", 1, "quantised (GPTQ or AWQ)", 0},
    {".weight_packed", 1, "quantised (compressed-tensors)", 1},
    {".weight_scale", 1, "quantised (FP8)", 1},
    {".weight_scale_inv", 1, "quantised (FP8)", 1},
    {".input_scale", 1, "quantised (FP8)", 1},
    {".absmax", 1, "quantised (bitsandbytes)", 0},
    {".SCB", 1, "quantised (bitsandbytes)", 0},
    {".quant_state.bitsandbytes__nf4", 1, "quantised (bitsandbytes)", 0},
    {".quant_state.bitsandbytes__fp4", 1, "quantised (bitsandbytes)", 0},
};

static const struct telltale *telltale_of(const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < sizeof telltales / sizeof *telltales; i++) {
        const struct telltale *t = &telltales[i];
        size_t m = strlen(t->part);
        if (t->at_end ? n >= m && strcmp(key + n - m, t->part) == 0 : !!strstr(key, t->part))
            return t;
    }
    return NULL;
}

vlqa_status engine_check_keys(struct env *env, const struct st_files *files, int packed)
{
    for (int i = 0; i < st_count(files); i++) {
        const struct st_tensor *t = st_at(files, i);
        const struct telltale *found = telltale_of(t->key);
        if (!found || (packed && found->is_packed)) continue;
        if (strstr(found->what, "LoRA"))
            return env_fail(env, VLQA_EMODEL,
                            "%s: %.200s: the file has %s: merge it first, in Python with peft: "
                            "model.merge_and_unload().save_pretrained('OUT')",
                            st_file_of(files, t), t->key, found->what);
        if (found->is_packed)
            return env_fail(env, VLQA_EMODEL,
                            "%s: %.200s: the weights are %s, and config.json has no "
                            "quantization_config that says how: take the config.json that came "
                            "with them",
                            st_file_of(files, t), t->key, found->what);
        return env_fail(env, VLQA_EMODEL,
                        "%s: %.200s: the weights are %s; vlqa reads BF16, F16 and F32: take the "
                        "model that this one was made from",
                        st_file_of(files, t), t->key, found->what);
    }
    return VLQA_OK;
}

/* ---- loading ---- */

static vlqa_status load_towers(struct weights *w, const struct decoder_config *text,
                               const struct vit_config *vision, struct vit *vit,
                               struct decoder *decoder)
{
    TRY(vit_load(w, vision, vit));
    return decoder_load(w, text, decoder);
}

/* Names and measures: w->mem is used as far as the weights will need. */
static vlqa_status measure(struct weights *w, const struct decoder_config *text,
                           const struct vit_config *vision, struct vit *vit,
                           struct decoder *decoder)
{
    for (w->pass = WEIGHTS_NAMES; w->pass <= WEIGHTS_MEASURE; w->pass++) {
        *w->mem = (struct arena){0};
        TRY(load_towers(w, text, vision, vit, decoder));
    }
    return st_all_used(w->env, w->files);
}

/* The same code names, measures and fills. */
static vlqa_status fill(struct vlqa_engine *e, struct queue *q, const struct decoder_config *text,
                        const struct vit_config *vision)
{
    struct arena mem = {0};
    struct weights w = {
        .env = &e->env, .queue = q, .files = e->files, .mem = &mem, .compute = text->compute};
    TRY(measure(&w, text, vision, &e->vit, &e->decoder));
    e->weights_bytes = mem.used;
    e->weights = device_alloc(e->device, mem.used);
    if (!e->weights) return device_no_memory(&e->env, e->device, "weights", mem.used);
    if (device_shares_host(e->device)) heap_large_pages(e->weights, mem.used);
    mem = arena_over(e->weights, e->weights_bytes);
    w.pass = WEIGHTS_FILL;
    TRY(load_towers(&w, text, vision, &e->vit, &e->decoder));
    TRY(queue_sync(q));
    TRY(vit_expect(&e->env, e->device, &e->vit));
    return decoder_expect(&e->env, e->device, &e->decoder);
}

vlqa_status engine_load_weights(struct vlqa_engine *e, struct decoder_config *text,
                                struct vit_config *vision)
{
    struct queue *q;
    vlqa_status status;
    TRY(queue_open(e->device, &e->env, &q));
    status = fill(e, q, text, vision);
    queue_close(q);
    return status;
}

struct towers { /* where the inventory is written to while it is only looked at */
    struct vit vit;
    struct decoder decoder;
};

vlqa_status engine_check_tensors(struct env *env, struct device *device, struct st_files *files,
                                 const struct decoder_config *text, const struct vit_config *vision)
{
    struct arena mem = {0};
    struct weights w = {.env = env, .files = files, .mem = &mem, .compute = text->compute};
    struct towers *towers = heap_alloc(sizeof *towers);
    vlqa_status status;
    if (!towers) return env_no_memory(env, "list of weights", sizeof *towers);
    status = queue_open(device, env, &w.queue);
    if (status == VLQA_OK) {
        status = measure(&w, text, vision, &towers->vit, &towers->decoder);
        queue_close(w.queue);
    }
    heap_free(towers);
    return status;
}

/* ---- looking ---- */

/* Other sessions may be reading the weights. */
static vlqa_status find_bad(struct env *env, const struct vlqa_engine *e, struct queue *q,
                            struct weights *w)
{
    struct arena mem = {.base = e->weights, .cap = e->weights_bytes};
    struct towers *towers = heap_alloc(sizeof *towers);
    vlqa_status status;
    *w = (struct weights){.pass = WEIGHTS_LOOK,
                          .env = env,
                          .queue = q,
                          .files = e->files,
                          .mem = &mem,
                          .compute = e->decoder.config.compute};
    if (!towers) return env_no_memory(env, "list of weights", sizeof *towers);
    status = load_towers(w, &e->decoder.config, &e->vit.config, &towers->vit, &towers->decoder);
    w->mem = NULL;
    heap_free(towers);
    return status;
}

/* "[3, 5]": where an element of a tensor is. */
static struct st_shape_text place_of(const struct st_tensor *t, size_t element)
{
    int64_t at[ST_MAX_RANK] = {0};
    for (int i = t->rank - 1; i >= 0; i--) {
        at[i] = (int64_t)(element % (size_t)t->dim[i]);
        element /= (size_t)t->dim[i];
    }
    return st_shape(t->rank, at);
}

static int is_finite(float v)
{
    return v - v == 0;
}

vlqa_status engine_check_logits(struct env *env, const struct vlqa_engine *e, struct queue *q,
                                const float *logits, int n)
{
    struct weights w;
    int bad = 0;
    for (int i = 0; i < n; i++)
        bad |= !is_finite(logits[i]);
    if (!bad) return VLQA_OK;
    TRY(find_bad(env, e, q, &w));
    if (w.bad)
        return env_fail(env, VLQA_EMODEL,
                        "the logits are not finite: %s: %.200s has a NaN or an infinity at %s: the "
                        "file is damaged, download it again",
                        st_file_of(e->files, w.bad), w.bad->key, place_of(w.bad, w.bad_at).text);
    return env_fail(env, VLQA_EMODEL,
                    "the logits are not finite, but all weights are, so no tensor is to blame: the "
                    "computation overflows %s%s, or kept records are of a damaged model "
                    "(--no-cache)",
                    dtype_name(w.compute), w.compute == DT_F32 ? "" : " (try --dtype f32)");
}
