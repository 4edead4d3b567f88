/* dataset_tsv.c - VLMEvalKit's TSV: one pass at open finds every row and what is wrong with it, so
 * that a run of hours does not end there; images are decoded when their row comes. */
#include "base/bom.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/heap.h"
#include "eval/data/base64.h"
#include "eval/data/dataset_reader.h"
#include "eval/data/near_key.h"
#include "eval/data/pylist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 128
#define MAX_REFERENCE 64 /* bytes of an image cell that names another row (VLMEvalKit's rule) */

enum column {
    COLUMN_A, /* to Z */
    COLUMN_INDEX = 26,
    COLUMN_IMAGE,
    COLUMN_IMAGE_PATH,
    COLUMN_QUESTION,
    COLUMN_ANSWER,
    COLUMN_HINT,
    COLUMN_CATEGORY,
    COLUMN_SPLIT,
    COLUMN_CYCLE,
    N_COLUMNS
};

static const char *const column_names[] = {
    [COLUMN_INDEX] = "index",           [COLUMN_IMAGE] = "image",
    [COLUMN_IMAGE_PATH] = "image_path", [COLUMN_QUESTION] = "question",
    [COLUMN_ANSWER] = "answer",         [COLUMN_HINT] = "hint",
    [COLUMN_CATEGORY] = "category",     [COLUMN_SPLIT] = "split",
    [COLUMN_CYCLE] = "cycle_category",  [N_COLUMNS] = NULL};

struct cell { /* in the map */
    const char *at;
    size_t bytes;
    int is_quoted; /* each quote inside is there twice */
};

struct place {
    const char *at;
    int line;
    uint64_t index;    /* hash of its cell */
    struct cell image; /* zeroed: none */
};

struct state {
    struct file_map map;
    const char *end;
    int column[MAX_COLUMNS], n_columns; /* which of ours each is, or -1 */
    struct place *row;
    int n_rows, next;
    size_t cap;           /* of row, in rows */
    int *by_index;        /* rows in the order of their hash */
    const char *line_end; /* of the line that is read: saves looking for it for each cell */
    struct cell cell[N_COLUMNS];
};

/* ---- cells ---- */

static const char *find_line_end(struct state *s, const char *at)
{
    if (!s->line_end || s->line_end < at) {
        s->line_end = memchr(at, '\n', (size_t)(s->end - at));
        if (!s->line_end) s->line_end = s->end;
    }
    return s->line_end;
}

/* *at is at the cell and is left behind it, at what ends it; *lines counts line ends inside. */
static vlqa_status read_cell(struct env *env, struct dataset *d, const char **at, int *lines,
                             struct cell *out)
{
    struct state *s = d->state;
    const char *c = *at, *stop;
    if (c < s->end && *c == '"') {
        *out = (struct cell){.at = ++c, .is_quoted = 1};
        for (;; c = stop + 2) {
            stop = memchr(c, '"', (size_t)(s->end - c));
            if (!stop) return dataset_fail(env, d, "a quoted cell does not end");
            if (stop + 1 == s->end || stop[1] != '"') break;
        }
        out->bytes = (size_t)(stop - out->at);
        for (c = out->at; (c = memchr(c, '\n', (size_t)(stop - c))); c++)
            ++*lines;
        *at = stop + 1;
    } else {
        const char *end = find_line_end(s, c);
        stop = memchr(c, '\t', (size_t)(end - c));
        *at = stop ? stop : end;
        if (!stop && end > c && end[-1] == '\r') --*at;
        *out = (struct cell){.at = c, .bytes = (size_t)(*at - c)};
    }
    if (*at < s->end && **at == '\r' && *at + 1 < s->end && (*at)[1] == '\n') ++*at;
    if (*at == s->end || **at == '\t' || **at == '\n') return VLQA_OK;
    if (**at == '\r' && *at + 1 == s->end) {
        ++*at;
        return VLQA_OK;
    }
    return dataset_fail(env, d, "a character behind a quoted cell");
}

/* A whole row into s->cell; *at is left at the next. The number of cells is that of the header. */
static vlqa_status read_row(struct env *env, struct dataset *d, const char **at, int *lines)
{
    struct state *s = d->state;
    int n = 0;
    memset(s->cell, 0, sizeof s->cell);
    for (;; ++*at) {
        struct cell cell;
        TRY(read_cell(env, d, at, lines, &cell));
        if (n < s->n_columns && s->column[n] >= 0) s->cell[s->column[n]] = cell;
        n++;
        if (*at == s->end || **at == '\n') break;
    }
    if (n != s->n_columns)
        return dataset_fail(env, d, "has %d cells, expected %d as in the header", n, s->n_columns);
    ++*lines;
    *at += *at < s->end;
    return VLQA_OK;
}

