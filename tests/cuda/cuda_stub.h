/* cuda_stub.h - the runtime calls of the CUDA backend, over host memory.
 *
 * Work is queued and runs as late as a wait allows (EMU_ORDER=random: at any allowed time), so what
 * the program does not order is seen out of order. Device memory is closed to the host outside of
 * work, and, where a test asks for it, memory of cudaMallocHost is closed while kernels run: a
 * pointer that is used on the wrong side is a SIGSEGV. What depends on other processes
 * (nccl_stub.cu) is waited for; a call that waits for ever ends the program. The n-th allocation,
 * work or call about a graph can be made to fail. Threads take turns. */
#ifndef TESTS_CUDA_CUDA_STUB_H
#define TESTS_CUDA_CUDA_STUB_H

#include "tests/cuda/emu_block.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unistd.h>
#include <vector>

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorNotReady = 600,
    cudaErrorIllegalAddress = 700,
    cudaErrorNotSupported = 801
};
enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3
};

namespace stub
{
using work = std::function<void()>;
using turn = std::lock_guard<std::recursive_mutex>;

struct stream;

struct event {
    uint64_t recorded = 0, done = 0;
    stream *in = nullptr; /* it was recorded last */
};

struct item {
    work run;    /* or none: a wait */
    event *wait; /* or NULL: begins only when `until` records of it are done */
    uint64_t until;
    bool kernel;
    std::function<bool()> may = nullptr; /* or none; it depends on other processes */
};

struct stream {
    std::deque<item> queue;
};

struct graph;

struct node { /* of a graph: a kernel */
    work run;
    std::vector<size_t> behind; /* nodes that it waits for */
    const graph *in;
    size_t number;
};

struct graph {
    std::vector<std::unique_ptr<node>> nodes;
};

struct ready_graph {
    std::vector<node> nodes;
    stream *in = nullptr; /* it was launched in */
};

enum { PAGE = 4096, ALIGN = 256, GRAPH_BYTES = 64 << 10 };

struct side { /* a range of addresses that is open or closed as a whole */
    char *base = nullptr;
    size_t used = 0, size = (size_t)1 << 38; /* addresses are not used again */
    int key = -1;                            /* of memory protection; none: mprotect */
    bool keyed, open;
    std::map<char *, size_t> block;
    side(bool keyed_, bool open_) : keyed(keyed_), open(open_)
    {
    }
};

struct machine {
    std::recursive_mutex lock;
    side device{true, false}, pinned{false, true};
    bool close_pinned = false; /* before the first allocation, in programs of one thread */
    std::vector<stream *> streams;
    stream null_stream;
    cudaError_t sticky = cudaSuccess;
    int64_t fail_alloc = -1, fail_work = -1; /* this many more succeed; below 0: all */
    size_t capacity = (size_t)8 << 30, taken = 0;
    uint64_t works = 0, pageable = 0, syncs = 0, allocs = 0; /* counted, for tests to look at */
    std::set<ready_graph *> ready_graphs;
    int64_t fail_graph = -1; /* as fail_alloc: calls that make and launch graphs */
    uint64_t graphs = 0, graphs_made = 0, graph_launches = 0; /* graphs: not yet destroyed */
    int uuid = 0;                                             /* of the device */
};
inline machine m;

static inline size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static inline void set_open(side *d, bool open)
{
    if (!d->base || d->open == open) return;
    if (d->key > 0)
        pkey_set(d->key, open ? 0 : PKEY_DISABLE_ACCESS); /* a register of this thread; 20 ns */
    else
        for (auto &b : d->block)
            mprotect((char *)((uintptr_t)b.first / PAGE * PAGE), whole_pages(b.second),
                     open ? PROT_READ | PROT_WRITE : PROT_NONE);
    d->open = open;
}

static inline void reserve(side *d)
{
    d->base = (char *)mmap(nullptr, d->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                           -1, 0);
    if (d->base == MAP_FAILED) emu::die("no addresses for memory of the device");
    if (d->keyed || m.close_pinned) d->key = pkey_alloc(0, d->open ? 0 : PKEY_DISABLE_ACCESS);
}

/* Whole pages, ending within ALIGN bytes of one that stays closed. */
static inline cudaError_t take(side *d, void **out, size_t bytes)
{
    size_t room = whole_pages(bytes);
    m.allocs++;
    if (m.fail_alloc >= 0 && m.fail_alloc-- == 0) return cudaErrorMemoryAllocation;
    if (m.taken + bytes > m.capacity || d->used + room + PAGE > d->size)
        return cudaErrorMemoryAllocation;
    if (!d->base) reserve(d);
    char *pages = d->base + d->used, *at = pages + (room - bytes) / ALIGN * ALIGN;
    if (d->key > 0)
        pkey_mprotect(pages, room, PROT_READ | PROT_WRITE, d->key);
    else
        mprotect(pages, room, d->open ? PROT_READ | PROT_WRITE : PROT_NONE);
    d->used += room + PAGE;
    d->block[at] = bytes;
    m.taken += bytes;
    *out = at;
    return cudaSuccess;
}

static inline bool graph_fails()
{
    return m.fail_graph >= 0 && m.fail_graph-- == 0;
}

static inline bool inside(const side *d, const void *p)
{
    return d->base && (const char *)p >= d->base && (const char *)p < d->base + d->used;
}

static inline stream *of(stream *s)
{
    return s ? s : &m.null_stream;
}

static inline bool ready(const stream *s)
{
    if (s->queue.empty()) return false;
    const item &next = s->queue.front();
    if (next.may && m.sticky == cudaSuccess) return next.may();
    return !next.wait || next.wait->done >= next.until || m.sticky != cudaSuccess;
}

static inline void open_for(bool kernel) /* or for a copy */
{
    set_open(&m.device, true);
    if (m.close_pinned) set_open(&m.pinned, !kernel);
}

static inline void open_for_host()
{
    set_open(&m.device, false);
    if (m.close_pinned) set_open(&m.pinned, true);
}

/* To be followed by open_for_host before the host goes on: work is not, where it runs in a row. */
static inline void step(stream *s)
{
    item i = s->queue.front();
    s->queue.pop_front();
    if (!i.run) return;
    if (m.fail_work >= 0 && m.fail_work-- == 0) m.sticky = cudaErrorIllegalAddress;
    if (m.sticky != cudaSuccess) return;
    m.works++;
    open_for(i.kernel);
    i.run();
}

static inline bool advance(stream *s)
{
    return ready(s) && (step(s), true);
}

static inline bool step_another(const stream *s)
{
    for (stream *o : m.streams)
        if (o != s && ready(o)) return step(o), true;
    if (s != &m.null_stream && ready(&m.null_stream)) return step(&m.null_stream), true;
    return false;
}

/* Other processes let something happen, or a call that waits would never return. */
static inline void wait_for_others(const char *what, int *turns)
{
    auto may = [](stream *o) { return !o->queue.empty() && o->queue.front().may; };
    if (std::none_of(m.streams.begin(), m.streams.end(), may)) emu::die(what);
    if (++*turns > 100000) emu::die("a call waits for other processes for ever");
    open_for_host();
    usleep(100);
}

/* Runs the stream's work and what it waits for, and nothing else. */
static inline void finish(stream *s)
{
    int turns = 0;
    while (!s->queue.empty()) {
        if (ready(s))
            step(s);
        else if (!step_another(s))
            wait_for_others("a stream waits for an event that nobody records", &turns);
    }
    open_for_host();
}

/* Runs what is in front of the last record of an event. */
static inline void finish_event(const event *e)
{
    int turns = 0;
    while (e->done < e->recorded && m.sticky == cudaSuccess) {
        if (ready(e->in))
            step(e->in);
        else if (!step_another(e->in))
            wait_for_others("an event that nobody records is waited for", &turns);
    }
    open_for_host();
}

static inline void finish_all()
{
    for (stream *s : m.streams)
        finish(s);
    finish(&m.null_stream);
}

static inline cudaError_t push(stream *s, work w, bool kernel = true)
{
    turn mine(m.lock);
    s = of(s);
    if (m.sticky != cudaSuccess) return m.sticky;
    s->queue.push_back({std::move(w), nullptr, 0, kernel});
    if (emu::s.order != 2) return cudaSuccess;
    for (stream *o : m.streams) /* some of all work happens now */
        while (ready(o) && emu::draw() % 2)
            step(o);
    open_for_host();
    return cudaSuccess;
}

static inline cudaError_t release(side *d, void *p)
{
    turn mine(m.lock);
    auto b = d->block.find((char *)p);
    if (!p) return cudaSuccess;
    if (b == d->block.end()) return cudaErrorInvalidValue;
    finish_all(); /* as cudaFree does */
    char *pages = (char *)((uintptr_t)p / PAGE * PAGE);
    mprotect(pages, whole_pages(b->second), PROT_NONE); /* for good: use after free is seen */
    madvise(pages, whole_pages(b->second), MADV_DONTNEED);
    m.taken -= b->second;
    d->block.erase(b);
    return cudaSuccess;
}
} // namespace stub

