/* image_exif.c - the one field of Exif and XMP that matters here: how the camera was held. */
#include "vision/image_codec.h"

#define TAG_ORIENTATION 0x0112
#define COUNT_AT 4 /* in an entry, behind tag and type; then the value */
#define VALUE_AT 8
#define ENTRY_BYTES 12

static uint32_t get16(const uint8_t *p, int big)
{
    return big ? get_be16(p) : get_le16(p);
}

static uint32_t get32(const uint8_t *p, int big)
{
    return big ? get_be32(p) : get_le32(p);
}

/* The first whole number, of any width, as writers disagree on it; 0: something else. */
static uint32_t value_of(const uint8_t *entry, int big)
{
    uint32_t count = get32(entry + COUNT_AT, big);
    if (count < 1 || count > 2) return 0; /* more of them stand elsewhere */
    switch (get16(entry + 2, big)) {
    case 1: /* BYTE, SBYTE */
    case 6:
        return entry[VALUE_AT];
    case 3: /* SHORT, SSHORT */
    case 8:
        return get16(entry + VALUE_AT, big);
    case 4: /* LONG, SLONG */
    case 9:
        return count == 1 ? get32(entry + VALUE_AT, big) : 0;
    default:
        return 0;
    }
}

/* Where the block begins: behind the header of its segment, which some writers put there twice. */
static struct image_note tiff_of(const uint8_t *data, size_t bytes)
{
    for (int i = 0; i < 2 && bytes >= 6 && memcmp(data, "Exif\0", 6) == 0; i++)
        data += 6, bytes -= 6;
    return (struct image_note){data, bytes};
}

int image_exif_orientation(const uint8_t *data, size_t bytes)
{
    struct image_note tiff = tiff_of(data, bytes);
    if (tiff.bytes < 8) return 0;
    int big = memcmp(tiff.data, "MM\0*", 4) == 0;
    if (!big && memcmp(tiff.data, "II*\0", 4) != 0) return 0;

    size_t at = get32(tiff.data + 4, big);
    if (at > tiff.bytes - 2) return 0;
    size_t entries = get16(tiff.data + at, big), room = (tiff.bytes - at - 2) / ENTRY_BYTES;
    const uint8_t *entry = tiff.data + at + 2;
    for (size_t i = 0; i < entries && i < room; i++, entry += ENTRY_BYTES)
        if (get16(entry, big) == TAG_ORIENTATION) {
            uint32_t value = value_of(entry, big);
            return value >= 1 && value <= 8 ? (int)value : 1;
        }
    return 0;
}

/* An attribute, tiff:Orientation="6", or an element, <tiff:Orientation>6</...>. */
int image_xmp_orientation(const uint8_t *data, size_t bytes)
{
    static const char name[] = "tiff:Orientation";
    size_t n = sizeof name - 1;
    const uint8_t *end = data + bytes;
    while (bytes && (data = memmem(data, bytes, name, n)) != NULL) {
        const uint8_t *value = data + n;
        data = value;
        bytes = (size_t)(end - data);
        if (bytes > 2 && value[0] == '=' && value[1] == '"')
            value += 2;
        else if (bytes > 1 && value[0] == '>')
            value++;
        else
            continue;
        if (*value >= '0' && *value <= '9')
            return *value >= '1' && *value <= '8' ? *value - '0' : 1;
    }
    return 0;
}

int image_orientation(struct image_note exif, struct image_note xmp)
{
    int found = exif.data ? image_exif_orientation(exif.data, exif.bytes) : 0;
    if (!found && xmp.data) found = image_xmp_orientation(xmp.data, xmp.bytes);
    return found ? found : 1;
}
