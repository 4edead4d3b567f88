/* arena.h - bump allocation over borrowed memory; without memory it only measures. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena {
    uint8_t *base;          /* NULL: only measures, and arena_push returns NULL */
    size_t cap, used, peak; /* bytes */
};

#define ARENA_ALIGN 64

struct arena arena_over(void *memory, size_t bytes); /* memory aligned to ARENA_ALIGN */
/* 64-byte aligned. Running over cap is a mistake of ours and asserts: check arena_fits first where
 * the size comes from an input. In builds with the address sanitizer the gap after each block is
 * poisoned. */
void *arena_push(struct arena *a, size_t bytes);
void *arena_push_zero(struct arena *a, size_t bytes);
int arena_fits(const struct arena *a, size_t bytes);
size_t arena_left(const struct arena *a);
size_t arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, size_t mark);

/* *out = a * b or a + b; 0 when it does not fit. */
int size_mul(size_t *out, size_t a, size_t b);
int size_add(size_t *out, size_t a, size_t b);

#endif
