/* select.h - scores and orders to chosen tokens. Pure: no device, no model, no clock. */
#ifndef FUSION_SELECT_H
#define FUSION_SELECT_H

#include <stdint.h>

/* Sets chosen[i] for the `budget` candidates of the highest score; equal scores: the lower rank [n]
 * first, or with NULL the lower i. order [n] is work. Returns how many were chosen. */
int select_top(const float *score, const uint8_t *candidate, const int32_t *rank, int n, int budget,
               int32_t *order, uint8_t *chosen);
/* What select_top left in order, the highest score first. */
void select_sort(const float *score, const int32_t *rank, int32_t *order, int n);
struct select_grid { /* an image's tokens, in raster order from `first` on */
    int first, h, w;
};

/* As select_top, but fewer tokens are selected by score, so many that the set still keeps to the
 * budget once gaps are closed in each grid: a cell stays out where a square of 2 radius + 1 cells,
 * which may stick out of the grid, covers it and none of the set. What is left of the budget goes
 * by score. Cells that may not be chosen cost nothing and stay out. work: [SELECT_CLOSED_WORK(n)].
 */
int select_closed(const float *score, const uint8_t *candidate, int n, int budget,
                  const struct select_grid *grid, int n_grids, int radius, int32_t *order,
                  uint8_t *chosen, int32_t *work);
#define SELECT_CLOSED_WORK(n) (3 * (n) + 1)
/* Tokens that may be chosen. */
int select_count(const uint8_t *candidate, int n);
/* floor(ratio * n), 0..n. */
int select_budget(float ratio, int n);

#endif
