/* launch_list.cuh - launches of a decode pass, written down until the pass is whole, and the graph
 * that makes all of them at once.
 *
 * A pass of one token is some hundred kernels that take microseconds each. Nearly always they are
 * those of the token before, byte for byte: what changes from token to token (its number, its
 * position, its slot, what it sees) lies in memory that kernels read, at the same addresses. So a
 * list that is the last one again in each byte, kernels, grids and arguments, is launched as a
 * graph, which is made when that happens for the first time; any other one is launched as if
 * nobody had listed it. A graph has no other arguments than the list has, whatever they depend on:
 * nobody has to know when it is out of date. Comparing takes less of the host than launching.
 *
 * Copies are not listed. They are made behind what was listed, so no graph names memory of the
 * host.
 */
#ifndef KERNELS_CUDA_LAUNCH_LIST_CUH
#define KERNELS_CUDA_LAUNCH_LIST_CUH

#include "kernels/cuda/device.cuh"

#include <assert.h>
#include <string.h>
#include <type_traits>
#include <utility>

enum {
    LIST_BYTES = 1 << 20, /* a pass of 128 layers takes half of it */
    MOST_LISTED = 512     /* bytes of a launch */
};

struct launch_list {
    uint8_t *now, *before; /* LIST_BYTES each: launches, one behind the other */
    size_t used, used_before;
    const char *what;      /* the operation of those that come next */
    cudaGraphExec_t graph; /* of those in `before`; NULL: none was made */
};

/* A launch. Its arguments are behind it, as arguments_of says. */
struct listed {
    cudaError_t (*launch)(const struct listed *l, cudaStream_t stream);
    cudaError_t (*append)(const struct listed *l, struct chain chain);
    void (*kernel)(void);
    const char *what;
    dim3 grid, block;
    size_t shared, bytes; /* bytes: with the arguments */
};

/* Where kernels go that enqueue_... functions launch: to a list, or, where that is NULL, to a
 * stream. */
struct line {
    cudaStream_t stream;
    struct launch_list *list;
    line(cudaStream_t stream_, struct launch_list *list_ = nullptr) : stream(stream_), list(list_)
    {
    }
};

/* ---- arguments ---- */

template <class... P> struct arguments_of {
    /* Where the i-th argument is; the one behind the last: the bytes of all. */
    static constexpr size_t at(size_t i)
    {
        const size_t size[] = {sizeof(P)..., 0}, align[] = {alignof(P)..., 8};
        size_t begin = 0;
        for (size_t k = 0;; k++) {
            begin = (begin + align[k] - 1) / align[k] * align[k];
            if (k == i) return begin;
            begin += size[k];
        }
    }
};

#define CLEARS_PADDING 0
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#undef CLEARS_PADDING
#define CLEARS_PADDING 1
#endif
#endif

/* What lies between the members of a struct is anything. As zeros it does not make lists differ;
 * where a compiler cannot do that, graphs are made more often than they need be. */
template <class T> static inline void put_argument(uint8_t *to, T value)
{
    static_assert(std::is_trivially_copyable<T>::value, "arguments are compared byte by byte");
#if CLEARS_PADDING
    __builtin_clear_padding(&value);
#endif
    memcpy(to, &value, sizeof value);
}

/* ---- the list ---- */

template <class TO, class... P, size_t... I>
static inline cudaError_t launch_listed(const struct listed *l, TO to, std::index_sequence<I...>)
{
    const uint8_t *argument = (const uint8_t *)(l + 1);
    (void)argument;
    return launch((void (*)(P...))l->kernel, l->grid, l->block, l->shared, to,
                  *(const P *)(argument + arguments_of<P...>::at(I))...);
}

template <class TO, class... P>
static inline cudaError_t launch_listed(const struct listed *l, TO to)
{
    return launch_listed<TO, P...>(l, to, std::index_sequence_for<P...>());
}

template <class... P, size_t... I>
static inline void list_add(struct launch_list *list, const struct listed &l,
                            std::index_sequence<I...>, P... p)
{
    uint8_t *at = list->now + list->used, *argument = at + sizeof l;
    assert(l.bytes <= LIST_BYTES - list->used);
    memset(at, 0, l.bytes);
    memcpy(at, &l, sizeof l);
    (void)argument;
    (put_argument(argument + arguments_of<P...>::at(I), p), ...);
    list->used += l.bytes;
}

template <class... P, class... A>
static inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                 struct line to, A... a)
{
    const size_t bytes = sizeof(struct listed) + arguments_of<P...>::at(sizeof...(P));
    static_assert(bytes <= MOST_LISTED, "list_has_room counts on it");
    if (!to.list) return launch(kernel, grid, block, shared, to.stream, a...);
    struct listed l = {launch_listed<cudaStream_t, P...>,
                       launch_listed<struct chain, P...>,
                       (void (*)(void))kernel,
                       to.list->what,
                       grid,
                       block,
                       shared,
                       bytes};
    list_add<P...>(to.list, l, std::index_sequence_for<P...>(), P(a)...);
    return cudaSuccess;
}

/* Nonzero: the launches of one operation, or of sixteen rows of a product, fit in. */
static inline int list_has_room(const struct launch_list *list)
{
    return LIST_BYTES - list->used >= 8 * MOST_LISTED;
}

static inline const struct listed *list_at(const uint8_t *list, size_t at)
{
    return (const struct listed *)(list + at);
}

static inline bool list_is_the_last_one(const struct launch_list *list)
{
    return list->used == list->used_before && !memcmp(list->now, list->before, list->used);
}

/* ---- its graph ---- */

static inline void list_drop_graph(struct launch_list *list)
{
    if (list->graph) cudaGraphExecDestroy(list->graph); /* one that runs is freed when it ends */
    list->graph = nullptr;
}

/* A graph of the list: each kernel behind the one before, as in a stream. */
static inline cudaError_t list_make_graph(struct launch_list *list)
{
    cudaGraph_t graph;
    cudaGraphNode_t last = nullptr;
    cudaError_t e = cudaGraphCreate(&graph, 0);
    if (e != cudaSuccess) return e;
    for (size_t at = 0; at < list->used && e == cudaSuccess; at += list_at(list->now, at)->bytes) {
        const struct listed *l = list_at(list->now, at);
        e = l->append(l, {graph, &last});
    }
    if (e == cudaSuccess) e = cudaGraphInstantiate(&list->graph, graph, 0);
    if (e != cudaSuccess) list->graph = nullptr;
    cudaGraphDestroy(graph);
    return e;
}

/* The list is empty again, and the one before is that which it was. */
static inline void list_turn(struct launch_list *list)
{
    uint8_t *before = list->before;
    list->before = list->now;
    list->used_before = list->used;
    list->now = before;
    list->used = 0;
}

#endif
