/* hash.h - 256-bit keyed BLAKE2b for identities, XXH3 for checksums. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct key {
    uint8_t b[32];
};

struct hash { /* in progress; sized and aligned for libsodium's state */
    uint8_t state[384] __attribute__((aligned(64)));
};

/* domain separates uses ("model", "pixels"), so that equal bytes of two kinds never collide. */
void hash_begin(struct hash *h, const char *domain);
void hash_bytes(struct hash *h, const void *data, size_t bytes); /* length is not fed */
void hash_text(struct hash *h, const char *text);                /* length, then bytes */
void hash_u64(struct hash *h, uint64_t value);                   /* little-endian */
struct key hash_end(struct hash *h);
void key_hex(struct key key, char out[65]);
int key_equal(struct key a, struct key b);
uint64_t checksum64(const void *data, size_t bytes); /* XXH3 */

struct checksum { /* checksum64 in progress; sized and aligned for xxHash's state */
    uint8_t state[576] __attribute__((aligned(64)));
};

void checksum_begin(struct checksum *c);
void checksum_bytes(struct checksum *c, const void *data, size_t bytes);
uint64_t checksum_end(const struct checksum *c);

#endif
