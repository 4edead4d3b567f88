/* json_row.c - questions and images of JSON rows. */
#include "eval/data/json_row.h"

#include "base/file.h"
#include "eval/data/base64.h"
#include "eval/data/near_key.h"

#include <stdio.h>
#include <string.h>

/* Of these a row has one. */
static const char *const image_keys[] = {"image", "images", "img", "imgs", NULL};
/* Beside one of those they are other names of the same image. */
static const char *const path_keys[] = {"image_path",  "image_paths", "image_file",
                                        "image_files", "img_path",    "image_url",
                                        "image_urls",  "imgname",     NULL};
enum { MOST_KEYS = 1000 };
static const char *const question_keys[] = {"question", "query", "prompt", "text", NULL};
static const char *const other_media[] = {"video", "videos", "audio", "audios", NULL};

size_t json_row_room(size_t row_bytes, const struct json_row_file *file)
{
    size_t folder = strlen(file->images ? file->images : file->path);
    /* An image may have two paths (path_of). */
    return 5 * row_bytes + DATASET_IMAGES * 2 * (folder + 4 * ARENA_ALIGN) + 4096;
}

const char *json_row_beside(struct arena *arena, const char *file, const char *folder,
                            const char *name)
{
    const char *slash = strrchr(file, '/');
    int parent = slash && folder[0] != '/' && name[0] != '/' ? (int)(slash - file) + 1 : 0;
    size_t cap = (size_t)parent + strlen(folder) + strlen(name) + 2;
    char *out = arena_push(arena, cap);
    snprintf(out, cap, "%.*s%s%s%s", parent, file, name[0] == '/' ? "" : folder,
             *folder && name[0] != '/' ? "/" : "", name);
    return out;
}

static int is_empty(const struct json *value)
{
    if (!value || json_kind(value) == JSON_NULL) return 1;
    if (json_text(value)) return !*json_text(value);
    return (json_kind(value) == JSON_ARRAY || json_kind(value) == JSON_OBJECT) &&
           !json_first(value);
}

/* ---- an image ---- */

struct reader {
    struct env *env;
    const struct json_row_file *file;
    struct arena *arena;
    struct json_row *out;
};

static vlqa_status fail(const struct reader *r, const char *key, const char *reason)
{
    return env_fail(r->env, VLQA_EUSAGE, "%.256s: %.60s %s", r->file->name, key, reason);
}

static vlqa_status add_image(const struct reader *r, const char *key, struct dataset_image image)
{
    if (r->out->n_images == DATASET_IMAGES) {
        char reason[64];
        snprintf(reason, sizeof reason, "holds more than %d images", DATASET_IMAGES);
        return fail(r, key, reason);
    }
    r->out->image[r->out->n_images++] = image;
    return VLQA_OK;
}

static vlqa_status add_base64(const struct reader *r, const char *key, const char *text)
{
    size_t bytes, bad, chars = strlen(text);
    uint8_t *data = arena_push(r->arena, base64_bytes(chars));
    char reason[96];
    if (base64_decode(text, chars, data, &bytes, &bad))
        return add_image(r, key, (struct dataset_image){.data = data, .bytes = bytes});
    snprintf(reason, sizeof reason, "is no base64: character %zu of %zu %s", bad + (bad < chars),
             chars, bad < chars ? "is wrong" : "ends it within four");
    return fail(r, key, reason);
}

/* The base64 of a PNG, JPEG, WebP or GIF; "/9j/" could begin a path, but not a long one that has
 * nothing else in it. */
static int is_base64(const char *text)
{
    static const char *const begin[] = {"iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD"};
    for (size_t i = 0; i < sizeof begin / sizeof *begin; i++)
        if (strncmp(text, begin[i], strlen(begin[i])) == 0)
            return strlen(text) >= 64 && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
                                                           "nopqrstuvwxyz0123456789+/=")] == 0;
    return 0;
}

