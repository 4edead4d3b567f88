/* fake_vlqa.c - the public interface without a model: it does what the file fake.script of the
 * working directory says and writes what it was asked to fake.calls.
 *
 *   open, session, system, text, image, ask = STATUS   that call fails
 *   image_says = TEXT  the message of an image that fails
 *   open_null = 1      a failing open gives no handle
 *   answer = A|B|C     deltas of the answer, one token each; \xHH is a byte
 *   thinking = A|B     deltas of thoughts before it
 *   open = 1           the thoughts do not end
 *   stop = rows        why the answer ended, where it was not cut: rows or text
 *   fail_at = N        with ask: fail after N deltas
 *   load, vision, prefill = STATUS   that phase fails in its middle
 *   hold = N           waits at the N-th step until the file fake.go is there: the phases have five
 *                      steps each, a delta of the answer is one
 *   stubborn = 1       callbacks cannot cancel
 *   an image that begins with "broken" cannot be opened; fake.images lists those that are,
 *                      fake.closed those that were closed
 *   log = TEXT         an info line and a warning when the engine opens
 *   drift = 1          chunks change the logits: flat without, one up by 1 with
 *   reuse = 1          the answer came from two chunks of an image of 20 x 10 pixels, with evidence
 *   wide = 1           that image has 4096 x 10 pixels; blind = 1: there is no evidence
 *   warm, flush, scan, remove = STATUS that call fails
 *   records = N        in the directory, all but one visual; damaged = N of them
 *   rejected, unwritten = N; problem = TEXT    of the cache
 */
#include "include/vlqa_experimental.h"
#include "tests/eval/fake_script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct vlqa_engine {
    int step; /* so far */
    char message[256];
};

struct vlqa_image { /* opened by any thread */
    char name[256], data[64], message[512];
    size_t bytes;
    int is_broken;
};

struct vlqa_session {
    struct vlqa_engine *engine;
    struct vlqa_session_options options;
    struct vlqa_image_info image;
    char text[65536], thinking[4096];
    int32_t token[4096];
    char message[256];
};

static const char *const status_names[] = {"OK",      "EUSAGE",  "ESTATE",    "EIO",
                                           "EIMAGE",  "EMODEL",  "ETEXT",     "ELIMIT",
                                           "EMEMORY", "EDEVICE", "ECANCELLED"};

const char *vlqa_version(void)
{
    return VLQA_VERSION_TEXT;
}

const char *vlqa_status_name(vlqa_status status)
{
    return status_names[status];
}

/* ---- the script ---- */

/* The value of a key, "" when there is none. */
void script(const char *key, char *value, size_t cap)
{
    char line[4096];
    size_t bytes = strlen(key);
    FILE *f = fopen("fake.script", "r");
    value[0] = 0;
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, key, bytes) == 0 && line[bytes] == '=')
            snprintf(value, cap, "%s", line + bytes + 1);
    }
    if (f) fclose(f);
}

int script_number(const char *key)
{
    char value[64];
    script(key, value, sizeof value);
    return atoi(value);
}

vlqa_status script_status(const char *key, char message[256])
{
    char value[64];
    script(key, value, sizeof value);
    for (int i = 1; i <= VLQA_ECANCELLED; i++)
        if (strcmp(value, status_names[i]) == 0) {
            snprintf(message, 256, "fake %s fails with %s", key, value);
            return (vlqa_status)i;
        }
    return VLQA_OK;
}

static void note_list(const char *path, const char *format, va_list args)
{
    FILE *f = fopen(path, "a");
    if (!f) return;
    vfprintf(f, format, args);
    fputc('\n', f);
    fclose(f);
}

void note_call(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note_list("fake.calls", format, args);
    va_end(args);
}

/* Elsewhere, as it is told when another thread gets there. */
__attribute__((format(printf, 2, 3))) static void note_image(const char *path, const char *format,
                                                             ...)
{
    va_list args;
    va_start(args, format);
    note_list(path, format, args);
    va_end(args);
}

/* Counts a step; at the one to hold at, waits ten seconds at most. */
static void count_step(int *step)
{
    struct timespec t = {0, 5000000};
    if (++*step != script_number("hold") || !ranks_hold()) return;
    note_call("held");
    for (int i = 0; i < 2000 && access("fake.go", F_OK) != 0; i++)
        nanosleep(&t, NULL);
}

