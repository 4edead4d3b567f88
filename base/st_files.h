/* st_files.h - the inside of struct st_files, for the files that fill it. */
#ifndef BASE_ST_FILES_H
#define BASE_ST_FILES_H

#include "base/file.h"
#include "base/safetensors.h"

#define ST_INDEX "model.safetensors.index.json"
#define ST_MAX_HEADER 100000000 /* bytes, as in the format's own library */
#define ST_MAX_TENSORS 200000
#define ST_MAX_NAME 512 /* bytes of a name after renaming, with its NUL */

struct st_record {
    struct st_tensor tensor; /* first: st_read goes from a tensor to its record */
    size_t offset;           /* from the beginning of the part */
    const char *dtype_name;  /* static */
    int part;
    int readable; /* of a dtype that computation takes */
    int used;     /* asked for */
    int listed;   /* named by the index */
};

struct st_random { /* a tensor that is made while it is read */
    uint64_t seed;
    float scale;  /* of a random int16_t; 0: */
    uint16_t all; /* what every element is, bf16 */
};

struct st_part { /* one file, or one tensor that was made */
    char *path;  /* NULL when there is no file */
    struct file_map map;
    const uint8_t *memory; /* its bytes; NULL: they are read from the file */
    size_t bytes;
    char name[256]; /* the file's, without directory: for messages */
    struct st_record *records;
    int n;
    char *names; /* where names and keys of the records are */
    int made;    /* as `random` says */
    struct st_random random;
};

struct st_files {
    struct st_part *parts;
    int n_parts, cap_parts;
    struct st_record **sorted; /* by name */
    int count, cap;
    const struct st_rename *rename; /* the caller's */
    int n_rename;
    int random;
    uint64_t seed;
};

/* The name by the table into out; 0 when it does not fit. */
int st_renamed(char out[ST_MAX_NAME], const char *name, const struct st_files *files);
/* Checks the header and fills records and names; the caller frees them also after an error. */
vlqa_status st_part_read(struct env *env, const struct st_files *files, struct st_part *part);
vlqa_status st_part_bytes(struct env *env, const struct st_part *part, size_t offset, void *dst,
                          size_t bytes);
/* A zeroed part at the end. */
vlqa_status st_part_add(struct env *env, struct st_files *files, struct st_part **out);
/* The last component of the path, for messages. */
void st_part_name(struct st_part *part, const char *path);
struct st_record *st_lookup(const struct st_files *files, const char *name);
/* The table of all parts, sorted; a name twice is an error. */
vlqa_status st_sort(struct env *env, struct st_files *files);
/* Fills files from a model directory, and sorts. */
vlqa_status st_dir_read(struct env *env, struct st_files *files, const char *dir);
/* Makes a tensor that was not made yet. */
vlqa_status st_make(struct env *env, struct st_files *files, const char *name, int rank,
                    const int64_t *dim, struct st_record **out);
/* Bytes [begin, begin + bytes) of one that was made. */
void st_random_bytes(const struct st_random *r, size_t begin, void *dst, size_t bytes);
/* Says that a tensor is missing, by the key that the files would have for it, and what is most
 * like it among the tensors that nobody asked for. */
vlqa_status st_fail_missing(struct env *env, const struct st_files *files, const char *name,
                            int rank, const int64_t *dim);

#endif
