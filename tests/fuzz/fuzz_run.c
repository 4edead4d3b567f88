/* fuzz_run.c - any bytes as a run file that is graded again, compared, drawn and exported. */
#include "base/heap.h"
#include "eval/report/compare.h"
#include "eval/report/eval_report.h"
#include "eval/report/export.h"
#include "eval/run/score.h"
#include "eval/verbs/verbs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The first byte says by which reader; what it says goes nowhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct cli_args args = {.quiet = 1}, json = {.quiet = 1, .json = 1};
    static char path[] = "/tmp/fuzz_run.XXXXXX", tsv[64], html[64];
    static int fd = -1;
    const char *const run[] = {path};
    struct cli cli = {.verb = &verb_eval, .args = bytes && data[0] & 8 ? &json : &args};
    uint64_t live = heap_live();
    int code = CLI_OK;
    if (fd < 0) {
        fd = mkstemp(path);
        snprintf(tsv, sizeof tsv, "%s.tsv", path);
        snprintf(html, sizeof html, "%s.html", path);
        if (!freopen("/dev/null", "w", stdout)) abort();
        stderr = stdout; /* of glibc; sanitizers go on writing to the descriptor */
    }
    if (bytes < 1) return 0;
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data + 1, bytes - 1, 0) != (ssize_t)bytes - 1) abort();
    switch (data[0] % 8) {
    case 0:
        code = score_rows(&cli, path, -1, 0, data[0] & 16);
        break;
    case 1:
        code = compare_runs(&cli, path, NULL, NULL);
        break;
    case 2:
        code = compare_runs(&cli, path, NULL, "none,epic:0.1,full");
        break;
    case 3:
        code = compare_runs(&cli, path, path, NULL);
        break;
    case 4:
        code = compare_runs(&cli, path, path, "none,epic");
        break;
    case 5:
        code = eval_curve(&cli, run, 1);
        break;
    case 6:
        code = eval_report(&cli, html, run, 1);
        break;
    default:
        code = export_vlmevalkit(&cli, path, tsv, data[0] & 16 ? "none" : NULL, 0);
    }
    assert(code >= CLI_OK && code <= CLI_LIMIT && (code == CLI_OK || cli.env.message[0]));
    assert(heap_live() == live);
    return 0;
}
