/* fixture.c - damaged copies of a model directory, and a small model to play with, for tests. */
#include "tests/fusion/fixture.h"

#include "fusion/engine/engine.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int done, const char *what, const char *where)
{
    if (done) return;
    fprintf(stderr, "fixture: cannot %s %s\n", what, where);
    abort();
}

static void join(char out[1024], const char *dir, const char *file)
{
    must(snprintf(out, 1024, "%s/%s", dir, file) < 1024, "name", file);
}

int fixture_open(struct fixture *f, const char *model)
{
    DIR *list = opendir(model);
    struct dirent *entry;
    snprintf(f->dir, sizeof f->dir, "/tmp/vlqa-model-XXXXXX");
    if (!list || !mkdtemp(f->dir)) return 0;
    while ((entry = readdir(list))) {
        char from[1024], to[1024];
        if (entry->d_name[0] == '.') continue;
        join(from, model, entry->d_name);
        join(to, f->dir, entry->d_name);
        must(symlink(from, to) == 0, "link", to);
    }
    closedir(list);
    return 1;
}

void fixture_close(struct fixture *f)
{
    DIR *list = opendir(f->dir);
    struct dirent *entry;
    while (list && (entry = readdir(list)))
        if (entry->d_name[0] != '.') fixture_remove(f, entry->d_name);
    if (list) closedir(list);
    must(rmdir(f->dir) == 0, "remove", f->dir);
}

const char *fixture_path(const struct fixture *f, const char *file)
{
    static char path[1024];
    join(path, f->dir, file);
    return path;
}

void fixture_remove(const struct fixture *f, const char *file)
{
    must(unlink(fixture_path(f, file)) == 0, "remove", file);
}

void fixture_write(const struct fixture *f, const char *file, const void *data, size_t bytes)
{
    const char *path = fixture_path(f, file);
    FILE *out;
    (void)unlink(path); /* the link, not what it points to */
    out = fopen(path, "wb");
    must(out && fwrite(data, 1, bytes, out) == bytes && fclose(out) == 0, "write", path);
}

char *fixture_read(const struct fixture *f, const char *file, size_t *bytes)
{
    const char *path = fixture_path(f, file);
    FILE *in = fopen(path, "rb");
    char *data;
    must(in && fseek(in, 0, SEEK_END) == 0, "read", path);
    *bytes = (size_t)ftell(in);
    rewind(in);
    data = malloc(*bytes + 1);
    must(data && fread(data, 1, *bytes, in) == *bytes, "read", path);
    data[*bytes] = 0;
    fclose(in);
    return data;
}

/* A text with every `from` replaced; *n is how many there were. */
static char *replaced(const char *text, const char *from, const char *to, int *n)
{
    size_t grown = strlen(to) > strlen(from) ? strlen(to) - strlen(from) : 0;
    char *out, *end;
    const char *hit = text;
    for (*n = 0; (hit = strstr(hit, from)); hit += strlen(from))
        ++*n;
    out = end = malloc(strlen(text) + (size_t)*n * grown + 1);
    must(out != NULL, "edit", from);
    for (; (hit = strstr(text, from)); text = hit + strlen(from)) {
        memcpy(end, text, (size_t)(hit - text));
        end += hit - text;
        memcpy(end, to, strlen(to));
        end += strlen(to);
    }
    strcpy(end, text);
    return out;
}

static void replace(const struct fixture *f, const char *file, const char *from, const char *to,
                    int once)
{
    size_t bytes;
    int n;
    char *text = fixture_read(f, file, &bytes), *edited = replaced(text, from, to, &n);
    must(once ? n == 1 : n > 0, once ? "find once" : "find", from);
    fixture_write(f, file, edited, strlen(edited));
    free(text);
    free(edited);
}

void fixture_replace(const struct fixture *f, const char *file, const char *from, const char *to)
{
    replace(f, file, from, to, 1);
}

void fixture_replace_all(const struct fixture *f, const char *file, const char *from,
                         const char *to)
{
    replace(f, file, from, to, 0);
}

struct tensors { /* a safetensors file in two parts */
    char *header, *data;
    size_t bytes; /* of the data */
};

static struct tensors tensors_read(const struct fixture *f, const char *file)
{
    struct tensors t;
    size_t all;
    uint64_t header;
    char *whole = fixture_read(f, file, &all);
    memcpy(&header, whole, sizeof header);
    t.bytes = all - sizeof header - header;
    t.header = strndup(whole + sizeof header, header);
    t.data = malloc(t.bytes + 1);
    must(t.header && t.data, "read", file);
    memcpy(t.data, whole + sizeof header + header, t.bytes);
    free(whole);
    return t;
}

