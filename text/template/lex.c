/* lex.c - the source of a template to tokens, with Jinja's rules for white space around
 * tags as transformers sets them: trim_blocks and lstrip_blocks. */
#include "text/template/parts.h"

#include <stdio.h>
#include <string.h>

static vlqa_status lex_fail(struct lexer *lex, int line, const char *what)
{
    return env_fail(lex->env, VLQA_EMODEL, "%s, line %d: %s", lex->name, line, what);
}

static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static int begins(const struct lexer *lex, const char *at, const char *with)
{
    size_t n = strlen(with);
    return (size_t)(lex->end - at) >= n && memcmp(at, with, n) == 0;
}

static void count_lines(struct lexer *lex, const char *end)
{
    for (; lex->at < end; lex->at++)
        lex->line += *lex->at == '\n';
}

static void skip_space(struct lexer *lex)
{
    const char *at = lex->at;
    while (at < lex->end && is_space(*at))
        at++;
    count_lines(lex, at);
}

/* Behind a tag that ended with `sign`: "-" takes all white space, "+" nothing, else a block or
 * comment takes the line feed that follows. */
static void end_tag(struct lexer *lex, char sign, int takes_line_feed)
{
    if (sign == '-')
        skip_space(lex);
    else if (sign != '+' && takes_line_feed && lex->at < lex->end && *lex->at == '\n')
        count_lines(lex, lex->at + 1);
    lex->line_begins = lex->at[-1] == '\n';
}

/* Where the text before a tag ends. */
static const char *strip_text(const struct lexer *lex, const char *tag)
{
    const char *line = tag, *end = tag;
    char sign = tag + 2 < lex->end ? tag[2] : 0;
    if (sign == '-') {
        while (end > lex->at && is_space(end[-1]))
            end--;
        return end;
    }
    if (sign == '+' || tag[1] == '{') return end;
    while (line > lex->at && line[-1] != '\n')
        line--;
    if (line == lex->at && !lex->line_begins) return end;
    for (const char *at = line; at < tag; at++)
        if (!is_space(*at)) return end;
    return line;
}

static vlqa_status skip_comment(struct lexer *lex)
{
    int line = lex->line;
    const char *begin = lex->at + 2;
    const char *end = memmem(begin, (size_t)(lex->end - begin), "#}", 2);
    if (!end) return lex_fail(lex, line, "the comment {# has no end #}");
    count_lines(lex, end + 2);
    end_tag(lex, end > begin ? end[-1] : 0, 1);
    return VLQA_OK;
}

/* Where the name of a block is, or NULL when it has another. */
static const char *after_name(const struct lexer *lex, const char *tag, const char *name)
{
    const char *at = tag + 2;
    if (at < lex->end && (*at == '-' || *at == '+')) at++;
    while (at < lex->end && is_space(*at))
        at++;
    if (!begins(lex, at, name)) return NULL;
    at += strlen(name);
    while (at < lex->end && is_space(*at))
        at++;
    if (at < lex->end && (*at == '-' || *at == '+')) at++;
    return begins(lex, at, "%}") ? at : NULL;
}

/* {% raw %} ... {% endraw %}: text to the letter. */
static vlqa_status lex_raw(struct lexer *lex, const char *begin, struct lex_token *out)
{
    int line = lex->line;
    const char *tag, *end = NULL;
    count_lines(lex, begin + 2);
    end_tag(lex, begin[-1] == '-' ? '-' : '+', 0);
    for (tag = lex->at; tag < lex->end && !end; tag++)
        if (begins(lex, tag, "{%")) end = after_name(lex, tag, "endraw");
    if (!end) return lex_fail(lex, line, "{% raw %} has no {% endraw %}");
    tag--;
    *out =
        (struct lex_token){LEX_TEXT, lex->at, (size_t)(strip_text(lex, tag) - lex->at), lex->line};
    count_lines(lex, end + 2);
    end_tag(lex, end[-1], 1);
    return VLQA_OK;
}

static const char *find_tag(const struct lexer *lex)
{
    const char *at = lex->at;
    while ((at = memchr(at, '{', (size_t)(lex->end - at)))) {
        if (begins(lex, at, "{{") || begins(lex, at, "{%") || begins(lex, at, "{#")) return at;
        at++;
    }
    return NULL;
}