static vlqa_status run_phase(struct vlqa_engine *e, vlqa_progress_fn progress, void *user,
                             const char *phase, char message[256])
{
    for (int i = 0; i <= 4; i++) {
        vlqa_status status = i == 2 ? script_status(phase, message) : VLQA_OK;
        if (status != VLQA_OK) return status;
        count_step(&e->step);
        if (progress && progress(user, phase, i, 4) && !script_number("stubborn")) {
            snprintf(message, 256, "cancelled during %s", phase);
            return VLQA_ECANCELLED;
        }
    }
    return VLQA_OK;
}

/* ---- engine ---- */

vlqa_status vlqa_engine_open(const struct vlqa_engine_options *options, struct vlqa_engine **out)
{
    struct vlqa_engine *e = calloc(1, sizeof *e);
    char line[256];
    vlqa_status status;
    *out = e;
    note_call("open model=%s shape=%s seed=%llu dtype=%d kv=%d cpu=%d threads=%d mode=%d resize=%d "
              "min=%d max=%d pixels=%lld",
              options->model ? options->model : "none",
              options->random_shape ? options->random_shape : "none",
              (unsigned long long)options->random_seed, (int)options->dtype, options->kv_dtype,
              (int)options->cpu, options->threads, (int)options->image_mode, (int)options->resize,
              options->image_min_tokens, options->image_max_tokens,
              (long long)options->image_max_pixels);
    note_call("cache dir=%s salt=%s ram=%lld disk=%lld off=%d",
              options->cache_dir ? options->cache_dir : "none",
              options->cache_salt ? options->cache_salt : "none",
              (long long)options->cache_ram_bytes, (long long)options->cache_disk_bytes,
              options->no_cache);
    if (options->head_weights) note_call("head weights=%d", (int)options->head_weights);
    if (options->device || options->gpu)
        note_call("device=%d gpu=%d", (int)options->device, options->gpu);
    ranks_note(options);
    if (options->gpu_cache_bytes) note_call("gpu cache=%lld", (long long)options->gpu_cache_bytes);
    if (options->load_or_compute) note_call("load or compute");
    if (options->weights) note_call("weights=%d", (int)options->weights);
    if (options->chat_template) note_call("chat template=%s", options->chat_template);
    script("log", line, sizeof line);
    if (line[0]) {
        options->log(options->user, VLQA_LOG_INFO, line);
        options->log(options->user, VLQA_LOG_WARN, "careful");
    }
    status = script_status("open", e->message);
    if (status == VLQA_OK)
        status = run_phase(e, options->progress, options->user, "load", e->message);
    if (status != VLQA_OK && script_number("open_null")) {
        free(e);
        *out = NULL;
    }
    return status;
}

vlqa_status vlqa_quantize(const struct vlqa_engine_options *options, const char *out)
{
    char message[256];
    vlqa_status status = script_status("quantize", message);
    note_call("quantize model=%s weights=%d threads=%d out=%s", options->model,
              (int)options->weights, options->threads, out);
    if (status != VLQA_OK) options->log(options->user, VLQA_LOG_ERROR, message);
    return status;
}

void vlqa_engine_close(struct vlqa_engine *engine)
{
    free(engine);
}

const char *vlqa_engine_message(const struct vlqa_engine *engine)
{
    return engine->message;
}

vlqa_status vlqa_engine_info(const struct vlqa_engine *engine, struct vlqa_model_info *out,
                             size_t bytes)
{
    (void)engine, (void)bytes;
    *out = (struct vlqa_model_info){
        .name = "fake",
        .digest = "00ff",
        .dtype = "bf16",
        .stored = "BF16",
        .cpu = "plain",
        .threads = 3,
        .parameters = 4437815808,
        .parameters_vision = 415000000,
        .parameters_text = 3600000000,
        .parameters_embedding = 422815808,
        .weight_bytes = 8875631616,
        .weights = "bf16",
        .weight_memory_bytes = 8875631616,
        .hidden = 2560,
        .inner = 9728,
        .layers = 36,
        .heads = 32,
        .kv_heads = 8,
        .head_dim = 128,
        .vocab = 151936,
        .max_positions = 262144,
        .tied = 1,
        .vision_hidden = 1024,
        .vision_inner = 4096,
        .vision_depth = 24,
        .vision_heads = 16,
        .vision_patch = 16,
        .vision_merge = 2,
        .n_deepstack = 3,
        .deepstack = {5, 11, 17},
        .min_pixels = 65536,
        .max_pixels = 16777216,
        .kv_bytes_per_token = 147456,
        .visual_bytes_per_token = 20480,
        .chunk_bytes_per_token = 76032,
        .chunk_dtype = "int8",
        .session_bytes = 5637144576,
        .session_seq_len = 32768,
    };
    return VLQA_OK;
}

/* ---- session ---- */