/* Writes the file with this header and `more` bytes behind the data, and frees the parts. */
static void tensors_write(const struct fixture *f, const char *file, struct tensors t, char *header,
                          const void *extra, size_t more)
{
    uint64_t length = strlen(header);
    size_t all = sizeof length + length + t.bytes + more;
    char *whole = malloc(all);
    must(whole != NULL, "write", file);
    memcpy(whole, &length, sizeof length);
    memcpy(whole + sizeof length, header, length);
    memcpy(whole + sizeof length + length, t.data, t.bytes);
    if (more) memcpy(whole + sizeof length + length + t.bytes, extra, more);
    fixture_write(f, file, whole, all);
    free(whole);
    free(header);
    free(t.header);
    free(t.data);
}

void fixture_rename_tensors(const struct fixture *f, const char *file, const char *from,
                            const char *to)
{
    struct tensors t = tensors_read(f, file);
    int n;
    char *header = replaced(t.header, from, to, &n);
    must(n > 0, "find", from);
    tensors_write(f, file, t, header, NULL, 0);
}

void fixture_add_tensor(const struct fixture *f, const char *file, const char *name,
                        const char *dtype, const char *shape, const void *data, size_t bytes)
{
    struct tensors t = tensors_read(f, file);
    size_t cap = strlen(t.header) + 512;
    char *header = malloc(cap), *end = strrchr(t.header, '}');
    must(header && end, "extend", file);
    *end = 0;
    must(snprintf(header, cap,
                  "%s,\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}}", t.header,
                  name, dtype, shape, t.bytes, t.bytes + bytes) < (int)cap,
         "extend", file);
    tensors_write(f, file, t, header, data, bytes);
}

vlqa_status fixture_engine(const char *model, enum vlqa_dtype dtype, struct vlqa_engine **out)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    o.model = model;
    o.dtype = dtype;
    o.threads = 1;
    return vlqa_engine_open(&o, out);
}

struct run run_new(void)
{
    struct run r = {NULL, NULL, session_options(), 1, 0};
    return r;
}

int run_open(struct run *r)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    o.model = FIXTURE_TIED;
    o.threads = r->threads;
    o.no_cache = r->no_cache;
    if (vlqa_engine_open(&o, &r->engine) == VLQA_OK &&
        vlqa_session_open(r->engine, &r->so, &r->session) == VLQA_OK)
        return 1;
    fprintf(stderr, "%s %s\n", vlqa_engine_message(r->engine), vlqa_message(r->session));
    return 0;
}

void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
}

struct vlqa_ask_options run_ask(int max_tokens)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.max_tokens = max_tokens;
    o.ignore_eos = 1;
    return o;
}

vlqa_status run_text(struct vlqa_session *s, const char *text)
{
    return vlqa_add_text(s, text, strlen(text));
}

int run_logits(struct vlqa_session *s, const char *question, float logits[FIXTURE_VOCAB])
{
    struct vlqa_ask_options o = run_ask(1);
    struct vlqa_answer answer;
    if (vlqa_ask(s, question, &o, &answer, sizeof answer) != VLQA_OK) {
        fprintf(stderr, "%s\n", vlqa_message(s));
        return 0;
    }
    memcpy(logits, answer.logits, FIXTURE_VOCAB * sizeof *logits);
    return 1;
}

const float *run_undisturbed(void)
{
    static float logits[FIXTURE_VOCAB];
    struct run r = run_new();
    must(run_open(&r) && vlqa_add_image_file(r.session, FIXTURE_PICTURE) == VLQA_OK &&
             run_logits(r.session, FIXTURE_QUESTION, logits),
         "ask", FIXTURE_TIED);
    run_close(&r);
    return logits;
}

int run_is_undisturbed(struct vlqa_session *s)
{
    float logits[FIXTURE_VOCAB];
    return run_logits(s, FIXTURE_QUESTION, logits) &&
           memcmp(logits, run_undisturbed(), sizeof logits) == 0;
}

size_t run_prompt(const struct run *r, const struct vlqa_answer *a, char *out, size_t cap)
{
    const struct prompt_tokens *control = &r->engine->tokens;
    size_t used = 0;
    for (int i = 0; i < a->tokens_total; i++) {
        size_t bytes;
        int32_t id = a->prompt_token[i];
        const char *bytes_of = tokenizer_token_bytes(r->engine->tokenizer, id, &bytes);
        if (id == control->im_start || id == control->im_end) {
            bytes_of = id == control->im_end ? "<|im_end|>" : "<|im_start|>";
            bytes = strlen(bytes_of);
        }
        if (bytes >= cap - used) break;
        if (bytes) memcpy(out + used, bytes_of, bytes);
        used += bytes;
    }
    out[used] = 0;
    return used;
}