/* One step outside of tags; out->bytes is 0 when there was nothing to see. */
static vlqa_status lex_text(struct lexer *lex, struct lex_token *out)
{
    const char *tag = find_tag(lex), *end = tag ? strip_text(lex, tag) : lex->end, *raw;
    *out = (struct lex_token){LEX_TEXT, lex->at, (size_t)(end - lex->at), lex->line};
    count_lines(lex, tag ? tag : lex->end);
    if (!tag) {
        if (!out->bytes) out->kind = LEX_END;
        return VLQA_OK;
    }
    if (out->bytes) return VLQA_OK; /* the tag is looked at again */
    if (tag[1] == '#') return skip_comment(lex);
    raw = tag[1] == '%' ? after_name(lex, tag, "raw") : NULL;
    if (raw) return lex_raw(lex, raw, out);
    out->kind = lex->state = tag[1] == '{' ? LEX_PRINT : LEX_BLOCK;
    lex->depth = 0;
    lex->line_begins = 0;
    lex->at += 2;
    if (lex->at < lex->end && (*lex->at == '-' || *lex->at == '+')) lex->at++;
    return VLQA_OK;
}

/* Nonzero: the tag ended here. */
static int lex_tag_end(struct lexer *lex, struct lex_token *out)
{
    int block = lex->state == LEX_BLOCK;
    const char *mark = block ? "%}" : "}}";
    char sign = 0;
    if (lex->depth) return 0;
    if (*lex->at == '-' || (*lex->at == '+' && block)) sign = *lex->at;
    if (!begins(lex, lex->at + (sign != 0), mark)) return 0;
    out->kind = block ? LEX_BLOCK_END : LEX_PRINT_END;
    out->bytes = 2;
    lex->at += 2 + (sign != 0);
    lex->state = LEX_TEXT;
    end_tag(lex, sign, block);
    return 1;
}

static vlqa_status lex_string(struct lexer *lex, struct lex_token *out)
{
    const char *at = lex->at + 1;
    while (at < lex->end && *at != *lex->at)
        at += *at == '\\' && at + 1 < lex->end ? 2 : 1;
    if (at >= lex->end) return lex_fail(lex, lex->line, "a string has no end");
    out->kind = LEX_STRING;
    out->bytes = (size_t)(at + 1 - lex->at);
    count_lines(lex, at + 1);
    return VLQA_OK;
}

static void lex_number(struct lexer *lex, struct lex_token *out)
{
    const char *at = lex->at;
    out->kind = LEX_INT;
    while (at < lex->end && (is_digit(*at) || *at == '_'))
        at++;
    if (at + 1 < lex->end && *at == '.' && is_digit(at[1])) {
        out->kind = LEX_FLOAT;
        for (at++; at < lex->end && is_digit(*at);)
            at++;
    }
    if (at + 1 < lex->end && (*at == 'e' || *at == 'E')) {
        const char *power = at + 1 + (at[1] == '-' || at[1] == '+');
        if (power < lex->end && is_digit(*power)) {
            out->kind = LEX_FLOAT;
            for (at = power; at < lex->end && is_digit(*at);)
                at++;
        }
    }
    out->bytes = (size_t)(at - lex->at);
    lex->at = at;
}

static vlqa_status lex_operator(struct lexer *lex, struct lex_token *out)
{
    static const char two[][3] = {"==", "!=", ">=", "<=", "//", "**"};
    char message[64];
    out->kind = LEX_OPERATOR;
    out->bytes = 1;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (begins(lex, lex->at, two[i])) out->bytes = 2;
    if (!strchr("+-*/%~[](){}=<>.:|,;!", *lex->at) || (*lex->at == '!' && out->bytes == 1)) {
        snprintf(message, sizeof message, "unexpected character 0x%02X",
                 (unsigned)(unsigned char)*lex->at);
        return lex_fail(lex, lex->line, message);
    }
    if (strchr("[({", *lex->at)) lex->depth++;
    if (strchr("])}", *lex->at) && lex->depth) lex->depth--;
    lex->at += out->bytes;
    return VLQA_OK;
}

static vlqa_status lex_inside(struct lexer *lex, struct lex_token *out)
{
    int line = lex->line;
    skip_space(lex);
    if (lex->at >= lex->end)
        return lex_fail(lex, line,
                        lex->state == LEX_BLOCK ? "{% has no end %}" : "{{ has no end }}");
    *out = (struct lex_token){LEX_END, lex->at, 0, lex->line};
    if (lex_tag_end(lex, out)) return VLQA_OK;
    if (*lex->at == '"' || *lex->at == '\'') return lex_string(lex, out);
    if (is_digit(*lex->at)) {
        lex_number(lex, out);
        return VLQA_OK;
    }
    if (!is_name(*lex->at)) return lex_operator(lex, out);
    out->kind = LEX_NAME;
    while (lex->at < lex->end && is_name(*lex->at))
        lex->at++;
    out->bytes = (size_t)(lex->at - out->at);
    return VLQA_OK;
}

vlqa_status lex_next(struct lexer *lex, struct lex_token *out)
{
    if (lex->state != LEX_TEXT) return lex_inside(lex, out);
    do
        TRY(lex_text(lex, out));
    while (out->kind == LEX_TEXT && !out->bytes);
    return VLQA_OK;
}