/* Of ChartQA's JSON images are in png beside it. */
static const char *path_of(const struct reader *r, const char *key, const char *name)
{
    const char *path;
    if (r->file->images) return json_row_beside(r->arena, "", r->file->images, name);
    path = json_row_beside(r->arena, r->file->path, "", name);
    if (strcmp(key, "imgname") == 0 && !file_exists(path))
        path = json_row_beside(r->arena, r->file->path, "png", name);
    return path;
}

static vlqa_status add_text(const struct reader *r, const char *key, const char *text)
{
    const char *comma = strchr(text, ',');
    if (strncmp(text, "data:", 5) == 0) {
        if (!comma || comma - text < 7 || strncmp(comma - 7, ";base64", 7) != 0)
            return fail(r, key,
                        "is a data URI without ;base64, expected data:image/...;base64,...");
        return add_base64(r, key, comma + 1);
    }
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0)
        return fail(r, key,
                    "is a URL, which is not fetched; download the image and write its path");
    if (is_base64(text)) return add_base64(r, key, text);
    if (strncmp(text, "file://", 7) == 0) text += 7;
    return add_image(r, key, (struct dataset_image){.path = path_of(r, key, text)});
}

static vlqa_status add_value(const struct reader *r, const char *key, const struct json *value,
                             int depth);

static vlqa_status add_object(const struct reader *r, const char *key, const struct json *value,
                              int depth)
{
    static const char *const members[] = {"image_url", "url", "image", "path", NULL};
    const struct json *bytes = json_get(value, "bytes");
    if (!is_empty(bytes) && !json_text(bytes))
        return fail(r, key, "has bytes that are no text, expected base64");
    if (!is_empty(bytes)) return add_base64(r, key, json_text(bytes));
    for (int i = 0; members[i]; i++)
        if (!is_empty(json_get(value, members[i])))
            return add_value(r, key, json_get(value, members[i]), depth + 1);
    return fail(r, key, "is an object, expected {bytes, path} or {url} with one of them");
}

/* Lists may be in a list. */
static vlqa_status add_value(const struct reader *r, const char *key, const struct json *value,
                             int depth)
{
    char reason[96];
    if (is_empty(value)) return VLQA_OK;
    if (json_text(value)) return add_text(r, key, json_text(value));
    if (json_kind(value) == JSON_OBJECT && depth < 4) return add_object(r, key, value, depth);
    if (json_kind(value) == JSON_ARRAY && depth < 2) {
        for (const struct json *i = json_first(value); i; i = json_next(i))
            TRY(add_value(r, key, i, depth + 1));
        return VLQA_OK;
    }
    snprintf(reason, sizeof reason, "holds %s, expected a path, a list of them or {bytes, path}",
             json_kind_name(value));
    return fail(r, key, reason);
}

/* ---- the images of a row ---- */

/* "image_1", "image2", ... */
static int is_numbered(const char *key)
{
    if (strncmp(key, "image", 5) != 0) return 0;
    key += 5 + (key[5] == '_');
    return *key && key[strspn(key, "0123456789")] == 0;
}

static int is_one_of(const char *key, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(key, *list) == 0) return 1;
    return 0;
}

static vlqa_status add_numbered(const struct reader *r, const struct json *row, const char *key)
{
    for (const struct json *i = json_first(row); i; i = json_next(i)) {
        if (!is_numbered(json_name(i)) || is_empty(i)) continue;
        if (key) {
            char reason[128];
            snprintf(reason, sizeof reason,
                     "and %.40s are both there; write all images into images", json_name(i));
            return fail(r, key, reason);
        }
        TRY(add_value(r, json_name(i), i, 0));
    }
    return VLQA_OK;
}

static vlqa_status read_images(const struct reader *r, const struct json *row)
{
    const char *key = NULL;
    for (int i = 0; image_keys[i]; i++) {
        if (is_empty(json_get(row, image_keys[i]))) continue;
        if (key) {
            char reason[96];
            snprintf(reason, sizeof reason, "and %s are both there; write all images into images",
                     image_keys[i]);
            return fail(r, key, reason);
        }
        key = image_keys[i];
        TRY(add_value(r, key, json_get(row, key), 0));
    }
    TRY(add_numbered(r, row, key));
    for (int i = 0; path_keys[i] && !r->out->n_images; i++)
        TRY(add_value(r, path_keys[i], json_get(row, path_keys[i]), 0));
    for (int i = 0; other_media[i]; i++)
        if (!is_empty(json_get(row, other_media[i])))
            return fail(r, other_media[i], "is there, and only images are answered about");
    return VLQA_OK;
}

