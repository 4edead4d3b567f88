/* near_key.c - edit distance between keys without their separators. */
#include "eval/data/near_key.h"

#include "base/edit_distance.h"

#include <string.h>
#include <strings.h>

/* In lower case, without separators and a plural s. Returns its letters. */
static int letters_of(const char *key, char out[EDIT_LONGEST + 1])
{
    int n = 0;
    for (; *key && n < EDIT_LONGEST; key++) {
        if (strchr(" _-.", *key)) continue;
        out[n++] = *key >= 'A' && *key <= 'Z' ? (char)(*key - 'A' + 'a') : *key;
    }
    if (n > 3 && out[n - 1] == 's') n--;
    out[n] = 0;
    return n;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

int near_key(const char *a, const char *b)
{
    char x[EDIT_LONGEST + 1], y[EDIT_LONGEST + 1];
    int n = letters_of(a, x), m = letters_of(b, y), shorter = least(n, m);
    int longer = n + m - shorter;
    int allowed = shorter < 4 ? 0 : shorter < 7 || longer > shorter + 1 ? 1 : 2;
    return longer - shorter <= allowed && edit_distance(x, n, y, m) <= allowed;
}

const char *near_key_find(const char *key, const char *const *known)
{
    for (; *known; known++)
        if (near_key(key, *known)) return *known;
    return NULL;
}

int near_key_is_image(const char *key)
{
    static const char *const words[] = {"image",  "img",        "picture", "photo",
                                        "figure", "screenshot", "imag",    "pixel"};
    char letters[EDIT_LONGEST + 1];
    letters_of(key, letters);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(letters, words[i])) return 1;
    return strcmp(letters, "pic") == 0;
}

int near_key_is_image_value(const char *text)
{
    static const char *const ends[] = {".png", ".jpg", ".jpeg", ".webp", ".bmp",
                                       ".gif", ".tif", ".tiff", ".jfif"};
    size_t n = strlen(text);
    if (strncmp(text, "data:image/", 11) == 0) return 1;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t m = strlen(ends[i]);
        if (n > m && strcasecmp(text + n - m, ends[i]) == 0) return 1;
    }
    return 0;
}
