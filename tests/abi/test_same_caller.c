/* test_same_caller.c - a caller with the header of the library. */
#include "tests/abi/caller.h"

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
