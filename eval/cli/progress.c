/* progress.c - the progress line. */
#include "eval/cli/progress.h"

#include "base/env.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 30, INTERVAL_MS = 50 };

struct progress progress_begin(int wanted)
{
    return (struct progress){.enabled = wanted && isatty(STDERR_FILENO)};
}

void progress_clear(struct progress *p)
{
    if (p->width) fprintf(stderr, "\r%*s\r", p->width, "");
    p->width = 0;
}

static void draw(struct progress *p, double now, double part)
{
    char bar[BAR + 1];
    int full = (int)(part * BAR), width;
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)full);
    bar[BAR] = 0;
    width = fprintf(stderr, "\r%-8s [%s] %3d%% %6.1f s%s", p->phase, bar, (int)(part * 100),
                    (now - p->start_ms) / 1e3, p->note);
    if (width > p->width) p->width = width;
    p->drawn_ms = now;
}

void progress_update(struct progress *p, const char *phase, int64_t done, int64_t total)
{
    double now = env_ms();
    int begins = strncmp(p->phase, phase, sizeof p->phase - 1) != 0;
    if (!p->enabled || total <= 0) return;
    if (done >= total) {
        progress_clear(p);
        p->phase[0] = 0;
        return;
    }
    if (begins) {
        progress_clear(p);
        snprintf(p->phase, sizeof p->phase, "%s", phase);
        p->start_ms = now;
    }
    if (begins || now - p->drawn_ms >= INTERVAL_MS) draw(p, now, (double)done / (double)total);
}
