/* heap.c - counted allocation. */
#include "base/heap.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_uint_fast64_t calls, live;
static atomic_int_fast64_t fail_after = -1;

static int may_allocate(void)
{
    int_fast64_t left = atomic_load(&fail_after);
    atomic_fetch_add(&calls, 1);
    while (left > 0)
        if (atomic_compare_exchange_weak(&fail_after, &left, left - 1)) return 1;
    return left < 0;
}

static void *allocate(size_t bytes, size_t align)
{
    void *block = NULL;
    if (!may_allocate() || posix_memalign(&block, align, bytes ? bytes : 1)) return NULL;
    atomic_fetch_add(&live, 1);
    return block;
}

void *heap_alloc(size_t bytes)
{
    return allocate(bytes, 64);
}

/* Large blocks are given back to the kernel page by page, which makes them zero and costs nothing
 * until they are touched. */
void *heap_alloc_zero(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = bytes & ~(page - 1);
    int large = bytes >= 256 * page;
    uint8_t *block = allocate(bytes, large ? page : 64);
    if (!block) return NULL;
    if (large && madvise(block, whole, MADV_DONTNEED) == 0)
        memset(block + whole, 0, bytes - whole);
    else
        memset(block, 0, bytes);
    return block;
}

/* The whole pages of a block that is large enough; 0: it is not. */
static size_t whole_pages(void *block, size_t bytes, uint8_t **first)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), front = -(uintptr_t)block & (page - 1);
    *first = (uint8_t *)block + front;
    return bytes < 1024 * page ? 0 : (bytes - front) & ~(page - 1);
}

void heap_large_pages(void *block, size_t bytes)
{
    uint8_t *first;
    bytes = whole_pages(block, bytes, &first);
    if (bytes) (void)madvise(first, bytes, MADV_HUGEPAGE);
}

void heap_populate(void *block, size_t bytes)
{
    uint8_t *first;
    heap_large_pages(block, bytes);
    bytes = whole_pages(block, bytes, &first);
#ifdef MADV_POPULATE_WRITE
    if (bytes) (void)madvise(first, bytes, MADV_POPULATE_WRITE);
#else
    (void)bytes;
#endif
}

void *heap_resize(void *block, size_t old_bytes, size_t bytes)
{
    void *grown = heap_alloc(bytes);
    if (!grown) return NULL;
    if (block) memcpy(grown, block, old_bytes < bytes ? old_bytes : bytes);
    heap_free(block);
    return grown;
}

void heap_free(void *block)
{
    if (block) atomic_fetch_sub(&live, 1);
    free(block);
}

/* Libraries make many small blocks: no more than malloc's alignment. */
void *heap_malloc_hook(size_t bytes)
{
    return allocate(bytes, alignof(max_align_t));
}

void heap_free_hook(void *block)
{
    heap_free(block);
}

uint64_t heap_calls(void)
{
    return atomic_load(&calls);
}

uint64_t heap_live(void)
{
    return atomic_load(&live);
}

void heap_fail_after(int64_t n)
{
    atomic_store(&fail_after, n);
}
