/* test_edit_distance.c - distances between words. */
#include "base/edit_distance.h"
#include "tests/check.h"

#include <string.h>

static int distance(const char *a, const char *b)
{
    int there = edit_distance(a, (int)strlen(a), b, (int)strlen(b));
    CHECK_EQ(edit_distance(b, (int)strlen(b), a, (int)strlen(a)), there);
    return there;
}

TEST(each_kind_of_edit_counts_once)
{
    CHECK_EQ(distance("", ""), 0);
    CHECK_EQ(distance("", "abc"), 3);
    CHECK_EQ(distance("image", "image"), 0);
    CHECK_EQ(distance("image", "images"), 1);
    CHECK_EQ(distance("image", "imago"), 1);
    CHECK_EQ(distance("image", "iamge"), 1);
    CHECK_EQ(distance("image", "iamges"), 2);
    CHECK_EQ(distance("ca", "abc"), 3); /* exchanged letters are not edited again */
}

TEST(long_names_are_far)
{
    char a[EDIT_LONGEST + 2];
    memset(a, 'x', sizeof a);
    CHECK_EQ(edit_distance(a, EDIT_LONGEST, a, EDIT_LONGEST), 0);
    CHECK_EQ(edit_distance(a, EDIT_LONGEST + 1, a, EDIT_LONGEST + 1), EDIT_LONGEST);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
