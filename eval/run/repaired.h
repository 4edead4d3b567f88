/* repaired.h - which rows of an answer's images were computed again, in few bytes: for each image
 *
 *   "7x10:0c03"       7 lines of 10 rows, line by line a bit a row, four a hexadecimal digit, the
 *                     highest bit first; zeros at the end are left out
 *   "90x160/2:..."    the same of squares of 2 x 2 rows, which stand for any row in them: the least
 *                     of 1, 2, 4, ... that keeps all images of the answer within REPAIRED_CELLS */
#ifndef EVAL_REPAIRED_H
#define EVAL_REPAIRED_H

#include "eval/cli/report.h"
#include "include/vlqa.h"

#define REPAIRED_CELLS 2048 /* 512 digits, unless there are more images than that */

/* Member "repaired", a list of such texts; nothing where no row of an image was. */
void repaired_report(struct report *r, const struct vlqa_answer *answer);

struct repaired {       /* of an image */
    int h, w, side;     /* in rows; of a square */
    const char *digits; /* in the text that was read */
    int n_digits;
};

static inline int repaired_squares(int rows, int side)
{
    return (rows + side - 1) / side;
}

/* 0: it is no such text. */
int repaired_read(const char *text, struct repaired *out);
/* Of the square in line y and column x. */
int repaired_at(const struct repaired *r, int y, int x);

#endif