/* Without the doubled quotes, in the arena where there are any. */
static struct text text_in(struct dataset *d, struct cell cell)
{
    struct text out = {cell.at, cell.bytes};
    const char *quote = cell.is_quoted ? memchr(cell.at, '"', cell.bytes) : NULL;
    char *to;
    if (!quote) return out;
    to = arena_push(&d->arena, cell.bytes);
    out = (struct text){to, 0};
    for (size_t i = 0; i < cell.bytes; i += cell.at[i] == '"' ? 2 : 1)
        to[out.bytes++] = cell.at[i];
    return out;
}

/* ---- opening ---- */

static int find_column(const char *name, size_t bytes)
{
    if (bytes == 1 && name[0] >= 'A' && name[0] <= 'Z') return name[0] - 'A';
    for (int i = COLUMN_INDEX; i < N_COLUMNS; i++)
        if (strlen(column_names[i]) == bytes && memcmp(column_names[i], name, bytes) == 0) return i;
    return -1;
}

/* A column that is meant for one of ours, or for the image where there is none, is no column to
 * pass over. */
static vlqa_status check_name(struct env *env, struct dataset *d, struct cell cell, int has_image)
{
    char name[64];
    const char *near;
    if (cell.bytes == 0 || cell.bytes >= sizeof name || cell.at[0] == '_') return VLQA_OK;
    snprintf(name, sizeof name, "%.*s", (int)cell.bytes, cell.at);
    near = near_key_find(name, column_names + COLUMN_INDEX);
    if (cell.bytes == 1 && name[0] >= 'a' && name[0] <= 'z')
        return dataset_fail(env, d,
                            "unknown column %s; write %c if the option is meant, or else _%s", name,
                            name[0] - 'a' + 'A', name);
    if (near)
        return dataset_fail(env, d, "unknown column %s; write %s if it is meant, or else _%s", name,
                            near, name);
    if (!has_image && near_key_is_image(name))
        return dataset_fail(env, d,
                            "unknown column %s, and none is image or image_path; write image if it "
                            "is meant, or else _%s",
                            name, name);
    return VLQA_OK;
}

static vlqa_status check_names(struct env *env, struct dataset *d, const char *at, int has_image)
{
    struct state *s = d->state;
    int lines = 0;
    s->line_end = NULL;
    for (int i = 0; i < s->n_columns; i++, at++) {
        struct cell cell;
        TRY(read_cell(env, d, &at, &lines, &cell));
        if (s->column[i] < 0) TRY(check_name(env, d, cell, has_image));
    }
    return VLQA_OK;
}

static vlqa_status read_header(struct env *env, struct dataset *d, const char **at, int *lines)
{
    struct state *s = d->state;
    int has[N_COLUMNS] = {0};
    const char *begin = *at;
    for (;; ++*at) {
        struct cell cell;
        int column;
        TRY(read_cell(env, d, at, lines, &cell));
        if (s->n_columns == MAX_COLUMNS)
            return dataset_fail(env, d, "more than %d columns", MAX_COLUMNS);
        column = find_column(cell.at, cell.bytes);
        if (column >= 0 && has[column]++)
            return dataset_fail(env, d, "the column %.*s is there twice", (int)cell.bytes, cell.at);
        s->column[s->n_columns++] = column;
        if (*at == s->end || **at == '\n') break;
    }
    TRY(check_names(env, d, begin, has[COLUMN_IMAGE] || has[COLUMN_IMAGE_PATH]));
    s->line_end = NULL;
    ++*lines;
    *at += *at < s->end;
    if (!has[COLUMN_QUESTION]) return dataset_fail(env, d, "the header has no column question");
    return VLQA_OK;
}

static vlqa_status add_place(struct env *env, struct state *s, const char *at, int line)
{
    const struct cell *index = &s->cell[COLUMN_INDEX];
    if ((size_t)s->n_rows == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 1024, bytes = cap * sizeof *s->row;
        void *grown =
            s->row ? heap_resize(s->row, s->cap * sizeof *s->row, bytes) : heap_alloc(bytes);
        if (!grown) return env_no_memory(env, "rows", bytes);
        s->row = grown;
        s->cap = cap;
    }
    s->row[s->n_rows++] =
        (struct place){.at = at,
                       .line = line,
                       .index = checksum64(index->at ? index->at : "", index->bytes),
                       .image = s->cell[COLUMN_IMAGE]};
    return VLQA_OK;
}

static int by_hash(const void *a, const void *b, void *rows)
{
    const struct place *row = rows;
    int i = *(const int *)a, k = *(const int *)b;
    uint64_t x = row[i].index, y = row[k].index;
    if (x != y) return x < y ? -1 : 1;
    return (i > k) - (i < k);
}

