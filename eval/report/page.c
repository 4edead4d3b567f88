/* page.c - the memory of a page, its texts, and its parts in both forms. */
#include "eval/report/page.h"

#include "base/arena.h"
#include "base/heap.h"
#include "eval/report/page_style.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void page_free(struct page *p)
{
    heap_free(p->data);
    *p = (struct page){.form = p->form};
}

static int make_room(struct page *p, size_t bytes)
{
    size_t need, cap;
    char *grown;
    if (p->failed) return 0;
    p->failed = 1;
    if (!size_add(&need, p->used, bytes) || !size_mul(&cap, need, 2)) return 0;
    p->failed = 0;
    if (need <= p->cap) return 1;
    grown = p->data ? heap_resize(p->data, p->cap, cap) : heap_alloc(cap);
    p->failed = !grown;
    if (!grown) return 0;
    p->data = grown;
    p->cap = cap;
    return 1;
}

void page_bytes(struct page *p, const char *data, size_t bytes)
{
    if (!make_room(p, bytes)) return;
    memcpy(p->data + p->used, data, bytes);
    p->used += bytes;
}

static void put(struct page *p, const char *text)
{
    page_bytes(p, text, strlen(text));
}

void page_raw(struct page *p, const char *format, ...)
{
    char text[1024];
    va_list list;
    int bytes;
    va_start(list, format);
    bytes = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (bytes >= (int)sizeof text) bytes = (int)sizeof text - 1;
    if (bytes > 0) page_bytes(p, text, (size_t)bytes);
}

void page_base64(struct page *p, const uint8_t *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes; i += 3) {
        size_t n = bytes - i < 3 ? bytes - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16;
        char quad[4];
        if (n > 1) bits |= (uint32_t)data[i + 1] << 8;
        if (n > 2) bits |= (uint32_t)data[i + 2];
        for (size_t k = 0; k < 4; k++)
            quad[k] = '=';
        for (size_t k = 0; k <= n; k++)
            quad[k] = digits[bits >> (18 - 6 * k) & 63];
        page_bytes(p, quad, 4);
    }
}

/* ---- texts ---- */

/* Bytes of the code point at `at`, 0 where there is none: not UTF-8. NUL ends the text, so that no
 * sequence reaches behind it. */
static int code_at(const char *at, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *b = (const unsigned char *)at;
    int n = b[0] < 0x80 ? 1 : b[0] >> 5 == 6 ? 2 : b[0] >> 4 == 14 ? 3 : b[0] >> 3 == 30 ? 4 : 0;
    *code = n == 1 ? b[0] : n ? b[0] & (0xffu >> (n + 1)) : 0;
    for (int i = 1; i < n; i++) {
        if (b[i] >> 6 != 2) return 0;
        *code = *code << 6 | (b[i] & 63);
    }
    if (*code < least[n] || *code > 0x10ffff || *code >> 11 == 0xd800 >> 11) return 0;
    return n;
}