vlqa_status vlqa_session_open(struct vlqa_engine *engine,
                              const struct vlqa_session_options *options, struct vlqa_session **out)
{
    struct vlqa_session *s = calloc(1, sizeof *s);
    *out = s;
    s->engine = engine;
    if (options) s->options = *options;
    note_call("session rows=%d", s->options.max_seq_len);
    return script_status("session", s->message);
}

void vlqa_session_close(struct vlqa_session *session)
{
    free(session);
}

vlqa_status vlqa_session_clear(struct vlqa_session *session)
{
    memset(&session->image, 0, sizeof session->image);
    note_call("clear");
    return VLQA_OK;
}

vlqa_status vlqa_stand_in(struct vlqa_session *session)
{
    memset(&session->image, 0, sizeof session->image);
    note_call("stand in");
    return VLQA_OK;
}

const char *vlqa_message(const struct vlqa_session *session)
{
    return session->message;
}

vlqa_status vlqa_set_system(struct vlqa_session *session, const char *utf8, size_t bytes)
{
    note_call("system %.*s", (int)bytes, utf8);
    return script_status("system", session->message);
}

vlqa_status vlqa_add_text(struct vlqa_session *session, const char *utf8, size_t bytes)
{
    note_call("text %.*s", (int)bytes, utf8);
    return script_status("text", session->message);
}

static vlqa_status add_image(struct vlqa_session *s, int width, int height)
{
    vlqa_status status = script_status("image", s->message);
    if (status != VLQA_OK) {
        char says[sizeof s->message];
        script("image_says", says, sizeof says);
        if (says[0]) memcpy(s->message, says, sizeof says);
        return status;
    }
    s->image = (struct vlqa_image_info){width,
                                        height,
                                        width / 32 * 32,
                                        height / 32 * 32,
                                        height / 16,
                                        width / 16,
                                        width / 32 * (height / 32),
                                        1,
                                        2};
    return run_phase(s->engine, s->options.progress, s->options.user, "vision", s->message);
}

vlqa_status vlqa_add_image_file(struct vlqa_session *session, const char *path)
{
    note_call("image_file %s", path);
    return add_image(session, 64, 64);
}

vlqa_status vlqa_image_open(const struct vlqa_engine *engine, const void *data, size_t bytes,
                            const char *name, struct vlqa_image **out)
{
    struct vlqa_image *image = calloc(1, sizeof *image);
    (void)engine;
    *out = image;
    snprintf(image->name, sizeof image->name, "%s", name);
    image->bytes = bytes < sizeof image->data ? bytes : sizeof image->data;
    memcpy(image->data, data, image->bytes);
    note_image("fake.images", "%s", name);
    image->is_broken = bytes >= 6 && memcmp(data, "broken", 6) == 0;
    if (!image->is_broken) return VLQA_OK;
    snprintf(image->message, sizeof image->message, "%s: fake image is broken", name);
    return VLQA_EIMAGE;
}

void vlqa_image_close(struct vlqa_image *image)
{
    if (image) note_image("fake.closed", "%s", image->name);
    free(image);
}

const char *vlqa_image_message(const struct vlqa_image *image)
{
    return image->message;
}

vlqa_status vlqa_image_read_info(const struct vlqa_image *image, struct vlqa_image_info *out,
                                 size_t bytes)
{
    (void)bytes;
    if (!image || image->is_broken) return image ? VLQA_ESTATE : VLQA_EUSAGE;
    *out = (struct vlqa_image_info){.width = 64, .height = 64, .tokens = 4, .ms_decode = 1};
    out->resized_width = out->resized_height = 64;
    return VLQA_OK;
}

vlqa_status vlqa_add_image(struct vlqa_session *session, const struct vlqa_image *image)
{
    note_call("image %s %.*s", image->name, (int)image->bytes, image->data);
    return add_image(session, 64, 64);
}

vlqa_status vlqa_add_image_bytes(struct vlqa_session *session, const void *data, size_t bytes,
                                 const char *name)
{
    note_call("image_bytes %s %.*s", name, (int)bytes, (const char *)data);
    return add_image(session, 64, 64);
}

vlqa_status vlqa_add_image_rgb(struct vlqa_session *session, const uint8_t *rgb, int width,
                               int height, size_t stride)
{
    unsigned long long sum = 0;
    for (size_t i = 0; i < stride * (size_t)height; i++)
        sum += rgb[i];
    note_call("image_rgb %dx%d stride %zu sum %llu", width, height, stride, sum);
    return add_image(session, width, height);
}

vlqa_status vlqa_last_image(const struct vlqa_session *session, struct vlqa_image_info *out,
                            size_t bytes)
{
    (void)bytes;
    *out = session->image;
    return VLQA_OK;
}

