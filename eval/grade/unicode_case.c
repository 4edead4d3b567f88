/* unicode_case.c - str.lower() and the length of str.upper(): utf8proc maps one code point to one,
 * Python by SpecialCasing.txt of Unicode, which is here where it matters. */
#include "eval/grade/unicode.h"

#include <utf8proc.h>

#define CAPITAL_I_DOT 0x130
#define DOT_ABOVE 0x307
#define CAPITAL_SIGMA 0x3A3
#define SIGMA 0x3C3
#define FINAL_SIGMA 0x3C2

struct range {
    int32_t first, last;
};

static int is_in(int32_t c, const struct range *range, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c >= range[i].first && c <= range[i].last) return 1;
    return 0;
}

#define IN(c, ranges) is_in(c, ranges, sizeof(ranges) / sizeof *(ranges))

/* ---- the final sigma ---- */

/* Case_Ignorable beside the categories below: what may stand inside a word. */
static const struct range inside_words[] = {
    {0x27, 0x27},     {0x2E, 0x2E},     {0x3A, 0x3A},     {0xB7, 0xB7},
    {0x387, 0x387},   {0x55F, 0x55F},   {0x5F4, 0x5F4},   {0x2018, 0x2019},
    {0x2024, 0x2024}, {0x2027, 0x2027}, {0xFE13, 0xFE13}, {0xFE52, 0xFE52},
    {0xFE55, 0xFE55}, {0xFF07, 0xFF07}, {0xFF0E, 0xFF0E}, {0xFF1A, 0xFF1A}};

/* Cased beside letters with a case: ordinals, Roman numerals, letters in circles and squares. */
static const struct range other_cased[] = {
    {0xAA, 0xAA},       {0xBA, 0xBA},       {0x2160, 0x217F},  {0x24B6, 0x24E9},
    {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};

static int is_ignorable(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return 1;
    default:
        return IN(c, inside_words);
    }
}

static int is_cased(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
        return 1;
    default:
        return IN(c, other_cased);
    }
}

/* The sigma ends a word: something cased is before it and nothing cased behind. */
static int is_final(struct unicode c, size_t sigma)
{
    size_t before = sigma, behind = sigma + 1;
    while (before > 0 && is_ignorable(c.at[before - 1]))
        before--;
    if (before == 0 || !is_cased(c.at[before - 1])) return 0;
    while (behind < c.n && is_ignorable(c.at[behind]))
        behind++;
    return behind == c.n || !is_cased(c.at[behind]);
}

/* U+0130 has two bytes in UTF-8: a decoded text of n bytes has room for both. */
struct unicode unicode_lower(struct unicode c, struct arena *arena)
{
    size_t n = 0, dots = 0;
    int32_t *out;
    for (size_t i = 0; i < c.n; i++)
        dots += c.at[i] == CAPITAL_I_DOT;
    out = arena_push(arena, (c.n + dots) * sizeof *out);
    for (size_t i = 0; i < c.n; i++) {
        if (c.at[i] == CAPITAL_I_DOT) {
            out[n++] = 'i';
            out[n++] = DOT_ABOVE;
        } else if (c.at[i] == CAPITAL_SIGMA) {
            out[n++] = is_final(c, i) ? FINAL_SIGMA : SIGMA;
        } else {
            out[n++] = utf8proc_tolower(c.at[i]);
        }
    }
    return (struct unicode){out, n};
}

/* ---- the length of the upper case ---- */

static const struct range two_above[] = {
    {0xDF, 0xDF},     {0x149, 0x149},   {0x1F0, 0x1F0},   {0x587, 0x587},   {0x1E96, 0x1E9A},
    {0x1F50, 0x1F50}, {0x1F80, 0x1FAF}, {0x1FB2, 0x1FB4}, {0x1FB6, 0x1FB6}, {0x1FBC, 0x1FBC},
    {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FC6}, {0x1FCC, 0x1FCC}, {0x1FD6, 0x1FD6}, {0x1FE4, 0x1FE4},
    {0x1FE6, 0x1FE6}, {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FF6}, {0x1FFC, 0x1FFC}, {0xFB00, 0xFB02},
    {0xFB05, 0xFB06}, {0xFB13, 0xFB17}};
static const struct range three_above[] = {
    {0x390, 0x390},   {0x3B0, 0x3B0},   {0x1F52, 0x1F52}, {0x1F54, 0x1F54}, {0x1F56, 0x1F56},
    {0x1FB7, 0x1FB7}, {0x1FC7, 0x1FC7}, {0x1FD2, 0x1FD3}, {0x1FD7, 0x1FD7}, {0x1FE2, 0x1FE3},
    {0x1FE7, 0x1FE7}, {0x1FF7, 0x1FF7}, {0xFB03, 0xFB04}};

size_t unicode_upper_length(struct unicode c)
{
    size_t n = c.n;
    for (size_t i = 0; i < c.n; i++)
        if (c.at[i] >= 0xDF) n += IN(c.at[i], two_above) ? 1 : IN(c.at[i], three_above) ? 2 : 0;
    return n;
}
