/* image_foreign.c - names of the formats that people try and that are not read. */
#include "vision/image_codec.h"

static const struct {
    const char *magic;
    size_t at, bytes;
    const char *name;
} magics[] = {
    {"GIF87a", 0, 6, "GIF"},
    {"GIF89a", 0, 6, "GIF"},
    {"II*\0", 0, 4, "TIFF"},
    {"MM\0*", 0, 4, "TIFF"},
    {"II+\0", 0, 4, "BigTIFF"},
    {"MM\0+", 0, 4, "BigTIFF"},
    {"II\xbc", 0, 3, "JPEG XR"},
    {"%PDF-", 0, 5, "PDF"},
    {"%!PS", 0, 4, "PostScript"},
    {"\xc5\xd0\xd3\xc6", 0, 4, "EPS"},
    {"\0\0\1\0", 0, 4, "ICO"},
    {"\0\0\2\0", 0, 4, "CUR"},
    {"8BPS", 0, 4, "PSD"},
    {"\0\0\0\x0cjP  \r\n\x87\n", 0, 12, "JPEG 2000"},
    {"\xff\x4f\xff\x51", 0, 4, "JPEG 2000"},
    {"\0\0\0\x0cJXL \r\n\x87\n", 0, 12, "JPEG XL"},
    {"\xff\x0a", 0, 2, "JPEG XL"},
    {"\x8aMNG\r\n\x1a\n", 0, 8, "MNG"},
    {"\x8bJNG\r\n\x1a\n", 0, 8, "JNG"},
    {"v/1\1", 0, 4, "OpenEXR"},
    {"#?RADIANCE", 0, 10, "Radiance HDR"},
    {"#?RGBE", 0, 6, "Radiance HDR"},
    {"DDS ", 0, 4, "DDS"},
    {"qoif", 0, 4, "QOI"},
    {"FLIF", 0, 4, "FLIF"},
    {"farbfeld", 0, 8, "farbfeld"},
    {"gimp xcf", 0, 8, "XCF"},
    {"AT&TFORM", 0, 8, "DjVu"},
    {"\xd7\xcd\xc6\x9a", 0, 4, "WMF"},
    {" EMF", 40, 4, "EMF"},
    {"/* XPM */", 0, 9, "XPM"},
    {"\x0a\x05\x01", 0, 3, "PCX"},
    {"PK\3\4", 0, 4, "a ZIP archive or an office document"},
    {"\x1f\x8b", 0, 2, "a gzip file"},
    {"\xd0\xcf\x11\xe0", 0, 4, "an old office document"},
};

/* ISO base media: the brand says which. */
static const struct {
    const char *brand, *name;
} brands[] = {
    {"avif", "AVIF"}, {"avis", "AVIF"}, {"heic", "HEIC"},    {"heix", "HEIC"},
    {"hevc", "HEIC"}, {"heim", "HEIC"}, {"heis", "HEIC"},    {"mif1", "HEIF"},
    {"msf1", "HEIF"}, {"crx ", "CR3"},  {"qt  ", "MOV"},     {"isom", "MP4"},
    {"iso2", "MP4"},  {"mp41", "MP4"},  {"mp42", "MP4"},     {"M4V ", "MP4"},
    {"avc1", "MP4"},  {"3gp4", "3GP"},  {"jxl ", "JPEG XL"}, {"jp2 ", "JPEG 2000"},
};

static const char *brand_of(const struct image_file *file)
{
    if (!image_has(file, 4, "ftyp", 4)) return NULL;
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
        if (image_has(file, 8, brands[i].brand, 4)) return brands[i].name;
    return "an ISO media file";
}

static int is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* P1 to P7 and PF, Pf, followed by white space. */
static int is_pnm(const struct image_file *file)
{
    const uint8_t *d = file->data;
    return file->bytes > 2 && d[0] == 'P' && ((d[1] >= '1' && d[1] <= '7') || (d[1] | 32) == 'f') &&
           is_space(d[2]);
}

#define MARKUP_WINDOW 1024 /* "<svg" may come after a prologue and comments */

static const char *markup_of(const struct image_file *file)
{
    size_t at = image_has(file, 0, "\xef\xbb\xbf", 3) ? 3 : 0, window;
    while (at < file->bytes && is_space(file->data[at]))
        at++;
    if (!image_has(file, at, "<", 1)) return NULL;
    window = file->bytes - at < MARKUP_WINDOW ? file->bytes - at : MARKUP_WINDOW;
    return memmem(file->data + at, window, "<svg", 4) ? "SVG" : "HTML or XML";
}

#define TGA_FOOTER "TRUEVISION-XFILE."

/* Version 2 alone: the header of the first one has nothing to know it by. */
static int is_tga(const struct image_file *file)
{
    size_t n = sizeof TGA_FOOTER; /* with its NUL */
    return file->bytes > n && image_has(file, file->bytes - n, TGA_FOOTER, n);
}

const char *image_foreign_format(const struct image_file *file)
{
    const char *name;
    if (is_tga(file)) return "TGA"; /* before CUR, whose four bytes it may share */
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (image_has(file, magics[i].at, magics[i].magic, magics[i].bytes)) return magics[i].name;
    if ((name = brand_of(file)) || (name = markup_of(file))) return name;
    return is_pnm(file) ? "PNM" : NULL;
}

/* Usual tools, one for each. */
static const struct {
    const char *names, *command;
} commands[] = {
    {"PDF", "pdftoppm -r 150 -png file.pdf page"},
    {"PostScript, EPS", "gs -q -dBATCH -dNOPAUSE -sDEVICE=png16m -r150 -o file.png file.ps"},
    {"SVG", "rsvg-convert -o file.png file.svg"},
    {"HEIC, HEIF", "heif-convert file.heic file.png"},
    {"AVIF", "avifdec file.avif file.png"},
    {"JPEG XL", "djxl file.jxl file.png"},
    {"DjVu", "ddjvu -format=ppm file.djvu file.ppm && magick file.ppm file.png"},
    {"MOV, MP4, 3GP", "ffmpeg -i file.mp4 -frames:v 1 file.png"},
    {"GIF", "magick 'file.gif[0]' file.png"},
    {"TIFF, BigTIFF", "magick 'file.tif[0]' file.png"},
    {"ICO, CUR, PSD, JPEG 2000, OpenEXR, Radiance HDR, DDS, QOI, XCF, XPM, PCX, PNM, TGA, CR3, "
     "WMF, "
     "EMF, MNG, JNG, farbfeld, FLIF, JPEG XR",
     "magick file file.png"},
    {"an old office document, a ZIP archive or an office document",
     "libreoffice --convert-to pdf file && pdftoppm -r 150 -png file.pdf page"},
    {"a gzip file", "gunzip file.gz"},
};

static int is_among(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = names; *at; at += strcspn(at, ","), at += strspn(at, ", "))
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || !at[n])) return 1;
    return 0;
}

const char *image_foreign_command(const char *format)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (is_among(commands[i].names, format)) return commands[i].command;
    return NULL;
}
