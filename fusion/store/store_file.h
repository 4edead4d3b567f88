/* store_file.h - a record as a file: what is written, and what must hold before it is used. */
#ifndef FUSION_STORE_FILE_H
#define FUSION_STORE_FILE_H

#include "fusion/store/record.h"

#define STORE_FILE_VERSION 1
#define STORE_FILE_MAX_HEAD (128 + 32 * RECORD_MAX_MATS)

enum store_file_state {
    STORE_FILE_GOOD,
    STORE_FILE_NONE,    /* no file, or one that is not for us to read */
    STORE_FILE_DAMAGED, /* it is not what a writer made */
    STORE_FILE_FOREIGN, /* of another version */
    STORE_FILE_FAILED   /* no memory, or the disk fails: it may be good */
};

/* Open for reading, with a copy of its head. What was checked is what is used: nothing is read a
 * second time, so whoever changes or cuts the file meanwhile changes nothing that is in use. */
struct store_file {
    int fd;
    uint8_t *head; /* heap */
};

/* Reads and checks everything but the matrices. Regular files of this user, or of the superuser if
 * nobody else may write to them; links are not followed, and nothing blocks. GOOD: *file is to be
 * closed, and all of *header is filled but mat. */
enum store_file_state store_file_open(const char *path, struct store_file *file,
                                      struct record *header);
/* The same for a descriptor, which is taken over. */
enum store_file_state store_file_take(int fd, struct store_file *file, struct record *header);
void store_file_close(struct store_file *file); /* also a zeroed one */
/* Points record->mat, which has room for record->n_mats, into payload, which has
 * store_file_payload_bytes; nothing is read. */
void store_file_mats(const struct store_file *file, struct record *record, void *payload);
size_t store_file_payload_bytes(const struct store_file *file);
/* Reads the matrices to where record->mat points, and checks them there. */
enum store_file_state store_file_read(const struct store_file *file, struct record *record);
/* The same with nowhere to put them: in little memory, however large they are. */
enum store_file_state store_file_verify(const struct store_file *file, const struct record *header);
/* What the first bytes of a file of file_bytes say, of which the first n are in memory: all, or at
 * least STORE_FILE_MAX_HEAD. */
enum store_file_state store_file_header(const uint8_t *head, size_t n, uint64_t file_bytes,
                                        struct record *out);
/* What stands in front of the matrices; returns its bytes. */
size_t store_file_head(const struct record *record, uint8_t head[STORE_FILE_MAX_HEAD]);
/* Bytes of the matrices in memory and in a file, with the padding behind each. */
size_t store_file_payload(const struct record *record);
uint64_t store_file_bytes(const struct record *record); /* of the whole file */

#endif
