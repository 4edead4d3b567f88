/* test_older_caller.c - a caller with a header whose structs are shorter than the library's. */
#define CALLER_IS_OLDER
#include "tests/abi/caller.h"

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
