/* quality_table.h - how often answers over chunks were those of full prefill at some margin, and
 * what margin keeps a promise.
 *
 * An answer over chunks goes on exactly at the first token that leads by less than the margin
 * (margin of vlqa_experimental.h). So it is another one only where a token was wrong that led by
 * that much, and each question that was asked once over chunks, along full prefill's answer, says
 * for all margins at once whether its answer would have been equal: failures fall as margins rise.
 * A margin may be used if the lower end of Clopper and Pearson's interval (Biometrika 26, 1934) of
 * its success is at least what was promised; margins are looked at from the safest on, up to the
 * first that fails, so that looking at many costs no confidence (fixed sequence testing;
 * Angelopoulos and others, Learn then Test, arXiv 2110.01052). Each share of recomputed tokens has
 * margins of its own, a family; these divide the error between them. */
#ifndef EVAL_QUALITY_TABLE_H
#define EVAL_QUALITY_TABLE_H

#define QUALITY_CONFIDENCE 0.95
#define QUALITY_FAMILIES 8
#define QUALITY_POINTS 256 /* of a family */
#define QUALITY_MARGIN 1e6 /* the largest */

struct quality_unit { /* an answer over chunks, along that of full prefill */
    double lead;      /* the least of its tokens, up to the first that full prefill has not */
    int apart;        /* there is such a token */
    double flops, flops_exact, flops_full; /* over chunks; to make it exact; of full prefill */
};

struct quality_point {
    double margin, work; /* work: of all operations, those of full prefill are 1 */
    int failures;        /* answers that are others than full prefill's */
};

struct quality_family {
    double ratio; /* of tokens that are recomputed before the first token */
    int answers, n;
    struct quality_point point[QUALITY_POINTS]; /* from the safest margin on */
};

struct quality_table {
    int n;
    struct quality_family family[QUALITY_FAMILIES];
};

struct quality_choice {
    double ratio, margin, work, lower; /* lower: the end of the interval */
    int answers, failures;
};

/* Some of the margins of n > 0 answers, which are sorted. ratio is left alone. */
void quality_points(struct quality_unit *unit, int n, struct quality_family *out);
/* The point with least work that may be used; 0: there is none with less than full prefill's. */
int quality_choose(const struct quality_table *table, double quality, struct quality_choice *out);

#endif
