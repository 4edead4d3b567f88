/* image_png_text.c - the orientation among the texts of a PNG file: plain, packed, or in digits. */
#include "vision/image_png.h"

#include "base/heap.h"

#define MAX_KEYWORD 79 /* bytes, as the standard has it */

static int is(const uint8_t type[4], const char *name)
{
    return memcmp(type, name, 4) == 0;
}

/* What stands behind the next NUL, or NULL. */
static const uint8_t *behind_nul(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
    return nul ? nul + 1 : NULL;
}

/* The text of a tEXt, zTXt or iTXt chunk behind its keyword; data NULL: it has none that is read.
 */
static struct png_note text_of(const uint8_t type[4], const uint8_t *at, const uint8_t *end)
{
    struct png_note none = {NULL, 0, 0};
    int packed = 0;
    if (is(type, "zTXt")) { /* method */
        if (at == end || *at++ != 0) return none;
        packed = 1;
    } else if (is(type, "iTXt")) { /* flag, method, language, keyword in that language */
        if (end - at < 2) return none;
        packed = at[0] != 0;
        if (packed && at[1] != 0) return none;
        at = behind_nul(at + 2, end);
        if (at) at = behind_nul(at, end);
        if (!at) return none;
    }
    return (struct png_note){at, (size_t)(end - at), packed};
}

static struct png_note *note_called(struct png_notes *notes, const char *keyword)
{
    const struct {
        const char *keyword;
        struct png_note *note;
    } known[] = {
        {"Raw profile type exif", &notes->profile_exif},
        {"Raw profile type APP1", &notes->profile_app1},
        {"Raw profile type xmp", &notes->profile_xmp},
        {"XML:com.adobe.xmp", &notes->xmp},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(keyword, known[i].keyword) == 0) return known[i].note;
    return NULL;
}

void png_note_take(struct png_notes *notes, const uint8_t type[4], const uint8_t *data,
                   size_t bytes)
{
    const uint8_t *end = data + bytes, *text;
    struct png_note *note, found;
    if (is(type, "eXIf")) notes->exif = (struct png_note){data, bytes, 0};
    if (!is(type, "tEXt") && !is(type, "zTXt") && !is(type, "iTXt")) return;
    text = behind_nul(data, end);
    if (!text || text - data > MAX_KEYWORD + 1) return;
    note = note_called(notes, (const char *)data);
    if (!note && is(type, "tEXt") && strcmp((const char *)data, "exif") == 0) note = &notes->exif;
    if (!note) return;
    found = text_of(type, text, end);
    if (found.data) *note = found;
}

/* The text itself, or unpacked into room [PNG_NOTE_BYTES]. */
static struct image_note read_note(struct png_note note, uint8_t *room)
{
    size_t bytes = note.bytes < PNG_NOTE_BYTES ? note.bytes : PNG_NOTE_BYTES;
    if (!note.data || !note.packed) return (struct image_note){note.data, bytes};
    return (struct image_note){room, image_inflate(note.data, note.bytes, room, PNG_NOTE_BYTES)};
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\nexif\n      34\n4d4d002a..." to bytes in room, which the text may stand in. What is behind a
 * byte that is no digit or white space is left out. */
static struct image_note read_profile(struct png_note note, uint8_t *room)
{
    struct image_note text = read_note(note, room);
    size_t at = 0, n = 0;
    int high = -1;
    if (!text.data) return text;
    for (int lines = 0; lines < 3 && at < text.bytes; at++)
        lines += text.data[at] == '\n';
    for (; at < text.bytes; at++) {
        uint8_t c = text.data[at];
        int value = digit(c);
        if (value < 0 && c != ' ' && (c < '\t' || c > '\r')) break;
        if (value < 0) continue;
        if (high >= 0) room[n++] = (uint8_t)(high << 4 | value);
        high = high < 0 ? value : -1;
    }
    return (struct image_note){room, n};
}

/* Of a segment APP1 of JPEG: Exif or XMP. */
static int app1_orientation(struct image_note note)
{
    int found = image_exif_orientation(note.data, note.bytes);
    return found ? found : image_xmp_orientation(note.data, note.bytes);
}

static int orientation_of(const struct png_notes *notes, uint8_t *room)
{
    struct image_note none = {NULL, 0}, note;
    int found = 0;
    note =
        notes->exif.data ? read_note(notes->exif, room) : read_profile(notes->profile_exif, room);
    if (note.data) found = image_exif_orientation(note.data, note.bytes);
    note = found ? none : read_note(notes->xmp, room);
    if (note.data) found = image_xmp_orientation(note.data, note.bytes);
    note = found ? none : read_profile(notes->profile_app1, room);
    if (note.data) found = app1_orientation(note);
    note = found ? none : read_profile(notes->profile_xmp, room);
    if (note.data) found = image_xmp_orientation(note.data, note.bytes);
    return found ? found : 1;
}

vlqa_status png_notes_orientation(struct env *env, const struct image_file *file,
                                  const struct png_notes *notes, int *out)
{
    const struct png_note *all[] = {&notes->profile_exif, &notes->profile_app1, &notes->profile_xmp,
                                    &notes->xmp};
    uint8_t *room = NULL;
    int wanted = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        wanted |= all[i]->data != NULL;
    if (wanted) room = heap_alloc(PNG_NOTE_BYTES);
    if (wanted && !room) return env_no_memory(env, file->name, PNG_NOTE_BYTES);
    *out = orientation_of(notes, room);
    heap_free(room);
    return VLQA_OK;
}
