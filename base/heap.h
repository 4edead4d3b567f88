/* heap.h - the only door to malloc: counted, and able to fail on purpose. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* 64-byte aligned, contents undefined; NULL when there is no memory. 0 bytes give a valid pointer.
 */
void *heap_alloc(size_t bytes);
/* All zero; pages of large blocks take no memory until they are touched. */
void *heap_alloc_zero(size_t bytes);
/* For a block of which all is used and that is read again and again: the kernel gives it large
 * pages where it has some. Its contents stay. */
void heap_large_pages(void *block, size_t bytes);
/* For a block that is about to be written from end to end: the kernel gives the pages of a large
 * one together, in large pages where it has some. Its contents stay. */
void heap_populate(void *block, size_t bytes);
/* Grows or shrinks a block of old_bytes; NULL leaves the old block alone. */
void *heap_resize(void *block, size_t old_bytes, size_t bytes);
void heap_free(void *block);
/* malloc-compatible pair for libraries that take allocation hooks. */
void *heap_malloc_hook(size_t bytes);
void heap_free_hook(void *block);

uint64_t heap_calls(void); /* allocations since start, whole process */
uint64_t heap_live(void);  /* blocks not yet freed */
/* After n more allocations all fail; negative: never. For tests. */
void heap_fail_after(int64_t n);

#endif
