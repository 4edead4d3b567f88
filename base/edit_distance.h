/* edit_distance.h - how far one name is from another. */
#ifndef BASE_EDIT_DISTANCE_H
#define BASE_EDIT_DISTANCE_H

#define EDIT_LONGEST 40 /* letters of a name that can be compared */

/* Letters to insert, remove, replace, or exchange with the next, to make b of a (Damerau and
 * Levenshtein, each letter edited once); EDIT_LONGEST if either is longer than that. */
int edit_distance(const char *a, int n, const char *b, int m);

#endif
