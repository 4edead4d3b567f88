/* kernels.c - the tests of operations as one program, which is carried to a GPU with one copy of
 * what all of them link to.
 *
 * test_kernels NAME [FILTER]... */
#include "tests/gpu/kernels.h"

#include <stdio.h>
#include <string.h>

#define ENTRY(name) {#name, test_##name##_main},
static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} program[] = {EACH_TEST(ENTRY)};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof program / sizeof *program; i++)
        if (strcmp(program[i].name, argv[1]) == 0) return program[i].run(argc - 1, argv + 1);
    fprintf(stderr, "test_kernels NAME [FILTER]...: there is no %s\n", argc > 1 ? argv[1] : "NAME");
    return 2;
}
