/* near_key.c - edit distance between keys without their separators. */
#include "eval/data/near_key.h"

#include <string.h>
#include <strings.h>

#define LONGEST 40 /* letters of a key that are compared */

/* In lower case, without separators and a plural s. Returns its letters. */
static int letters_of(const char *key, char out[LONGEST + 1])
{
    int n = 0;
    for (; *key && n < LONGEST; key++) {
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

/* Letters to insert, remove, replace, or exchange with the next. */
static int edit_distance(const char *a, int n, const char *b, int m)
{
    int row[3][LONGEST + 1] = {{0}}; /* of the letter before the last, of the last, of this one */
    for (int j = 0; j <= m; j++)
        row[1][j] = j;
    for (int i = 1; i <= n; i++) {
        row[2][0] = i;
        for (int j = 1; j <= m; j++) {
            int edits = row[1][j - 1] + (a[i - 1] != b[j - 1]);
            edits = least(edits, least(row[1][j], row[2][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                edits = least(edits, row[0][j - 2] + 1);
            row[2][j] = edits;
        }
        memcpy(row[0], row[1], sizeof row[0]);
        memcpy(row[1], row[2], sizeof row[1]);
    }
    return row[1][m];
}

int near_key(const char *a, const char *b)
{
    char x[LONGEST + 1], y[LONGEST + 1];
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
    char letters[LONGEST + 1];
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