/* Controls, what turns directions, and what HTML does not allow. */
static int is_unprintable(uint32_t code)
{
    return (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || (code & 0xfffe) == 0xfffe ||
           (code >= 0xfdd0 && code <= 0xfdef);
}

/* What stands for a code point, or NULL for itself. */
static const char *instead(enum page_form form, uint32_t code, char room[8])
{
    if (code == '&') return "&amp;";
    if (code == '<') return "&lt;";
    if (code == '>') return "&gt;";
    if (code == '"' && form == PAGE_HTML) return "&quot;";
    if (code == '\'' && form == PAGE_HTML) return "&#39;";
    if (code == '\n') return form == PAGE_HTML ? NULL : "\xe2\x8f\x8e "; /* a line in a table */
    if (code == '\t') return form == PAGE_HTML ? NULL : " ";
    if (code < 0x20) {
        snprintf(room, 8, "\xe2\x90%c", (int)(0x80 + code));
        return room;
    }
    if (is_unprintable(code)) return "\xef\xbf\xbd";
    if (form == PAGE_MARKDOWN && code < 0x7f && strchr("\\`*_[]|#~$", (int)code)) {
        snprintf(room, 8, "\\%c", (int)code);
        return room;
    }
    return NULL;
}

void page_text(struct page *p, const char *text)
{
    char room[8];
    uint32_t code;
    for (int n; *text; text += n) {
        const char *other;
        n = code_at(text, &code);
        other = n ? instead(p->form, code, room) : "\xef\xbf\xbd";
        if (!n) n = 1;
        page_bytes(p, other ? other : text, other ? strlen(other) : (size_t)n);
    }
}

static void put_around(struct page *p, const char *before, const char *text, const char *after)
{
    put(p, before);
    page_text(p, text);
    put(p, after);
}

/* ---- parts ---- */

static int is_html(const struct page *p)
{
    return p->form == PAGE_HTML;
}

void page_begin(struct page *p, const char *title)
{
    if (!is_html(p)) {
        put_around(p, "# ", title, "\n\n");
        return;
    }
    put(p, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
           "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
           "<link rel=\"icon\" href=\"data:,\"/>\n");
    put_around(p, "<title>", title, "</title>\n<style>\n");
    put(p, page_style);
    put_around(p, "</style>\n</head>\n<body>\n<main>\n<section>\n<h1>", title, "</h1>\n");
}

void page_end(struct page *p)
{
    if (is_html(p)) put(p, "</section>\n</main>\n</body>\n</html>\n");
}

void page_section(struct page *p, const char *heading)
{
    put_around(p, is_html(p) ? "</section>\n<section>\n<h2>" : "## ", heading,
               is_html(p) ? "</h2>\n" : "\n\n");
}

void page_subheading(struct page *p, const char *heading)
{
    put_around(p, is_html(p) ? "<h3>" : "### ", heading, is_html(p) ? "</h3>\n" : "\n\n");
}

void page_paragraph(struct page *p, const char *text)
{
    put_around(p, is_html(p) ? "<p>" : "", text, is_html(p) ? "</p>\n" : "\n\n");
}

void page_facts_begin(struct page *p)
{
    if (is_html(p)) put(p, "<dl>\n");
}

void page_fact(struct page *p, const char *name, const char *value)
{
    if (!value || !*value) return;
    put_around(p, is_html(p) ? "<dt>" : "- ", name, is_html(p) ? "</dt><dd>" : *name ? ": " : "");
    put_around(p, "", value, is_html(p) ? "</dd>\n" : "\n");
}

void page_facts_end(struct page *p)
{
    put(p, is_html(p) ? "</dl>\n" : "\n");
}

static const char *cell_class(enum page_cell kind, int is_faint)
{
    if (kind == PAGE_NUMBER) return is_faint ? " class=\"n faint\"" : " class=\"n\"";
    return is_faint ? " class=\"faint\"" : "";
}

void page_table_begin(struct page *p, const char *caption, const char *const *head,
                      const enum page_cell *kind, int columns)
{
    if (is_html(p)) {
        put(p, "<div class=\"wide\"><table>\n");
        if (caption) put_around(p, "<caption>", caption, "</caption>\n");
        put(p, "<thead><tr>");
        for (int i = 0; i < columns; i++) {
            page_raw(p, "<th scope=\"col\"%s>", cell_class(kind[i], 0));
            put_around(p, "", head[i], "</th>");
        }
        put(p, "</tr></thead>\n<tbody>\n");
        return;
    }
    if (caption) put_around(p, "", caption, "\n\n");
    for (int i = 0; i < columns; i++)
        put_around(p, "| ", head[i], " ");
    put(p, "|\n");
    for (int i = 0; i < columns; i++)
        put(p, kind[i] == PAGE_NUMBER ? "| ---: " : "| --- ");
    put(p, "|\n");
}

void page_row_begin(struct page *p)
{
    put(p, is_html(p) ? "<tr>" : "");
}

void page_cell(struct page *p, enum page_cell kind, const char *value, const char *note,
               int is_faint)
{
    if (!is_html(p)) {
        const char *slant = is_faint && *value ? "_" : "";
        page_raw(p, "| %s", slant);
        page_text(p, value);
        if (note && *note == '[') put_around(p, " ", note, ""); /* an interval has its brackets */
        if (note && *note != '[') put_around(p, " (", note, ")");
        page_raw(p, "%s ", slant);
        return;
    }
    if (kind == PAGE_NAME)
        put(p, "<th scope=\"row\">");
    else
        page_raw(p, "<td%s>", cell_class(kind, is_faint));
    put_around(p, "<bdi>", value, "</bdi>");
    if (note) put_around(p, "<small>", note, "</small>");
    put(p, kind == PAGE_NAME ? "</th>" : "</td>");
}

void page_row_end(struct page *p)
{
    put(p, is_html(p) ? "</tr>\n" : "|\n");
}

void page_table_end(struct page *p)
{
    put(p, is_html(p) ? "</tbody>\n</table></div>\n" : "\n");
}

void page_figure_begin(struct page *p, const char *caption)
{
    if (is_html(p)) put_around(p, "<figure>\n<figcaption>", caption, "</figcaption>\n");
}

void page_figure_end(struct page *p)
{
    if (is_html(p)) put(p, "</figure>\n");
}