static vlqa_status sort_rows(struct env *env, struct state *s)
{
    size_t bytes = (size_t)s->n_rows * sizeof *s->by_index;
    s->by_index = heap_alloc(bytes);
    if (!s->by_index) return env_no_memory(env, "rows", bytes);
    for (int i = 0; i < s->n_rows; i++)
        s->by_index[i] = i;
    if (s->n_rows > 1)
        qsort_r(s->by_index, (size_t)s->n_rows, sizeof *s->by_index, by_hash, s->row);
    return VLQA_OK;
}

static int is_blank_line(const struct state *s, const char *at)
{
    return *at == '\n' || (*at == '\r' && at + 1 < s->end && at[1] == '\n');
}

static vlqa_status open_tsv(struct env *env, struct dataset *d)
{
    struct state *s = d->state = heap_alloc_zero(sizeof *s);
    const char *at;
    int line = 1;
    if (!s) return env_no_memory(env, "data set", sizeof *s);
    TRY(file_map_open(env, d->path, &s->map));
    at = (const char *)s->map.data;
    s->end = at + s->map.size;
    at += bom_bytes(at, s->map.size);
    d->item.line = 1;
    TRY(read_header(env, d, &at, &line));
    while (at < s->end) {
        const char *start = at;
        d->item.line = line;
        if (is_blank_line(s, at)) {
            at += *at == '\r' ? 2 : 1;
            line++;
            continue;
        }
        TRY(read_row(env, d, &at, &line));
        TRY(add_place(env, s, start, d->item.line));
    }
    return sort_rows(env, s);
}

static void close_tsv(struct dataset *d)
{
    struct state *s = d->state;
    if (!s) return;
    file_map_close(&s->map);
    heap_free(s->row);
    heap_free(s->by_index);
    heap_free(s);
}

/* ---- images ---- */

/* The row whose index this is, or NULL. */
static const struct place *find_row(const struct state *s, struct text index)
{
    uint64_t hash = checksum64(index.at, index.bytes);
    int low = 0, high = s->n_rows;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (s->row[s->by_index[middle]].index < hash)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == s->n_rows || s->row[s->by_index[low]].index != hash) return NULL;
    return &s->row[s->by_index[low]];
}

static vlqa_status decode_image(struct env *env, struct dataset *d, struct text cell)
{
    struct dataset_item *item = &d->item;
    uint8_t *out;
    size_t bytes, bad;
    if (item->n_images == DATASET_IMAGES)
        return dataset_fail(env, d, "more than %d images", DATASET_IMAGES);
    out = arena_push(&d->arena, base64_bytes(cell.bytes));
    if (!base64_decode(cell.at, cell.bytes, out, &bytes, &bad))
        return dataset_fail(env, d,
                            bad < cell.bytes ? "image is no base64: character %zu of %zu is wrong"
                                             : "image is no base64: it ends at character %zu of "
                                               "%zu, within four",
                            bad + (bad < cell.bytes), cell.bytes);
    item->image[item->n_images++] = (struct dataset_image){.data = out, .bytes = bytes};
    return VLQA_OK;
}

static vlqa_status decode_images(struct env *env, struct dataset *d, struct text cell)
{
    struct text *list;
    int n;
    if (cell.at[0] != '[') return decode_image(env, d, cell);
    if (!pylist_read(cell, &d->arena, &list, &n))
        return dataset_fail(env, d, "image begins as a list and is none");
    for (int i = 0; i < n; i++)
        TRY(decode_image(env, d, list[i]));
    return VLQA_OK;
}

static vlqa_status read_paths(struct env *env, struct dataset *d, struct text cell)
{
    struct text one = cell, *list = &one;
    int n = 1;
    if (!pylist_read(cell, &d->arena, &list, &n)) list = &one;
    if (n > DATASET_IMAGES) return dataset_fail(env, d, "more than %d images", DATASET_IMAGES);
    for (int i = 0; i < n; i++)
        d->item.image[d->item.n_images++].path =
            dataset_beside(d, d->options.images ? "" : d->path,
                           d->options.images ? d->options.images : "", dataset_copy(d, list[i]));
    return VLQA_OK;
}

/* What pandas reads as no value, so that VLMEvalKit sees no image. */
static int is_nothing(struct cell cell)
{
    static const char *const words[] = {"nan",  "NaN",  "-nan", "-NaN", "NA",   "N/A", "n/a",
                                        "<NA>", "null", "NULL", "None", "#N/A", "#NA"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == cell.bytes && memcmp(words[i], cell.at, cell.bytes) == 0) return 1;
    return cell.bytes == 0;
}