/* ---- ask ---- */

/* "\x41" to "A", in place. */
static void unescape(char *text, size_t *bytes)
{
    char *to = text;
    for (const char *c = text; *c; c++) {
        unsigned value;
        if (c[0] == '\\' && c[1] == 'x' && sscanf(c + 2, "%2x", &value) == 1) {
            *to++ = (char)value;
            c += 3;
        } else {
            *to++ = *c;
        }
    }
    *bytes = (size_t)(to - text);
}

/* Appends a delta and tells it. */
static vlqa_status emit(struct vlqa_session *s, const struct vlqa_ask_options *o,
                        struct vlqa_answer *a, const char *delta, size_t bytes)
{
    int stubborn = script_number("stubborn");
    memcpy(s->text + a->text_bytes, delta, bytes);
    a->text_bytes += bytes;
    a->n_tokens++;
    count_step(&s->engine->step);
    if (s->options.progress &&
        s->options.progress(s->options.user, "decode", a->n_tokens, o->max_tokens) && !stubborn)
        return VLQA_ECANCELLED;
    if (o->on_token && o->on_token(o->user, delta, bytes) && !stubborn) a->stop = VLQA_STOP_CALLER;
    return VLQA_OK;
}

static void think(struct vlqa_session *s, const struct vlqa_ask_options *o, struct vlqa_answer *a)
{
    char deltas[4096];
    script("thinking", deltas, sizeof deltas);
    a->thinking = s->thinking;
    s->thinking[0] = 0;
    for (char *delta = strtok(deltas, "|"); delta; delta = strtok(NULL, "|")) {
        strcat(s->thinking, delta);
        if (o->on_thinking) o->on_thinking(o->user, delta, strlen(delta));
    }
    a->thinking_bytes = strlen(s->thinking);
    a->thinking_is_open = script_number("open");
}

static vlqa_status decode(struct vlqa_session *s, const struct vlqa_ask_options *o,
                          struct vlqa_answer *a)
{
    char deltas[4096], *delta = deltas;
    vlqa_status failure = script_status("ask", s->message), status;
    int fail_at = script_number("fail_at");
    script("answer", deltas, sizeof deltas);
    for (;;) {
        size_t length = strcspn(delta, "|"), bytes;
        int last = !delta[length];
        if (failure != VLQA_OK && a->n_tokens >= fail_at) return failure;
        delta[length] = 0;
        unescape(delta, &bytes);
        status = emit(s, o, a, delta, bytes);
        if (status != VLQA_OK || a->stop == VLQA_STOP_CALLER) return status;
        if (a->n_tokens == o->max_tokens) {
            a->stop = VLQA_STOP_LENGTH;
            return VLQA_OK;
        }
        if (last && !o->ignore_eos) return VLQA_OK;
        if (!last) delta += length + 1;
    }
}

static void note_reuse(const struct vlqa_ask_options *o)
{
    const struct vlqa_experimental x =
        o->experimental ? *o->experimental : vlqa_experimental_default();
    int reuse = x.variant                    ? (int)x.variant
                : o->reuse == VLQA_REUSE_OFF ? 0
                : o->reuse == VLQA_REUSE_ON  ? (int)VLQA_VARIANT_INFOFLOW
                                             : (int)VLQA_VARIANT_KVSHARE + 1;
    note_call("reuse %d ratio=%g chunker=%d k=%d text=%d score=%d query=%d layers=%llx,%llx", reuse,
              (double)o->recompute_ratio, (int)o->chunker, o->chunk_k, o->chunk_text_tokens,
              (int)x.score, (int)x.query_tokens, (unsigned long long)x.probe_layers[1],
              (unsigned long long)x.probe_layers[0]);
    if (x.parity) note_call("parity %d", (int)x.parity);
    if (x.single_launches) note_call("single launches");
    if (x.stand_ins) note_call("stand-ins %d", (int)x.stand_ins);
    if (x.geometry || x.reorder)
        note_call("score geometry=%d reorder=%d", (int)x.geometry, (int)x.reorder);
    if (x.order || o->halo != -1 || o->text_chunker)
        note_call("layout order=%d halo=%d text=%d", (int)x.order, o->halo, (int)o->text_chunker);
    if (x.taper > 0 || x.check_layers[0] || x.check_layers[1] || x.refresh_every != 1 ||
        x.refresh_tokens != 4 || x.closing)
        note_call("method taper=%g closing=%d check=%llx,%llx refresh=%d:%d", (double)x.taper,
                  x.closing, (unsigned long long)x.check_layers[1],
                  (unsigned long long)x.check_layers[0], x.refresh_every, x.refresh_tokens);
}

