/* report.c - JSON output over cJSON. */
#include "eval/cli/report.h"

#include "base/arena.h"
#include "base/heap.h"
#include "base/json.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report report_begin(void)
{
    struct report r = {.depth = 1};
    json_set_hooks();
    r.level[0] = cJSON_CreateObject();
    r.failed = !r.level[0];
    return r;
}

static cJSON *top(const struct report *r)
{
    return r->level[r->depth - 1];
}

/* Takes value over; 0: it is gone. */
static int add(struct report *r, const char *name, cJSON *value)
{
    int added = value && (name ? cJSON_AddItemToObject(top(r), name, value)
                               : cJSON_AddItemToArray(top(r), value));
    if (!added) cJSON_Delete(value);
    r->failed |= !added;
    return added;
}

static void open_value(struct report *r, const char *name, cJSON *value)
{
    int added = add(r, name, value);
    assert(r->depth < REPORT_DEPTH);
    r->level[r->depth++] = added ? value : NULL;
}

void report_open(struct report *r, const char *name)
{
    open_value(r, name, cJSON_CreateObject());
}

void report_open_list(struct report *r, const char *name)
{
    open_value(r, name, cJSON_CreateArray());
}

void report_close(struct report *r)
{
    assert(r->depth > 1);
    r->depth--;
}

/* The bytes with U+FFFD for each NUL, which cJSON cannot carry. */
static char *without_nul(const char *utf8, size_t bytes)
{
    size_t cap;
    char *copy = size_mul(&cap, bytes, 3) && size_add(&cap, cap, 1) ? heap_alloc(cap) : NULL, *to;
    if (!copy) return NULL;
    to = copy;
    for (size_t i = 0; i < bytes; i++)
        if (utf8[i])
            *to++ = utf8[i];
        else
            to = (char *)memcpy(to, "\xef\xbf\xbd", 3) + 3;
    *to = 0;
    return copy;
}

void report_text(struct report *r, const char *name, const char *utf8, size_t bytes)
{
    char *copy = without_nul(utf8, bytes);
    (void)add(r, name, copy ? cJSON_CreateString(copy) : NULL);
    heap_free(copy);
}

void report_string(struct report *r, const char *name, const char *utf8)
{
    report_text(r, name, utf8, strlen(utf8));
}

void report_ints(struct report *r, const char *name, const int *value, int n)
{
    (void)add(r, name, cJSON_CreateIntArray(value, n));
}

void report_int(struct report *r, const char *name, int64_t value)
{
    (void)add(r, name, cJSON_CreateNumber((double)value));
}

/* cJSON prints 15 digits, or 17 where these are not enough; often 16 are. */
static cJSON *number(double value)
{
    char shorter[32], text[32];
    if (!isfinite(value)) return cJSON_CreateNull();
    snprintf(shorter, sizeof shorter, "%.15g", value);
    snprintf(text, sizeof text, "%.16g", value);
    if (fabs(strtod(shorter, NULL) - value) > fabs(value) * DBL_EPSILON &&
        strtod(text, NULL) == value)
        return cJSON_CreateRaw(text);
    return cJSON_CreateNumber(value);
}

void report_number(struct report *r, const char *name, double value)
{
    (void)add(r, name, number(value));
}

void report_real(struct report *r, const char *name, double value)
{
    report_number(r, name, round(value * 1e3) / 1e3);
}

void report_counts(struct report *r, const char *name, int ram, int disk, int computed)
{
    report_open(r, name);
    report_int(r, "ram", ram);
    report_int(r, "disk", disk);
    report_int(r, "computed", computed);
    report_close(r);
}

char *report_end(struct report *r)
{
    char *line = r->failed ? NULL : cJSON_PrintUnformatted(r->level[0]);
    assert(r->failed || r->depth == 1);
    cJSON_Delete(r->level[0]);
    return line;
}

void report_bytes(int64_t bytes, char out[32])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 32, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
}
