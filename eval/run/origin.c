/* origin.c - command, build and machine as text. */
#include "eval/run/origin.h"

#include "base/arena.h"
#include "base/heap.h"
#include "eval/grade/unicode.h"
#include "eval/run/commit.h" /* of the build: VLQA_COMMIT */

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const members[] = {"command", "commit", "build", "machine"};
enum { N_MEMBERS = sizeof members / sizeof *members };

int origin_is_member(const char *name)
{
    for (int i = 0; i < N_MEMBERS; i++)
        if (strcmp(name, members[i]) == 0) return 1;
    return 0;
}

/* ---- the command ---- */

enum quoting { PLAIN, QUOTED, ESCAPED };

static enum quoting quoting_of(const char *word)
{
    enum quoting q = *word ? PLAIN : QUOTED;
    if (!text_is_utf8(text_of(word))) return ESCAPED;
    for (; *word; word++) {
        unsigned char c = (unsigned char)*word;
        if (c < 0x20 || c == 0x7f) return ESCAPED;
        if (!isalnum(c) && !strchr("_-+=:,./@%", c)) q = QUOTED;
    }
    return q;
}

/* Appends at most 4 bytes for each of the word, and 4. */
static char *put_word(char *to, const char *word)
{
    enum quoting q = quoting_of(word);
    to += sprintf(to, "%s", q == PLAIN ? "" : q == QUOTED ? "'" : "$'");
    for (; *word; word++) {
        unsigned char c = (unsigned char)*word;
        if (q == ESCAPED && (c < 0x20 || c >= 0x7f))
            to += sprintf(to, "\\x%02x", c);
        else if (q == ESCAPED && (c == '\'' || c == '\\'))
            to += sprintf(to, "\\%c", c);
        else if (q == QUOTED && c == '\'')
            to += sprintf(to, "'\\''");
        else
            *to++ = *word;
    }
    return to + sprintf(to, "%s", q == PLAIN ? "" : "'");
}

char *origin_command(const char *verb, int argc, char *const *argv)
{
    size_t cap = strlen(verb) + 8;
    char *out, *to;
    for (int i = 0; i < argc; i++)
        cap += 4 * strlen(argv[i]) + 8;
    out = heap_alloc(cap);
    if (!out) return NULL;
    to = out + sprintf(out, "vlqa %s", verb);
    for (int i = 0; i < argc; i++) {
        *to++ = ' ';
        to = put_word(to, argv[i]);
    }
    *to = 0;
    return out;
}

/* ---- the build and the machine ---- */

const char *origin_commit(void)
{
    return VLQA_COMMIT;
}

const char *origin_build(void)
{
    return VLQA_BUILD;
}

struct processor {
    char name[80];
    int family, model; /* 0: not told */
};

static struct processor first_processor(void)
{
    struct processor p = {"unknown processor", 0, 0};
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f) && line[0] != '\n') { /* a blank line ends the first */
        const char *colon = strchr(line, ':');
        if (!colon || !colon[1]) continue;
        if (strncmp(line, "model name", 10) == 0)
            snprintf(p.name, sizeof p.name, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        else if (strncmp(line, "cpu family", 10) == 0)
            p.family = atoi(colon + 1);
        else if (strncmp(line, "model\t", 6) == 0)
            p.model = atoi(colon + 1);
    }
    if (f) fclose(f);
    return p;
}

void origin_machine(char out[ORIGIN_MACHINE])
{
    struct processor p = first_processor();
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    char kind[48] = "", memory[32];
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    if (p.family) snprintf(kind, sizeof kind, " (family %d, model %d)", p.family, p.model);
    report_bytes((int64_t)pages * page, memory);
    snprintf(out, ORIGIN_MACHINE, "%s%s, %d core%s, %s", p.name, kind, cores, cores == 1 ? "" : "s",
             memory);
}

void origin_report(struct report *r, const char *verb, int argc, char *const *argv)
{
    char machine[ORIGIN_MACHINE], *command = origin_command(verb, argc, argv);
    if (!command) r->failed = 1;
    origin_machine(machine);
    report_string(r, "command", command ? command : "");
    if (*origin_commit()) report_string(r, "commit", origin_commit());
    report_string(r, "build", origin_build());
    report_string(r, "machine", machine);
    heap_free(command);
}
