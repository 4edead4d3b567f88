/* page.h - a document in memory, as HTML that needs nothing else or as Markdown: escaped text,
 * headings, facts, tables, figures. */
#ifndef EVAL_PAGE_H
#define EVAL_PAGE_H

#include <stddef.h>
#include <stdint.h>

enum page_form { PAGE_HTML, PAGE_MARKDOWN };

struct page {
    enum page_form form;
    char *data;
    size_t used, cap;
    int images; /* that a click enlarges, so far */
    int failed; /* no memory: all else is then without effect */
};

void page_free(struct page *p); /* zeroed is fine */

/* Bytes as they are. */
void page_raw(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void page_bytes(struct page *p, const char *data, size_t bytes);
/* Any bytes as text: markup is escaped, what is no UTF-8 becomes U+FFFD, a control character its
 * picture (U+2400 ...), and nothing of it turns the direction of what stands behind. */
void page_text(struct page *p, const char *text);
void page_base64(struct page *p, const uint8_t *data, size_t bytes);

/* The parts, in the order of the page. Texts are escaped by these. */
void page_begin(struct page *p, const char *title);
void page_end(struct page *p);
void page_section(struct page *p, const char *heading); /* ends the one before */
void page_subheading(struct page *p, const char *heading);
void page_paragraph(struct page *p, const char *text);
void page_facts_begin(struct page *p);
/* name "": one more of the one before; value NULL or "": nothing */
void page_fact(struct page *p, const char *name, const char *value);
void page_facts_end(struct page *p);

enum page_cell { PAGE_NAME, PAGE_TEXT, PAGE_NUMBER }; /* of a column; a name heads its row */

/* caption NULL: none */
void page_table_begin(struct page *p, const char *caption, const char *const *head,
                      const enum page_cell *kind, int columns);
void page_row_begin(struct page *p);
/* note, small, behind or below the value; NULL: none. is_faint: both are of less weight,
 * in Markdown slanted. */
void page_cell(struct page *p, enum page_cell kind, const char *value, const char *note,
               int is_faint);
void page_row_end(struct page *p);
void page_table_end(struct page *p);

/* Around an image or a drawing; Markdown has the caption alone, and no drawing. */
void page_figure_begin(struct page *p, const char *caption);
void page_figure_end(struct page *p);

#endif
