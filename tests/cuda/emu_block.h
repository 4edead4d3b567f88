/* emu_block.h - runs the blocks of a launch on one host thread: a CUDA thread is a fiber, and a
 * fiber runs until it waits.
 *
 * EMU_ORDER=forward|reverse|random:SEED is the order of blocks and warps. EMU_COPY=early lands
 * cp.async at once and not as late as allowed. EMU_FRESH=1, under the thread sanitizer, gives each
 * block threads of its own, so that races between blocks are seen, too. */
#ifndef TESTS_CUDA_EMU_BLOCK_H
#define TESTS_CUDA_EMU_BLOCK_H

#include <functional>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#define EMU_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#define EMU_TSAN 1
#include <sanitizer/tsan_interface.h>
extern "C" void __tsan_write_range(void *at, unsigned long bytes);
#endif
#define EMU_PLAIN __attribute__((noinline, unused, no_sanitize("thread"), no_sanitize("address")))

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

extern "C" void emu_switch(void **from, void *to);
asm(R"(.text
.weak emu_switch
.type emu_switch,@function
emu_switch: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
 mov %rsp,(%rdi); mov %rsi,%rsp
 pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret
.size emu_switch,.-emu_switch)");

namespace emu
{
enum { MAX_THREADS = 1024, STACK = 256 << 10, MAX_COPIES = 256 };
struct gate {
    unsigned arrived, generation;
}; /* what fibers wait at */
struct copy {
    void *dst;
    const void *src;
    unsigned group;
    bool fill;
};
struct fiber {
    void *sp, *stack, *tsan, *fake;
    dim3 tid;
    int lane, warp;
    gate *at;
    unsigned generation;
    const char *what; /* waits while the gate has this generation */
    bool done;
    copy copies[MAX_COPIES];
    unsigned first, last, group; /* cp.async in flight */
};
struct warp {
    gate g;
    unsigned mask, here, lanes;
    const char *op;
    void *arg[32];
};
struct warpgroup {
    gate g;
    const char *op;
    void *arg[128];
};
struct state { /* one block at a time */
    fiber *f[MAX_THREADS], *now;
    warp w[MAX_THREADS / 32];
    warpgroup wg[MAX_THREADS / 128];
    gate bar[16];
    void *sp, *tsan, *fake; /* of the scheduler */
    const void *bottom;
    size_t bottom_size;
    unsigned live;
    dim3 block_dim, grid_dim, block;
    unsigned char *smem;
    size_t smem_bytes;
    char *edge;
    const std::function<void()> *body;
    uint64_t seed;
    int order;
    bool known, early, fresh;
    uint64_t switches, launches;
    char done;
};
inline state s; /* C++17 */

[[noreturn]] static inline void die(const char *why, const char *a = "", const char *b = "")
{
    fprintf(stderr, "emu: block (%u, %u, %u), thread %u: %s%s%s\n", s.block.x, s.block.y, s.block.z,
            s.now ? s.now->tid.x : 0, why, a, b);
    abort();
}
static inline uint64_t draw()
{
    return s.seed = s.seed * 6364136223846793005u + 1442695040888963407u, s.seed >> 33;
}

EMU_PLAIN static void to_scheduler(bool last = false)
{
    fiber *f = s.now;
    (void)last;
    s.switches++;
#ifdef EMU_ASAN
    __sanitizer_start_switch_fiber(last ? nullptr : &f->fake, s.bottom, s.bottom_size);
#endif
#ifdef EMU_TSAN
    __tsan_switch_to_fiber(s.tsan, __tsan_switch_to_fiber_no_sync);
#endif
    emu_switch(&f->sp, s.sp);
#ifdef EMU_ASAN
    __sanitizer_finish_switch_fiber(f->fake, &s.bottom, &s.bottom_size);
#endif
}
EMU_PLAIN static void entry()
{
#ifdef EMU_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &s.bottom, &s.bottom_size);
#endif
#ifdef EMU_TSAN
    __tsan_acquire(&s.body); /* what the host did before the launch */
#endif
    (*s.body)();
#ifdef EMU_TSAN
    __tsan_release(&s.done);
#endif
    if (s.now->first != s.now->last) die("ends with cp.async in flight");
    s.now->done = true;
    s.live--;
    for (gate &g : s.bar) /* the others need not wait for it */
        if (g.arrived && g.arrived == s.live) g.arrived = 0, g.generation++;
    to_scheduler(true);
    abort();
}
EMU_PLAIN static void resume(fiber *f)
{
    s.now = f;
#ifdef EMU_ASAN
    __sanitizer_start_switch_fiber(&s.fake, f->stack, STACK);
#endif
#ifdef EMU_TSAN
    __tsan_switch_to_fiber(f->tsan, __tsan_switch_to_fiber_no_sync);
#endif
    emu_switch(&s.sp, f->sp);
#ifdef EMU_ASAN
    __sanitizer_finish_switch_fiber(s.fake, nullptr, nullptr);
#endif
}
EMU_PLAIN static void wait(gate *g, const char *what)
{
    fiber *f = s.now;
    f->at = g, f->generation = g->generation, f->what = what;
    to_scheduler();
    f->at = nullptr;
}
EMU_PLAIN static void begin(fiber *&f, unsigned i)
{
    const size_t bytes = (sizeof *f + 4095) / 4096 * 4096 + STACK;
#ifdef EMU_TSAN
    if (f && s.fresh) /* threads that know no other block: races between blocks show, at ten times
                         the time */
        __tsan_destroy_fiber(f->tsan), munmap(f, bytes), f = nullptr;
#endif
    if (!f) {
        f = (fiber *)mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                          0);
        f->stack = (char *)f + bytes - STACK;
#ifdef EMU_TSAN
        f->tsan = __tsan_create_fiber(0);
#endif
    }
#ifdef EMU_ASAN
    __asan_unpoison_memory_region(f->stack, STACK);
#endif
    void **top = (void **)((char *)f->stack + STACK);
    *--top = nullptr; /* aligned as after a call */
    *--top = (void *)entry;
    for (int r = 0; r < 6; r++)
        *--top = nullptr;
    f->sp = top, f->at = nullptr, f->done = false, f->first = f->last = f->group = 0;
    f->tid = dim3(i % s.block_dim.x, i / s.block_dim.x % s.block_dim.y,
                  i / s.block_dim.x / s.block_dim.y);
    f->warp = (int)i / 32, f->lane = (int)i % 32;
    s.w[f->warp].lanes |= 1u << f->lane;
}
static inline void read_order()
{
    const char *o = getenv("EMU_ORDER");
    s.known = true;
    s.early = getenv("EMU_COPY") && !strcmp(getenv("EMU_COPY"), "early");
    s.fresh = getenv("EMU_FRESH") != nullptr;
    s.order = !o || !strcmp(o, "forward") ? 0 : !strcmp(o, "reverse") ? 1 : 2;
    if (s.order == 2) s.seed = strtoull(o + strcspn(o, "0123456789"), nullptr, 10) * 2 + 1;
}
EMU_PLAIN static void run_block(unsigned n)
{
    memset(s.w, 0, sizeof s.w), memset(s.wg, 0, sizeof s.wg), memset(s.bar, 0, sizeof s.bar);
    s.live = n;
    for (unsigned i = 0; i < n; i++)
        begin(s.f[i], i);
    while (s.live) {
        bool moved = false;
        unsigned by = s.order == 2 ? (unsigned)(draw() % n) : 0; /* another order each round */
        for (unsigned i = 0; i < n; i++) {
            fiber *f = s.f[s.order == 1 ? n - 1 - i : (i + by) % n];
            if (f->done || (f->at && f->at->generation == f->generation)) continue;
            if (s.order == 2 && draw() % 4 == 0) {
                moved = true;
                continue;
            }
            resume(f), moved = true;
        }
        if (moved) continue;
        for (unsigned i = 0; i < n; i++)
            if (!s.f[i]->done && (s.now = s.f[i])) die("deadlock at ", s.now->what);
    }
    s.now = nullptr;
}
/* Exact size, 1024-byte aligned, NaN. TSan: new pages each time, so that blocks need no order. */
EMU_PLAIN static unsigned char *smem_new(size_t bytes)
{
    size_t whole = (bytes + 4095) / 4096 * 4096;
#ifdef EMU_TSAN
    unsigned char *at = (unsigned char *)mmap(nullptr, whole + 4096, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#else
    unsigned char *at = (unsigned char *)aligned_alloc(1024, whole + 1024);
#endif
    for (size_t i = 0; i < whole / 8; i++)
        ((volatile uint64_t *)at)[i] = ~0ull;
    s.edge =
        (char *)at + whole; /* of barriers: gone with the block, so that blocks stay unordered */
#ifdef EMU_ASAN
    __asan_poison_memory_region(at + bytes, whole - bytes);
#endif
    return at;
}
EMU_PLAIN static void smem_free(unsigned char *at, size_t bytes)
{
    (void)bytes;
#ifdef EMU_TSAN
    munmap(at, (bytes + 4095) / 4096 * 4096 + 4096);
#else
    free(at);
#endif
}
EMU_PLAIN static void run(dim3 grid, dim3 block, size_t smem, const std::function<void()> &body)
{
    unsigned n = block.x * block.y * block.z;
    uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    if (!s.known) read_order();
    if (n < 1 || n > MAX_THREADS || !blocks || grid.y > 65535 || grid.z > 65535)
        die("no such launch");
    if (smem > 227 << 10) die("more shared memory than a block can have");
    s.block_dim = block, s.grid_dim = grid, s.body = &body, s.smem_bytes = smem, s.launches++;
    uint64_t turn = s.order == 2 ? draw() % blocks : 0;
    for (uint64_t b = 0; b < blocks; b++) {
        uint64_t at = s.order == 1 ? blocks - 1 - b : (b + turn) % blocks;
        s.block = dim3((unsigned)(at % grid.x), (unsigned)(at / grid.x % grid.y),
                       (unsigned)(at / grid.x / grid.y));
        s.smem = smem_new(smem);
#ifdef EMU_TSAN
        s.tsan = __tsan_get_current_fiber();
        __tsan_release(&s.body);
#endif
        run_block(n);
        smem_free(s.smem, smem);
    }
#ifdef EMU_TSAN
    __tsan_acquire(&s.done);
#endif
}
static inline void *shared(size_t bytes)
{
    if (bytes > s.smem_bytes) die("the launch has less shared memory than the kernel takes");
    return s.smem;
}
/* All lanes of the mask meet; the last one does the work of all, `arg` being each one's. */
EMU_PLAIN static void meet(const char *op, void *arg, void (*exec)(void **arg, unsigned mask),
                           unsigned mask = ~0u)
{
    fiber *f = s.now;
    warp *w = &s.w[f->warp];
    if (!w->here) w->op = op, w->mask = mask & w->lanes;
    if (w->op != op || w->mask != (mask & w->lanes)) die("a warp meets at two places: ", op, w->op);
    if (!(w->mask >> f->lane & 1)) die("is not in its own mask at ", op);
    w->arg[f->lane] = arg;
    w->here |= 1u << f->lane;
    if (w->here != w->mask) return wait(&w->g, op);
    w->here = 0, w->g.generation++;
    if (exec) exec(w->arg, w->mask);
}
EMU_PLAIN static void meet_group(const char *op, void *arg, void (*exec)(void **arg))
{
    fiber *f = s.now;
    warpgroup *g = &s.wg[f->warp / 4];
    if (!g->g.arrived) g->op = op;
    if (g->op != op) die("a warpgroup meets at two places: ", op, g->op);
    g->arg[f->warp % 4 * 32 + f->lane] = arg;
    if (++g->g.arrived < 128) return wait(&g->g, op);
    g->g.arrived = 0, g->g.generation++;
    exec(g->arg);
}
EMU_PLAIN static void barrier(int id, unsigned n)
{
    static const char what[] = "a barrier of the block";
    gate *g = &s.bar[id];
    unsigned phase = g->generation & 1;
    (void)phase;
#ifdef EMU_TSAN
    char *e =
        s.edge + 2 * id + phase; /* two in turn: one does not order what the next one should */
    __tsan_release(e);
#endif
    if (++g->arrived == (n ? n : s.live))
        g->arrived = 0, g->generation++;
    else
        wait(g, what);
#ifdef EMU_TSAN
    __tsan_acquire(e);
#endif
}
} // namespace emu

#endif
