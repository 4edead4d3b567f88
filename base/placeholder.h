/* placeholder.h - recognises what stands in the place of a file that was never fetched. */
#ifndef BASE_PLACEHOLDER_H
#define BASE_PLACEHOLDER_H

#include "base/env.h"

/* Looks at the first bytes of a file. VLQA_OK: they are no placeholder. Else `status`, with a
 * message that says what is there and which command fetches the file: a pointer of Git LFS, of
 * git-annex, or a web page that was saved under the file's name ("PATH is a Git LFS pointer, not
 * the file of 1100804 bytes itself: ..."). For readers of every kind of file that people keep in
 * repositories: call it where a file is not what was expected. */
vlqa_status placeholder_check(struct env *env, vlqa_status status, const char *path,
                              const void *data, size_t bytes);

#endif
