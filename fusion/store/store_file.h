/* store_file.h - a record as a file: what is written, and what must hold before it is used. */
#ifndef FUSION_STORE_FILE_H
#define FUSION_STORE_FILE_H

#include "fusion/store/record.h"

#define STORE_FILE_VERSION 1
#define STORE_FILE_MAX_HEAD (128 + 32 * RECORD_MAX_MATS)

enum store_file_state {
    STORE_FILE_GOOD,
    STORE_FILE_NONE,    /* no file, or one that is not for us to read */
    STORE_FILE_DAMAGED, /* its header is not what a writer made */
    STORE_FILE_FOREIGN  /* of another version */
};

struct store_file { /* mapped, read-only; stays valid when the name is removed */
    const uint8_t *data;
    size_t bytes;
};

/* NONE or GOOD: mapped. Regular files of this user only; links are not followed. */
enum store_file_state store_file_map(const char *path, struct store_file *out);
void store_file_unmap(struct store_file *file);
/* Checks everything but the matrices; GOOD: fills all of *out but mat. */
enum store_file_state store_file_header(struct store_file file, struct record *out);
/* The matrices are as written. The header was checked. */
int store_file_intact(struct store_file file, const struct record *header);
/* Points record->mat, which has room for record->n_mats, into the file. */
void store_file_mats(struct store_file file, struct record *record);
/* What stands in front of the matrices; returns its bytes. */
size_t store_file_head(const struct record *record, uint8_t head[STORE_FILE_MAX_HEAD]);
/* Bytes of the matrices in memory and in a file, with the padding behind each. */
size_t store_file_payload(const struct record *record);
uint64_t store_file_bytes(const struct record *record); /* of the whole file */

#endif
