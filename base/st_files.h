/* st_files.h - the inside of struct st_files, for the files that fill it. */
#ifndef BASE_ST_FILES_H
#define BASE_ST_FILES_H

#include "base/file.h"
#include "base/safetensors.h"

#define ST_MAX_HEADER 100000000 /* bytes, as in the format's own library */
#define ST_MAX_TENSORS 200000
#define ST_MAX_NAME 512 /* bytes of a name after renaming, with its NUL */

struct st_record {
    struct st_tensor tensor; /* data is NULL where the dtype is none of enum dtype */
    const uint8_t *data;
    const char *dtype_name; /* static */
    int part;
    int used, listed; /* asked for; named by the index */
};

struct st_part { /* one file, or one tensor that was made */
    char *path;  /* NULL when there is no file */
    struct file_map map;
    char name[256]; /* the file's, without directory: for messages */
    struct st_record *records;
    int n;
    char *names; /* where the names of the records are */
    void *made;
};

struct st_files {
    struct st_part *parts;
    int n_parts, cap_parts;
    struct st_record **sorted; /* by name */
    int count, cap;
    int random;
    uint64_t seed;
};

struct st_shape_text {
    char text[ST_MAX_RANK * 21 + 4];
};

struct st_shape_text st_shape(int rank, const int64_t *dim); /* "[4096, 11008]" */
/* The name by the table into out; 0 when it does not fit. */
int st_renamed(char out[ST_MAX_NAME], const char *name, const struct st_rename *rename,
               int n_rename);
/* Checks the file and fills records and names; the caller frees them also after an error. */
vlqa_status st_part_read(struct env *env, struct st_part *part, const uint8_t *file, size_t bytes,
                         const struct st_rename *rename, int n_rename);
/* A zeroed part at the end. */
vlqa_status st_part_add(struct env *env, struct st_files *files, struct st_part **out);
struct st_record *st_lookup(const struct st_files *files, const char *name);
/* Makes a tensor that was not made yet. */
vlqa_status st_make(struct env *env, struct st_files *files, const char *name, int rank,
                    const int64_t *dim, struct st_record **out);

#endif
