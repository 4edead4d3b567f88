/* nccl_stub.cu - the calls of NCCL over memory that processes share, which rank 0 makes with the
 * name of a communicator and the others open by that name. */
#include "tests/cuda/nccl_stub.h"

#include "kernels/cuda/cuda_nccl.cuh"

#include <atomic>
#include <fcntl.h>
#include <string>
#include <thread>
#include <unistd.h>

namespace nccl
{
enum {
    MOST = 8,
    LOG = 1024, /* gathers that a rank may be ahead */
    WINDOW = 16 << 20,
    SYSTEM_ERROR = 2,
    INVALID_ARGUMENT = 4,
    REMOTE_ERROR = 6
};

struct entry { /* a gather as a rank asked for it */
    std::atomic<uint64_t> number;
    char text[248];
};

struct place { /* of a rank; gathers are counted from 1 */
    std::atomic<uint64_t> asked, given, taken;
    struct entry log[LOG];
};

struct world {
    std::atomic<int> joined;
    struct place place[MOST];
    char window[MOST][WINDOW]; /* pages that nobody touches take no memory */
};

struct part {
    char *at;
    size_t bytes;
    int root;
    cudaStream_t stream;
};

struct opaque_comm {
    struct world *world;
    int n, rank;
    bool open = false, aborted = false;
    int error = SUCCESS;
    bool grouped = false, launching = false;
    std::vector<struct part> parts;
    uint64_t asked = 0;
};

static struct {
    bool installed, refuses;
    long fail = -1;
    struct nccl_stub_counts count;
    std::vector<comm> open;
    comm grouped; /* that the group is of */
    bool in_group;
    std::thread runner;
    std::atomic<bool> stop;
} all;

/* ---- streams run by themselves ---- */

static bool gives(const stub::stream *s)
{
    for (const stub::item &i : s->queue)
        if (i.may) return true;
    return false;
}

/* Others wait for what a stream gives, whatever this process does meanwhile; what no gather is
 * behind stays as late as it may. */
static void run_streams()
{
    while (!all.stop) {
        {
            stub::turn mine(stub::m.lock);
            for (stub::stream *s : stub::m.streams)
                while (gives(s) && stub::advance(s))
                    continue;
            stub::open_for_host();
        }
        usleep(200);
    }
}

/* ---- a gather ---- */

static bool all_have(const opaque_comm *c, std::atomic<uint64_t> place::*what, uint64_t number)
{
    for (int i = 0; i < c->n; i++)
        if (c->world->place[i].*what < number) return false;
    return true;
}

/* What is at a root's part of the window, in the order of the parts. */
static void copy(const opaque_comm *c, const std::vector<struct part> &parts, bool give)
{
    size_t used[MOST] = {0};
    for (const struct part &p : parts) {
        char *at = c->world->window[p.root] + used[p.root];
        used[p.root] += p.bytes;
        if (used[p.root] > WINDOW) emu::die("nccl: a part is larger than the stub's window");
        if (give && p.root == c->rank) memcpy(at, p.at, p.bytes);
        if (!give && p.root != c->rank) memcpy(p.at, at, p.bytes);
    }
}

/* Twice in the stream: what is given when all have taken the one before, what is taken when all
 * have given. */
static void enqueue(comm c, uint64_t number)
{
    stub::turn mine(stub::m.lock);
    std::vector<struct part> parts = c->parts;
    stub::stream *s = stub::of(parts[0].stream);
    bool fails = all.fail >= 0 && all.fail-- == 0;
    auto may_give = [=] {
        if (fails) c->error = REMOTE_ERROR;
        return c->aborted || (c->error == SUCCESS && all_have(c, &place::taken, number - 1));
    };
    auto may_take = [=] {
        return c->aborted || (c->error == SUCCESS && all_have(c, &place::given, number));
    };
    auto give = [=] {
        if (c->aborted) return;
        copy(c, parts, true);
        c->world->place[c->rank].given = number;
    };
    auto take = [=] {
        if (!c->aborted) {
            copy(c, parts, false);
            c->world->place[c->rank].taken = number;
            return;
        }
        for (const struct part &p : parts) /* half of it, who knows of what */
            if (p.root != c->rank) memset(p.at, 0xdb, p.bytes);
    };
    s->queue.push_back({give, nullptr, 0, false, may_give});
    s->queue.push_back({take, nullptr, 0, false, may_take});
    all.count.gathers++;
}

/* Two ranks that ask for different things as the same gather are seen by the later one at least. */
static void compare(comm c, uint64_t number)
{
    struct entry *mine = &c->world->place[c->rank].log[number % LOG];
    std::string text;
    for (const struct part &p : c->parts)
        text += " " + std::to_string(p.bytes) + " of " + std::to_string(p.root);
    snprintf(mine->text, sizeof mine->text, "%s", text.c_str());
    mine->number = number;
    c->world->place[c->rank].asked = number;
    for (int i = 0; i < c->n; i++) {
        const struct entry *other = &c->world->place[i].log[number % LOG];
        if (other->number == number && strcmp(other->text, mine->text) != 0)
            emu::die("nccl: ranks gather different things:", mine->text,
                     (" and" + std::string(other->text)).c_str());
        if (c->world->place[i].asked + LOG <= number) emu::die("nccl: a rank is far ahead");
    }
}

/* ---- calls ---- */

static int stub_version(int *version)
{
    *version = 22809;
    return SUCCESS;
}

static int stub_unique(unique_id *id)
{
    int file = memfd_create("nccl", 0);
    if (file < 0 || ftruncate(file, sizeof(struct world)) != 0) return SYSTEM_ERROR;
    snprintf(id->byte, sizeof id->byte, "/proc/%d/fd/%d", (int)getpid(), file);
    return SUCCESS;
}

static int stub_open(comm *out, int n, unique_id id, int rank, config *config)
{
    if (config->size != sizeof *config || config->magic != CONFIG_MAGIC || config->blocking ||
        config->version != CONFIG_VERSION || n > MOST)
        return INVALID_ARGUMENT;
    int file = all.refuses ? -1 : ::open(id.byte, O_RDWR | O_CLOEXEC);
    if (file < 0) return SYSTEM_ERROR;
    void *at = mmap(nullptr, sizeof(struct world), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (at == MAP_FAILED) return SYSTEM_ERROR;
    *out = new opaque_comm;
    (*out)->world = (struct world *)at;
    (*out)->n = n;
    (*out)->rank = rank;
    (*out)->world->joined++;
    if (all.open.empty()) {
        all.stop = false;
        all.runner = std::thread(run_streams);
    }
    all.open.push_back(*out);
    return IN_PROGRESS;
}

static void check_open(comm c)
{
    for (comm one : all.open)
        if (one == c) return;
    emu::die("nccl: a communicator that is not open");
}

/* What waits in streams uses it until it has run. */
static int stub_abort(comm c)
{
    check_open(c);
    {
        stub::turn mine(stub::m.lock);
        c->aborted = true;
    }
    for (size_t i = 0; i < all.open.size(); i++)
        if (all.open[i] == c) all.open.erase(all.open.begin() + (long)i);
    if (all.open.empty()) {
        all.stop = true;
        all.runner.join();
    }
    all.count.aborts++;
    return SUCCESS;
}

/* A communicator connects when it is first used: until then all have to ask for something. */
static int stub_async_error(comm c, int *result)
{
    check_open(c);
    stub::turn mine(stub::m.lock);
    if (!c->open) c->open = c->world->joined == c->n;
    *result = c->open ? c->error : (int)IN_PROGRESS;
    if (!c->launching || c->error != SUCCESS) return SUCCESS;
    *result = IN_PROGRESS;
    if (c->asked == 1 && !all_have(c, &place::asked, 1)) return SUCCESS;
    c->launching = false;
    enqueue(c, c->asked);
    return SUCCESS;
}

static int stub_group_start()
{
    if (all.in_group) emu::die("nccl: a group in a group");
    all.in_group = true;
    all.grouped = nullptr;
    return SUCCESS;
}

static int stub_group_end()
{
    comm c = all.grouped;
    if (!all.in_group) emu::die("nccl: no group ends");
    all.in_group = false;
    if (!c) return SUCCESS;
    if (!c->open || c->launching) return INVALID_ARGUMENT; /* the call before is not through */
    compare(c, ++c->asked);
    c->launching = true;
    return IN_PROGRESS;
}

static int stub_broadcast(const void *from, void *to, size_t count, int type, int root, comm c,
                          cudaStream_t stream)
{
    check_open(c);
    if (!all.in_group) emu::die("nccl: a broadcast outside of a group, which waits for itself");
    if (type != UINT8 || root < 0 || root >= c->n || from != to || !count) return INVALID_ARGUMENT;
    if (!all.grouped) c->parts.clear();
    if (all.grouped && (all.grouped != c || c->parts[0].stream != stream))
        emu::die("nccl: a group of two communicators or streams");
    all.grouped = c;
    c->parts.push_back({(char *)to, count, root, stream});
    return SUCCESS;
}

static const char *stub_error_string(int result)
{
    return result == REMOTE_ERROR ? "a rank has ended" : "an error of the stub";
}

bool load(library *l, char why[512])
{
    *l = {stub_version,     stub_unique,    stub_open,      stub_abort,       stub_async_error,
          stub_group_start, stub_group_end, stub_broadcast, stub_error_string};
    if (!all.installed) snprintf(why, 512, "libnccl.so.2: there is none");
    return all.installed;
}
} // namespace nccl

void nccl_stub_install(void)
{
    nccl::all.installed = true;
}

void nccl_stub_gpu(int number)
{
    stub::m.uuid = number;
}

void nccl_stub_refuse(void)
{
    nccl::all.refuses = true;
}

void nccl_stub_fail(long after)
{
    nccl::all.fail = after;
}

struct nccl_stub_counts nccl_stub_count(void)
{
    return nccl::all.count;
}