/* One image of 2 x 1 cells behind three rows of prefix, a chunk each. */
static void fill_reuse(struct vlqa_answer *a)
{
    static struct vlqa_placed_image image[] = {{20, 10, 1, 2, 3, VLQA_SOURCE_DISK, 64, 32}};
    static const struct vlqa_placed_chunk chunk[] = {
        {0, -1, 0, 0, 1, 1, 3, 1, 1, VLQA_SOURCE_RAM, 0, 0},
        {0, -1, 0, 1, 1, 1, 4, 1, 0, VLQA_SOURCE_COMPUTED, 0, 0}};
    static const struct vlqa_evidence evidence[] = {{0, 10, 0, 10, 10, 2.5f}};
    static const float score[64] = {0, 0, 0, 0.5f, 2.5f};
    static const uint8_t selected[64] = {0, 0, 0, 0, 1};
    if (!script_number("reuse")) return;
    image[0].width = script_number("wide") ? 4096 : 20;
    a->image = image;
    a->n_images = 1;
    a->chunk = chunk;
    a->n_chunks = 2;
    a->evidence = evidence;
    a->n_evidence = !script_number("blind");
    a->token_score = score;
    a->token_selected = selected;
    a->tokens_selected = !script_number("unselected");
    if (!a->tokens_selected) a->token_selected = selected + 5; /* zeros */
    a->tokens_recomputed = 12;
    a->chunks_ram = a->chunks_computed = a->visual_disk = 1;
    a->ms_chunks = 3;
    a->ms_assemble = 0.5;
    a->ms_score = 1.5;
    a->ms_repair = 4;
}

vlqa_status vlqa_warm(struct vlqa_session *session, const struct vlqa_ask_options *options,
                      struct vlqa_answer *answer, size_t bytes)
{
    (void)bytes;
    note_call("warm");
    note_reuse(options);
    memset(answer, 0, sizeof *answer);
    answer->tokens_context = 2;
    fill_reuse(answer);
    return script_status("warm", session->message);
}

vlqa_status vlqa_ask(struct vlqa_session *session, const char *question,
                     const struct vlqa_ask_options *options, struct vlqa_answer *answer,
                     size_t bytes)
{
    static const float logits[] = {1.0f, -2.5f, 0.0f, 65504.0f};
    static const float flat[] = {0, 0, 0, 0}, drifted[] = {1, 0, 0, 0};
    struct vlqa_ask_options o = options ? *options : vlqa_ask_options_default();
    vlqa_status status;
    char stop[16];
    (void)bytes;
    note_call("ask %s max=%d temp=%g k=%d p=%g min=%g rep=%g pres=%g seed=%llu keep=%d ignore=%d",
              question, o.max_tokens, (double)o.temperature, o.top_k, (double)o.top_p,
              (double)o.min_p, (double)o.repetition_penalty, (double)o.presence_penalty,
              (unsigned long long)o.seed, o.keep, o.ignore_eos);
    for (int i = 0; i < o.n_stop_text; i++)
        note_call("stop %s", o.stop_text[i]);
    for (int i = 0; i < o.n_bias; i++)
        note_call("bias %d=%g", o.bias_token[i], (double)o.bias[i]);
    note_reuse(&o);
    memset(answer, 0, sizeof *answer);
    status = run_phase(session->engine, session->options.progress, session->options.user, "prefill",
                       session->message);
    if (status != VLQA_OK) return status;
    script("stop", stop, sizeof stop);
    answer->stop = strcmp(stop, "rows") == 0   ? VLQA_STOP_SESSION_FULL
                   : strcmp(stop, "text") == 0 ? VLQA_STOP_TEXT
                                               : VLQA_STOP_EOS;
    think(session, &o, answer);
    status = answer->thinking_is_open ? VLQA_OK : decode(session, &o, answer);
    session->text[answer->text_bytes] = 0;
    answer->text = session->text;
    answer->token = session->token;
    answer->logits = !script_number("drift") ? logits : o.reuse ? drifted : flat;
    answer->n_logits = 4;
    answer->tokens_prefix = 3;
    answer->tokens_context = session->image.tokens;
    answer->tokens_question = (int)strlen(question) + 5;
    answer->tokens_total = 8 + answer->tokens_context + (int)strlen(question);
    answer->ms_vision = 2.5;
    answer->ms_decode_image = 1.25;
    answer->ms_prefill = 10;
    answer->ms_first_token = 11;
    answer->ms_decode = 20;
    answer->ms_total = 31;
    answer->peak_bytes = 5000000000;
    fill_reuse(answer);
    return status;
}
