/* progress.h - one line on a terminal that says how far a phase is, and disappears. */
#ifndef EVAL_PROGRESS_H
#define EVAL_PROGRESS_H

#include <stdint.h>

struct progress {
    int enabled;
    int width;                 /* columns on the screen now; 0: nothing is shown */
    char phase[16], note[64];  /* the note stands behind the time */
    double start_ms, drawn_ms; /* of the phase; of the last drawing */
};

/* Shows nothing unless wanted and standard error is a terminal. */
struct progress progress_begin(int wanted);
/* Draws at most 20 times a second; done == total erases the line. */
void progress_update(struct progress *p, const char *phase, int64_t done, int64_t total);
/* Before anything else is written to the terminal. */
void progress_clear(struct progress *p);

#endif
