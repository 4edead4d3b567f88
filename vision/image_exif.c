/* image_exif.c - the one EXIF field that matters here: how the camera was held. */
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

/* One whole number of any width, as writers disagree on it; 0: something else. */
static uint32_t value_of(const uint8_t *entry, int big)
{
    if (get32(entry + COUNT_AT, big) != 1) return 0;
    switch (get16(entry + 2, big)) {
    case 1: /* BYTE, SBYTE */
    case 6:
        return entry[VALUE_AT];
    case 3: /* SHORT, SSHORT */
    case 8:
        return get16(entry + VALUE_AT, big);
    case 4: /* LONG, SLONG */
    case 9:
        return get32(entry + VALUE_AT, big);
    default:
        return 0;
    }
}

int image_exif_orientation(const uint8_t *data, size_t bytes)
{
    if (bytes >= 6 && memcmp(data, "Exif\0", 6) == 0) data += 6, bytes -= 6;
    if (bytes < 8) return 1;
    int big = memcmp(data, "MM\0*", 4) == 0;
    if (!big && memcmp(data, "II*\0", 4) != 0) return 1;

    size_t at = get32(data + 4, big);
    if (at > bytes - 2) return 1;
    size_t entries = get16(data + at, big), room = (bytes - at - 2) / ENTRY_BYTES;
    const uint8_t *entry = data + at + 2;
    for (size_t i = 0; i < entries && i < room; i++, entry += ENTRY_BYTES)
        if (get16(entry, big) == TAG_ORIENTATION) {
            uint32_t value = value_of(entry, big);
            return value >= 1 && value <= 8 ? (int)value : 1;
        }
    return 1;
}