/* ---- the question ---- */

static const char *const marks[] = {"<|vision_start|><|image_pad|><|vision_end|>", "<|image_pad|>",
                                    "<image>"};

/* The length of the mark that stands here, or 0. */
static size_t mark_at(const char *at)
{
    for (size_t i = 0; i < sizeof marks / sizeof *marks && *at == '<'; i++)
        if (strncmp(at, marks[i], strlen(marks[i])) == 0) return strlen(marks[i]);
    return 0;
}

/* The text without its marks, and without outer blanks if there were any. */
static vlqa_status take_marks(const struct reader *r, const char *key, const char **text)
{
    char *out = arena_push(r->arena, strlen(*text) + 1), reason[160];
    size_t n = 0, blanks;
    int found = 0;
    for (const char *at = *text; *at;) {
        size_t mark = mark_at(at);
        found += mark > 0;
        if (!mark) out[n++] = *at++;
        at += mark;
    }
    if (!found) return VLQA_OK;
    if (found != r->out->n_images) {
        snprintf(reason, sizeof reason,
                 "has %d marks <image>, and the row has %d images; expected one mark an image, or "
                 "none",
                 found, r->out->n_images);
        return fail(r, key, reason);
    }
    while (n && strchr(" \t\r\n", out[n - 1]))
        n--;
    out[n] = 0;
    blanks = strspn(out, " \t\r\n");
    *text = out + blanks;
    return VLQA_OK;
}

/* Texts of the content parts one behind the other; their images are added. {"type": "image"} alone
 * is a mark. */
static vlqa_status read_parts(const struct reader *r, const char *key, const struct json *parts,
                              const char **out)
{
    size_t n = 0;
    char *text, *end;
    for (const struct json *i = json_first(parts); i; i = json_next(i))
        n += json_text(json_get(i, "text")) ? strlen(json_text(json_get(i, "text"))) : 7;
    text = arena_push(r->arena, n + 1);
    end = text;
    *end = 0;
    for (const struct json *i = json_first(parts); i; i = json_next(i)) {
        const char *type = json_text(json_get(i, "type"));
        const char *words = json_text(json_get(i, "text"));
        if (words)
            end = stpcpy(end, words);
        else if (!is_empty(json_get(i, "image")) || !is_empty(json_get(i, "image_url")))
            TRY(add_value(r, key, i, 0));
        else if (type && strcmp(type, "image") == 0)
            end = stpcpy(end, "<image>");
        else
            return fail(r, key, "has a content part that is neither text nor image nor image_url");
    }
    *out = text;
    return VLQA_OK;
}

static vlqa_status read_turn(const struct reader *r, const char *key, const struct json *turn)
{
    static const char *const user[] = {"user", "human", NULL};
    static const char *const model[] = {"assistant", "gpt", "bot", "model", NULL};
    const struct json *content = json_get_renamed(turn, "content", "value");
    const char *role = json_text(json_get_renamed(turn, "role", "from"));
    const char *text = json_text(content);
    if (!role || !content)
        return fail(r, key, "has a turn without role and content (or from and value)");
    if (json_kind(content) == JSON_ARRAY) TRY(read_parts(r, key, content, &text));
    if (!text) return fail(r, key, "has a turn whose content is no text and no list of parts");
    if (is_one_of(role, user) && r->out->question)
        return fail(r, key, "holds several questions; write a row for each of them");
    if (is_one_of(role, user))
        r->out->question = text;
    else if (is_one_of(role, model) && r->out->question)
        r->out->answer = text;
    else if (strcmp(role, "system") == 0 && *text)
        return fail(r, key, "holds a system text, which --system gives for all rows");
    else if (strcmp(role, "system") != 0)
        return fail(r, key,
                    "has a turn of another role than system, user and assistant, or none of "
                    "the user before an answer");
    return VLQA_OK;
}

