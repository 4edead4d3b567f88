/* hash.c - BLAKE2b by libsodium, XXH3 by libxxhash.
 *
 * sodium_init is not called: these functions need none of what it sets up, and the BLAKE2b it would
 * choose measured no faster. */
#include "base/hash.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* the size of its state */
#include <xxhash.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof((struct hash *)0)->state, "state fits");

static crypto_generichash_state *state_of(struct hash *h)
{
    return (crypto_generichash_state *)(void *)h->state;
}

void hash_begin(struct hash *h, const char *domain)
{
    uint8_t key[crypto_generichash_KEYBYTES_MAX] = {0};
    size_t n = strlen(domain);
    assert(n > 0 && n <= sizeof key);
    memcpy(key, domain, n);
    (void)crypto_generichash_init(state_of(h), key, sizeof key, sizeof(struct key));
}

void hash_bytes(struct hash *h, const void *data, size_t bytes)
{
    if (bytes) (void)crypto_generichash_update(state_of(h), data, bytes);
}

void hash_text(struct hash *h, const char *text)
{
    size_t n = strlen(text);
    hash_u64(h, n);
    hash_bytes(h, text, n);
}

void hash_u64(struct hash *h, uint64_t value)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(value >> (8 * i));
    hash_bytes(h, b, sizeof b);
}

struct key hash_end(struct hash *h)
{
    struct key key;
    (void)crypto_generichash_final(state_of(h), key.b, sizeof key.b);
    return key;
}

void key_hex(struct key key, char out[65])
{
    (void)sodium_bin2hex(out, 65, key.b, sizeof key.b);
}

int key_equal(struct key a, struct key b)
{
    return memcmp(a.b, b.b, sizeof a.b) == 0;
}

uint64_t checksum64(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

_Static_assert(sizeof(XXH3_state_t) <= sizeof(struct checksum), "the state fits");

void checksum_begin(struct checksum *c)
{
    (void)XXH3_64bits_reset((XXH3_state_t *)(void *)c->state);
}

void checksum_bytes(struct checksum *c, const void *data, size_t bytes)
{
    (void)XXH3_64bits_update((XXH3_state_t *)(void *)c->state, data, bytes);
}

uint64_t checksum_end(const struct checksum *c)
{
    return XXH3_64bits_digest((const XXH3_state_t *)(const void *)c->state);
}
