/* select.h - scores and orders to chosen rows. Pure: no device, no model, no clock. */
#ifndef FUSION_SELECT_H
#define FUSION_SELECT_H

#include <stdint.h>

/* Sets chosen[i] for the `budget` candidates of the highest score; equal scores: the lower i first.
 * order [n] is work. Returns how many were chosen. */
int select_top(const float *score, const uint8_t *candidate, int n, int budget, int32_t *order,
               uint8_t *chosen);
/* What select_top left in order, the highest score first. */
void select_sort(const float *score, int32_t *order, int n);
/* Rows that may be chosen. */
int select_count(const uint8_t *candidate, int n);
/* floor(ratio * n), 0..n. */
int select_budget(float ratio, int n);

#endif