static vlqa_status read_turns(const struct reader *r, const struct json *row)
{
    static const char *const keys[] = {"messages", "conversations", NULL};
    for (int i = 0; keys[i] && !r->out->question; i++) {
        const struct json *turns = json_get(row, keys[i]);
        if (is_empty(turns)) continue;
        if (json_kind(turns) != JSON_ARRAY) return fail(r, keys[i], "is no list of turns");
        r->out->question_key = keys[i];
        for (const struct json *turn = json_first(turns); turn; turn = json_next(turn))
            TRY(read_turn(r, keys[i], turn));
        if (!r->out->question) return fail(r, keys[i], "has no turn of the user");
    }
    return VLQA_OK;
}

vlqa_status json_row_read(struct env *env, const struct json_row_file *file, const struct json *row,
                          struct arena *arena, struct json_row *out)
{
    struct reader r = {env, file, arena, out};
    const char *system = json_text(json_get(row, "system"));
    *out = (struct json_row){.question = NULL};
    TRY(read_images(&r, row));
    for (int i = 0; question_keys[i] && !out->question; i++) {
        out->question = json_text(json_get(row, question_keys[i]));
        if (out->question) out->question_key = question_keys[i];
    }
    if (!out->question) TRY(read_turns(&r, row));
    if (system && *system) return fail(&r, "system", "is there; --system gives one for all rows");
    return out->question ? take_marks(&r, out->question_key, &out->question) : VLQA_OK;
}

/* ---- other keys ---- */

static const char *const more_keys[] = {"question", "messages", "conversations", NULL};

static int is_ours(const struct json_row *read, const char *key, const char *const *known)
{
    return is_numbered(key) || is_one_of(key, image_keys) || is_one_of(key, path_keys) ||
           is_one_of(key, other_media) || is_one_of(key, more_keys) || is_one_of(key, known) ||
           (read->question_key && strcmp(key, read->question_key) == 0);
}

static const char *find_near(const char *key, const char *const *known)
{
    const char *near = near_key_find(key, known);
    if (!near) near = near_key_find(key, more_keys);
    if (!near) near = near_key_find(key, image_keys);
    return near ? near : near_key_find(key, path_keys);
}

static int is_image_like(const struct json *value)
{
    const char *text = json_text(value);
    if (text && near_key_is_image_value(text)) return 1;
    return near_key_is_image(json_name(value)) && json_kind(value) != JSON_NUMBER &&
           json_kind(value) != JSON_BOOL;
}

vlqa_status json_row_check_keys(struct env *env, const struct json_row_file *file,
                                const struct json *row, const struct json_row *read,
                                const char *const *known)
{
    int n = 0;
    for (const struct json *i = json_first(row); i; i = json_next(i)) {
        const char *key = json_name(i), *near;
        if (++n > MOST_KEYS)
            return env_fail(env, VLQA_EUSAGE, "%.256s: the row has more than %d keys", file->name,
                            MOST_KEYS);
        if (key[0] == '_' || is_empty(i) || is_ours(read, key, known)) continue;
        near = find_near(key, known);
        if (near)
            return env_fail(env, VLQA_EUSAGE,
                            "%.256s: unknown key %.60s; write %s if it is meant, or else _%.60s",
                            file->name, key, near, key);
        if (!read->n_images && is_image_like(i))
            return env_fail(
                env, VLQA_EUSAGE,
                "%.256s: unknown key %.60s, which seems to be an image, and the row has "
                "no other; write image if it is meant, or else _%.60s",
                file->name, key, key);
    }
    return VLQA_OK;
}

const char *json_row_empty_image(const struct json *row)
{
    for (const struct json *i = json_first(row); i; i = json_next(i))
        if (is_empty(i) && near_key_is_image(json_name(i))) return json_name(i);
    return NULL;
}
