/* arena.c - bump allocation and checked sizes. */
#include "base/arena.h"

#include <assert.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_GAP 64
#define arena_hide(p, n) __asan_poison_memory_region(p, n)
#define arena_show(p, n) __asan_unpoison_memory_region(p, n)
#else
#define ARENA_GAP 0
#define arena_hide(p, n) (void)(p), (void)(n)
#define arena_show(p, n) (void)(p), (void)(n)
#endif

static size_t round_up(size_t bytes)
{
    return ((bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1)) + ARENA_GAP;
}

struct arena arena_over(void *memory, size_t bytes)
{
    struct arena a = {memory, bytes, 0, 0};
    assert(((uintptr_t)memory & (ARENA_ALIGN - 1)) == 0);
    arena_hide(memory, bytes);
    return a;
}

void *arena_push(struct arena *a, size_t bytes)
{
    size_t total = round_up(bytes);
    uint8_t *block = NULL;
    assert(total >= bytes && a->used + total >= a->used);
    if (a->base) {
        assert(total <= a->cap - a->used);
        block = a->base + a->used;
        arena_show(block, bytes);
    }
    a->used += total;
    if (a->used > a->peak) a->peak = a->used;
    return block;
}

void *arena_push_zero(struct arena *a, size_t bytes)
{
    void *block = arena_push(a, bytes);
    if (block) memset(block, 0, bytes);
    return block;
}

int arena_fits(const struct arena *a, size_t bytes)
{
    size_t total = round_up(bytes), left = a->base ? a->cap - a->used : SIZE_MAX - a->used;
    return total >= bytes && total <= left;
}

size_t arena_left(const struct arena *a)
{
    size_t left = a->cap - a->used, tax = ARENA_ALIGN + ARENA_GAP;
    return left > tax ? left - tax : 0;
}

size_t arena_mark(const struct arena *a)
{
    return a->used;
}

void arena_rewind(struct arena *a, size_t mark)
{
    assert(mark <= a->used);
    if (a->base) arena_hide(a->base + mark, a->used - mark);
    a->used = mark;
}

int size_mul(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

int size_add(size_t *out, size_t a, size_t b)
{
    return !__builtin_add_overflow(a, b, out);
}
