/* new_dir.h - a directory of files that appears whole or not at all. */
#ifndef BASE_NEW_DIR_H
#define BASE_NEW_DIR_H

#include "base/env.h"

#define NEW_DIR_PATH 4096

struct new_dir { /* zeroed: none */
    char path[NEW_DIR_PATH];
    char temporary[NEW_DIR_PATH + 16]; /* beside it, until new_dir_commit; "" afterwards */
};

/* Makes a directory beside the path. VLQA_EIO: there is something at the path already, or it cannot
 * be made; VLQA_EUSAGE: the path is empty or too long. */
vlqa_status new_dir_open(struct env *env, const char *path, struct new_dir *out);
/* Creates a file, or a directory, in it; a name may have a directory that was made before it. */
vlqa_status new_dir_file(struct env *env, const struct new_dir *d, const char *name, int *fd);
vlqa_status new_dir_sub(struct env *env, const struct new_dir *d, const char *name);
vlqa_status new_dir_write(struct env *env, const struct new_dir *d, const char *name,
                          const void *data, size_t bytes);
vlqa_status new_dir_copy(struct env *env, const struct new_dir *d, const char *name,
                         const char *from);
/* VLQA_EIO with the name of the file: to be called where writing to fd failed, with its errno. */
vlqa_status new_dir_failed(struct env *env, const struct new_dir *d, const char *name, int error);
/* Syncs and closes a file of new_dir_file. */
vlqa_status new_dir_close(struct env *env, const struct new_dir *d, const char *name, int fd);
/* Gives it its name, unless that is taken by now. */
vlqa_status new_dir_commit(struct env *env, struct new_dir *d);
/* Removes what was made and not committed. */
void new_dir_drop(struct new_dir *d);

#endif
