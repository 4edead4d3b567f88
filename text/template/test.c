/* test.c - what templates ask with "is", by name. */
#include "text/template/parts.h"

#include <string.h>

enum test {
    T_DEFINED,
    T_UNDEFINED,
    T_NONE,
    T_STRING,
    T_MAPPING,
    T_ITERABLE,
    T_SEQUENCE,
    T_NUMBER,
    T_INTEGER,
    T_FLOAT,
    T_BOOLEAN,
    T_TRUE,
    T_FALSE,
    T_CALLABLE,
    T_ODD,
    T_EVEN,
    T_WITH_ARGUMENT,
    T_EQ = T_WITH_ARGUMENT,
    T_EQUALTO,
    T_SAMEAS,
    T_NE,
    T_IN,
    T_DIVISIBLEBY,
    T_GT,
    T_GE,
    T_LT,
    T_LE,
    N_TESTS
};

static const char *const test_name[N_TESTS] = {
    "defined",     "undefined", "none",  "string",  "mapping", "iterable", "sequence",
    "number",      "integer",   "float", "boolean", "true",    "false",    "callable",
    "odd",         "even",      "eq",    "equalto", "sameas",  "ne",       "in",
    "divisibleby", "gt",        "ge",    "lt",      "le"};

int test_find(const char *name, size_t bytes)
{
    for (int i = 0; i < N_TESTS; i++)
        if (strlen(test_name[i]) == bytes && memcmp(test_name[i], name, bytes) == 0) return i;
    return -1;
}

static vlqa_status test_number(struct machine *m, int test, struct value v, struct value by,
                               int *out)
{
    if (v.kind != VALUE_INT || by.kind != VALUE_INT || !by.i || by.i == -1)
        return machine_fail(m, VLQA_EMODEL, "\"%s\" is asked of %s", test_name[test],
                            value_name(v));
    *out = (v.i % by.i == 0) ^ (test == T_ODD);
    return VLQA_OK;
}

static vlqa_status test_with(struct machine *m, int test, struct value v, struct value by, int *out)
{
    switch (test) {
    case T_IN:
        return value_contains(m, by, v, out);
    case T_DIVISIBLEBY:
        return test_number(m, test, v, by, out);
    case T_EQ:
    case T_EQUALTO:
    case T_SAMEAS:
    case T_NE:
        TRY(value_equal(m, v, by, 0, out));
        if (test == T_SAMEAS && v.kind != by.kind) *out = 0;
        *out ^= test == T_NE;
        return VLQA_OK;
    default:
        TRY(value_compare(m, v, by, out));
        *out = test == T_GT   ? *out > 0
               : test == T_GE ? *out >= 0
               : test == T_LT ? *out < 0
                              : *out <= 0;
        return VLQA_OK;
    }
}

static int is_of(int test, struct value v)
{
    int text = v.kind == VALUE_STRING, list = v.kind == VALUE_LIST || v.kind == VALUE_TUPLE;
    switch (test) {
    case T_DEFINED:
        return v.kind != VALUE_UNDEFINED;
    case T_UNDEFINED:
        return v.kind == VALUE_UNDEFINED;
    case T_NONE:
        return v.kind == VALUE_NONE;
    case T_STRING:
        return text;
    case T_MAPPING:
        return v.kind == VALUE_DICT;
    case T_ITERABLE:
    case T_SEQUENCE: /* what has a length; Jinja's undefined values have one, too */
        return text || list || v.kind == VALUE_DICT || v.kind == VALUE_UNDEFINED;
    case T_NUMBER:
        return value_is_number(v);
    case T_INTEGER:
        return v.kind == VALUE_INT;
    case T_FLOAT:
        return v.kind == VALUE_FLOAT;
    case T_BOOLEAN:
        return v.kind == VALUE_BOOL;
    case T_TRUE:
        return v.kind == VALUE_BOOL && v.i;
    case T_FALSE:
        return v.kind == VALUE_BOOL && !v.i;
    default: /* T_CALLABLE */
        return v.kind == VALUE_MACRO;
    }
}

vlqa_status machine_test(struct machine *m, int test, struct value in, const struct value *argument,
                         int *out)
{
    if (test >= T_WITH_ARGUMENT && !argument)
        return machine_fail(m, VLQA_EMODEL, "the test \"%s\" takes an argument", test_name[test]);
    if (test >= T_WITH_ARGUMENT) return test_with(m, test, in, *argument, out);
    if (test == T_ODD || test == T_EVEN) return test_number(m, test, in, value_int(2), out);
    *out = is_of(test, in);
    return VLQA_OK;
}
