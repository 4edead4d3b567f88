/* seed_image.c - writes a small picture of each kind but WebP, to begin fuzzing with. */
#include "tests/vision/make_image.h"

#include <stdio.h>

static int write_seed(const char *dir, const char *name, struct bytes b)
{
    char path[1024];
    FILE *out;
    int good;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    out = fopen(path, "wb");
    good = out && b.n && fwrite(b.data, 1, b.n, out) == b.n;
    if (out) good &= fclose(out) == 0;
    drop(&b);
    return good;
}

/* A picture with a text: one that is packed (in a stored block) or in digits. */
static struct bytes png_with(const uint8_t *rgb, const char *type, const void *text, size_t n)
{
    struct bytes b = {0};
    png_begin(&b, 8, 6, 8, 2);
    png_chunk(&b, type, text, n);
    png_pixels(&b, rgb, 24, 6);
    png_chunk(&b, "IEND", NULL, 0);
    return b;
}

int main(int argc, char **argv)
{
    static const struct make_bmp bmp24 = {.width = 8, .height = 6, .header = 40, .bits = 24};
    static const char packed[] =
        "XML:com.adobe.xmp\0\0\x78\x01\x01\x14\0\xeb\xfftiff:Orientation=\"6\"";
    static const char digits[] = "Raw profile type exif\0\nexif\n26\n4d4d002a00000008"
                                 "000101120003000000010006000000000000\n";
    static uint8_t rgb[8 * 6 * 3];
    struct bytes plain, exif, turned;
    int good;
    if (argc != 2) return 2;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i);
    plain = make_jpeg(rgb, 8, 6, 0);
    exif = make_exif(1, 6);
    turned = jpeg_with(&plain, 0xe1, exif.data, exif.n);
    good = write_seed(argv[1], "png", make_png(8, 6, 8, 2, rgb, 24)) &
           write_seed(argv[1], "bmp", make_bmp(&bmp24, NULL, 0, rgb, 24)) &
           write_seed(argv[1], "packed.png", png_with(rgb, "zTXt", packed, sizeof packed - 1)) &
           write_seed(argv[1], "digits.png", png_with(rgb, "tEXt", digits, sizeof digits - 1)) &
           write_seed(argv[1], "exif.jpeg", turned) & write_seed(argv[1], "jpeg", plain) &
           write_seed(argv[1], "progressive.jpeg", make_jpeg(rgb, 8, 6, TJFLAG_PROGRESSIVE));
    drop(&exif);
    return good ? 0 : 1;
}
