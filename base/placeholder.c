/* placeholder.c - Git LFS and git-annex pointers, and web pages, told by their first bytes. */
#include "base/placeholder.h"

#include "base/bom.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define POINTER_MAX ((size_t)4096) /* bytes: the specifications allow 1024 and 32768 */

static int begins(const char *text, size_t bytes, const char *with)
{
    size_t n = strlen(with);
    return bytes >= n && strncasecmp(text, with, n) == 0;
}

/* The number behind a line that begins with "size ", or -1. */
static long long size_line(const char *text, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        const char *stop = memchr(text + at, '\n', bytes - at);
        size_t end = stop ? (size_t)(stop - text) : bytes;
        long long size = 0;
        if (begins(text + at, end - at, "size ")) {
            for (at += 5; at < end && text[at] >= '0' && text[at] <= '9' && size < 1LL << 50; at++)
                size = size * 10 + (text[at] - '0');
            return size;
        }
        at = end + 1;
    }
    return -1;
}

static vlqa_status fail_lfs(struct env *env, vlqa_status status, const char *path, const char *text,
                            size_t bytes)
{
    char itself[64] = "the file itself";
    long long size = size_line(text, bytes);
    if (size >= 0) (void)snprintf(itself, sizeof itself, "the file of %lld bytes itself", size);
    return env_fail(env, status,
                    "%s is a Git LFS pointer, not %s: run \"git lfs install && git lfs pull\" in "
                    "its repository, or download the file again",
                    path, itself);
}

vlqa_status placeholder_check(struct env *env, vlqa_status status, const char *path,
                              const void *data, size_t bytes)
{
    const char *text = data, *end = text + bytes;
    text += bom_bytes(text, bytes);
    while (text < end && (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n'))
        text++;
    bytes = (size_t)(end - text);
    if (bytes <= POINTER_MAX && (begins(text, bytes, "version https://git-lfs.github.com/spec/") ||
                                 begins(text, bytes, "version https://hawser.github.com/spec/")))
        return fail_lfs(env, status, path, text, bytes);
    if (begins(text, bytes, "/annex/objects/"))
        return env_fail(env, status,
                        "%s is a git-annex pointer, not the file itself: run \"git annex get\" on "
                        "it in its repository",
                        path);
    if (begins(text, bytes, "<!doctype html") || begins(text, bytes, "<html"))
        return env_fail(env, status,
                        "%s is a web page that was saved under this name, not the file itself: "
                        "download the file again (of a model on the hub: hf download ID "
                        "--local-dir DIR)",
                        path);
    return VLQA_OK;
}