/* The image cell of the row, or of the one that it names. */
static vlqa_status find_image(struct env *env, struct dataset *d, struct cell *out)
{
    struct state *s = d->state;
    const struct place *row;
    *out = s->cell[COLUMN_IMAGE];
    if (is_nothing(*out)) out->bytes = 0;
    if (out->bytes == 0 || out->bytes > MAX_REFERENCE) return VLQA_OK;
    row = find_row(s, (struct text){out->at, out->bytes});
    if (!row || row->image.bytes <= MAX_REFERENCE)
        return dataset_fail(env, d, "image is %.*s, which is no row with an image of its own",
                            (int)out->bytes, out->at);
    *out = row->image;
    return VLQA_OK;
}

/* ---- rows ---- */

/* A cell as a text of its own, NULL where it is empty. */
static vlqa_status text_cell(struct env *env, struct dataset *d, enum column column,
                             const char **out)
{
    struct state *s = d->state;
    struct text text = text_in(d, s->cell[column]);
    char letter[2] = {(char)('A' + (int)column), 0};
    const char *name = column < COLUMN_INDEX ? letter : column_names[column];
    *out = NULL;
    if (text.bytes == 0) return VLQA_OK;
    if (memchr(text.at, 0, text.bytes)) return dataset_fail(env, d, "%s holds a NUL byte", name);
    if (!text_is_utf8(text)) return dataset_fail(env, d, "%s is not UTF-8", name);
    *out = dataset_copy(d, text);
    return VLQA_OK;
}

static vlqa_status read_texts(struct env *env, struct dataset *d)
{
    struct dataset_item *item = &d->item;
    const char *answer, *option;
    TRY(text_cell(env, d, COLUMN_INDEX, &item->id));
    TRY(text_cell(env, d, COLUMN_QUESTION, &item->question));
    TRY(text_cell(env, d, COLUMN_ANSWER, &answer));
    TRY(text_cell(env, d, COLUMN_HINT, &item->hint));
    TRY(text_cell(env, d, COLUMN_CATEGORY, &item->category));
    TRY(text_cell(env, d, COLUMN_SPLIT, &item->split));
    TRY(text_cell(env, d, COLUMN_CYCLE, &item->cycle));
    if (!item->question) return dataset_fail(env, d, "question is empty");
    if (answer) dataset_cell(d, text_of(answer));
    for (int i = 0; i < 26; i++) {
        TRY(text_cell(env, d, (enum column)i, &option));
        if (option)
            item->option[item->n_options++] =
                (struct metric_option){(char)('A' + i), text_of(option)};
    }
    if (!item->id) {
        char text[16];
        snprintf(text, sizeof text, "%d", ((struct state *)d->state)->next);
        item->id = dataset_copy(d, text_of(text));
    }
    return VLQA_OK;
}

/* Room for the texts of the row, and for its images decoded. */
static size_t room_for(const struct dataset *d, const struct cell *image, size_t row_bytes)
{
    const struct state *s = d->state;
    size_t own = s->cell[COLUMN_IMAGE].bytes, of_image = 2 * image->bytes;
    if (image->bytes && image->at[0] == '[') of_image = 24 * image->bytes;
    return dataset_room(row_bytes - own) + of_image + DATASET_IMAGES * 256 +
           DATASET_IMAGES * (strlen(d->path) + (d->options.images ? strlen(d->options.images) : 0));
}

static vlqa_status next_tsv(struct env *env, struct dataset *d, int *found)
{
    struct state *s = d->state;
    const struct place *row;
    const char *at, *path;
    struct cell image;
    int lines = 0;
    if (s->next == s->n_rows) return VLQA_OK;
    row = &s->row[s->next++];
    at = row->at;
    TRY(file_map_check(env, d->path, &s->map)); /* what was cut off must not be touched */
    d->item.line = row->line;
    s->line_end = NULL;
    TRY(read_row(env, d, &at, &lines));
    TRY(find_image(env, d, &image));
    TRY(dataset_arena(env, d, room_for(d, &image, (size_t)(at - row->at))));
    TRY(read_texts(env, d));
    if (is_nothing(s->cell[COLUMN_IMAGE_PATH])) s->cell[COLUMN_IMAGE_PATH].bytes = 0;
    TRY(text_cell(env, d, COLUMN_IMAGE_PATH, &path));
    if (image.bytes)
        TRY(decode_images(env, d, text_in(d, image)));
    else if (path)
        TRY(read_paths(env, d, text_of(path)));
    dataset_finish(d);
    *found = 1;
    return VLQA_OK;
}

static void rewind_tsv(struct dataset *d)
{
    ((struct state *)d->state)->next = 0;
}

const struct dataset_reader dataset_tsv = {.format = "tsv",
                                           .unit = "line",
                                           .open = open_tsv,
                                           .next = next_tsv,
                                           .rewind = rewind_tsv,
                                           .close = close_tsv};