using cudaStream_t = stub::stream *;
using cudaEvent_t = stub::event *;
using cudaGraph_t = stub::graph *;
using cudaGraphNode_t = stub::node *;
using cudaGraphExec_t = stub::ready_graph *;

/* ---- the device ---- */

struct cudaDeviceProp {
    char name[256];
    int major, minor;
    size_t totalGlobalMem;
    char uuid[16]; /* a struct of it */
};

static inline cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 1;
    return cudaSuccess;
}

static inline cudaError_t cudaSetDevice(int i)
{
    return i == 0 ? cudaSuccess : cudaErrorInvalidValue;
}

static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    *p = cudaDeviceProp{"emulation", 8, 0, stub::m.capacity, {}};
    memcpy(p->uuid, &stub::m.uuid, sizeof stub::m.uuid);
    return cudaSuccess;
}

static inline cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    stub::turn mine(stub::m.lock);
    *total = stub::m.capacity;
    *free = stub::m.capacity - stub::m.taken;
    return cudaSuccess;
}

static inline cudaError_t cudaGetLastError()
{
    return stub::m.sticky;
}

static inline const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaSuccess                 ? "no error"
           : e == cudaErrorMemoryAllocation ? "out of memory"
           : e == cudaErrorInvalidValue     ? "invalid argument"
                                            : "an illegal memory access was encountered";
}

