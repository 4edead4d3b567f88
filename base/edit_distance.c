/* edit_distance.c - three rows of the table of distances between beginnings. */
#include "base/edit_distance.h"

#include <string.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

int edit_distance(const char *a, int n, const char *b, int m)
{
    int row[3][EDIT_LONGEST + 1] = {{0}}; /* of the letter before the last, the last, this one */
    if (n > EDIT_LONGEST || m > EDIT_LONGEST) return EDIT_LONGEST;
    for (int j = 0; j <= m; j++)
        row[1][j] = j;
    for (int i = 1; i <= n; i++) {
        row[2][0] = i;
        for (int j = 1; j <= m; j++) {
            int edits = row[1][j - 1] + (a[i - 1] != b[j - 1]);
            edits = least(edits, least(row[1][j], row[2][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                edits = least(edits, row[0][j - 2] + 1);
            row[2][j] = edits;
        }
        memcpy(row[0], row[1], sizeof row[0]);
        memcpy(row[1], row[2], sizeof row[1]);
    }
    return row[1][m];
}
