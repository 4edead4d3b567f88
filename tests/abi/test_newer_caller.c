/* test_newer_caller.c - a caller with a header whose structs are longer than the library's. */
#define CALLER_IS_NEWER
#include "tests/abi/caller.h"

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