/* ---- memory ---- */

static inline cudaError_t cudaMalloc(void **p, size_t n)
{
    stub::turn mine(stub::m.lock);
    cudaError_t e = stub::take(&stub::m.device, p, n);
    if (e != cudaSuccess) return e;
    stub::set_open(&stub::m.device, true);
    memset(*p, 0xff, n); /* nobody may count on zeros */
    stub::set_open(&stub::m.device, false);
    return e;
}

static inline cudaError_t cudaMallocHost(void **p, size_t n)
{
    stub::turn mine(stub::m.lock);
    cudaError_t e = stub::take(&stub::m.pinned, p, n);
    if (e == cudaSuccess) memset(*p, 0xff, n);
    return e;
}

static inline cudaError_t cudaFree(void *p)
{
    return stub::release(&stub::m.device, p);
}

static inline cudaError_t cudaFreeHost(void *p)
{
    return stub::release(&stub::m.pinned, p);
}

static inline cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t n, cudaMemcpyKind kind,
                                          cudaStream_t s)
{
    stub::turn mine(stub::m.lock);
    const void *host = kind == cudaMemcpyHostToDevice ? src : dst;
    auto copy = [=] { memcpy(dst, src, n); };
    if (kind == cudaMemcpyDeviceToDevice || stub::inside(&stub::m.pinned, host))
        return stub::push(s, copy, false);
    stub::m.pageable++; /* the driver copies it aside before it returns, or waits */
    if (kind == cudaMemcpyDeviceToHost) {
        cudaError_t e = stub::push(s, copy, false);
        if (e == cudaSuccess) stub::finish(stub::of(s));
        return e == cudaSuccess ? stub::m.sticky : e;
    }
    std::vector<char> aside((const char *)src, (const char *)src + n);
    auto late = [=] { memcpy(dst, aside.data(), n); };
    return stub::push(s, late, false);
}

enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeHost, cudaMemoryTypeDevice };

struct cudaPointerAttributes {
    cudaMemoryType type;
};

static inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *a, const void *p)
{
    stub::turn mine(stub::m.lock);
    a->type = stub::inside(&stub::m.pinned, p)   ? cudaMemoryTypeHost
              : stub::inside(&stub::m.device, p) ? cudaMemoryTypeDevice
                                                 : cudaMemoryTypeUnregistered;
    return cudaSuccess;
}

static inline cudaError_t cudaMemsetAsync(void *dst, int v, size_t n, cudaStream_t s)
{
    auto fill = [=] { memset(dst, v, n); };
    return stub::push(s, fill, false);
}

/* ---- streams and events ---- */

static inline cudaError_t cudaStreamCreate(cudaStream_t *s)
{
    stub::turn mine(stub::m.lock);
    stub::m.streams.push_back(*s = new stub::stream);
    return cudaSuccess;
}

enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    return cudaStreamCreate(s);
}

static inline cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    stub::turn mine(stub::m.lock);
    stub::finish(s);
    for (auto at = stub::m.streams.begin(); at != stub::m.streams.end(); ++at)
        if (*at == s) {
            stub::m.streams.erase(at);
            break;
        }
    delete s;
    return cudaSuccess;
}

static inline cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    stub::turn mine(stub::m.lock);
    stub::m.syncs++;
    stub::finish(stub::of(s));
    return stub::m.sticky;
}

static inline cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    *e = new stub::event;
    return cudaSuccess;
}

static inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    return cudaEventCreate(e);
}

static inline cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    return cudaSuccess;
}

static inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    stub::turn mine(stub::m.lock);
    uint64_t id = ++e->recorded;
    e->in = stub::of(s);
    auto done = [=] { e->done = id; };
    return stub::push(s, done, false);
}

static inline cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    stub::turn mine(stub::m.lock);
    stub::m.syncs++;
    stub::finish_event(e);
    return stub::m.sticky;
}

/* The one call that waits for nothing: a device goes on meanwhile, so what can run does. */
static inline cudaError_t cudaEventQuery(cudaEvent_t e)
{
    stub::turn mine(stub::m.lock);
    while (e->done < e->recorded && (stub::advance(e->in) || stub::step_another(e->in)))
        continue;
    stub::open_for_host();
    if (stub::m.sticky != cudaSuccess) return stub::m.sticky;
    return e->done < e->recorded ? cudaErrorNotReady : cudaSuccess;
}

static inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    stub::turn mine(stub::m.lock);
    stub::of(s)->queue.push_back({nullptr, e, e->recorded, false});
    return cudaSuccess;
}

/* ---- graphs of kernels ---- */

static inline cudaError_t cudaGraphCreate(cudaGraph_t *g, unsigned)
{
    stub::turn mine(stub::m.lock);
    if (stub::graph_fails()) return cudaErrorMemoryAllocation;
    *g = new stub::graph;
    stub::m.graphs++;
    return cudaSuccess;
}

static inline cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    stub::turn mine(stub::m.lock);
    stub::m.graphs--;
    delete g;
    return cudaSuccess;
}

/* Of cudaGraphAddKernelNode, which has no types of arguments. */
static inline cudaError_t stub_graph_add(cudaGraphNode_t *node, cudaGraph_t g,
                                         const cudaGraphNode_t *after, size_t n, stub::work run)
{
    stub::turn mine(stub::m.lock);
    std::vector<size_t> behind;
    if (stub::graph_fails()) return cudaErrorInvalidValue;
    for (size_t i = 0; i < n; i++) {
        if (after[i]->in != g) return cudaErrorInvalidValue;
        behind.push_back(after[i]->number);
    }
    g->nodes.emplace_back(new stub::node{std::move(run), behind, g, g->nodes.size()});
    *node = g->nodes.back().get();
    return cudaSuccess;
}

/* An allocation of the device, which counts for itself. The graph itself may change or go behind
 * it. */
static inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t g,
                                               unsigned long long)
{
    stub::turn mine(stub::m.lock);
    stub::m.graphs_made++;
    if (stub::m.fail_alloc >= 0 && stub::m.fail_alloc-- == 0) return cudaErrorMemoryAllocation;
    if (stub::graph_fails()) return cudaErrorMemoryAllocation;
    *out = new stub::ready_graph;
    for (const auto &node : g->nodes)
        (*out)->nodes.push_back(*node);
    stub::m.ready_graphs.insert(*out);
    stub::m.taken += stub::GRAPH_BYTES;
    return cudaSuccess;
}

/* A node runs behind those that it names, and else as late as it may: the last one first. */
static inline cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t s)
{
    stub::turn mine(stub::m.lock);
    size_t n, left;
    if (!stub::m.ready_graphs.count(g)) emu::die("a graph is launched that is not there");
    if (stub::m.sticky != cudaSuccess) return stub::m.sticky;
    if (stub::graph_fails()) return cudaErrorInvalidValue;
    if (g->in && g->in != s) emu::die("a graph is launched in two streams");
    g->in = s;
    n = left = g->nodes.size();
    stub::m.graph_launches++;
    std::vector<bool> done(n);
    while (left) {
        size_t i = n;
        auto waits = [&](const stub::node &node) {
            for (size_t k : node.behind)
                if (!done[k]) return true;
            return false;
        };
        while (done[i - 1] || waits(g->nodes[i - 1]))
            i--;
        done[i - 1] = true;
        left--;
        (void)stub::push(s, g->nodes[i - 1].run);
    }
    return cudaSuccess;
}

/* What runs goes on. */
static inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g)
{
    stub::turn mine(stub::m.lock);
    if (!stub::m.ready_graphs.erase(g)) emu::die("a graph is destroyed that is not there");
    stub::m.taken -= stub::GRAPH_BYTES;
    delete g;
    return cudaSuccess;
}

#endif
