// The CUDA source compiled as C++: every thread is a fiber, run until it meets a barrier; with a seed, in an order drawn
// from it, and one thread block ahead of the others.
// Shared memory begins as NaN and is followed by a guard, so that a missing barrier, a missing write or a write beyond
// its end shows. What it does not show: how a real device orders memory between thread blocks.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#define EMULATED
#define __device__
#define __global__ static
#define __forceinline__ inline
#define __launch_bounds__(n)
#define __cluster_dims__(...)
#define READ(p) (*(p))
#define READ_PACK(p) (*(const Sixteen*)(p))
#define SHARED unsigned char* raw = now->block->shared.data()
#define SPIN() yield()
#define CLUSTER_COME() now->seen = now->block->group->come()
#define CLUSTER_WAIT() now->block->group->wait(now->seen)

struct Sixteen { alignas(16) unsigned char bytes[16]; };
struct Index { unsigned x; };
static Index threadIdx, blockIdx, blockDim, gridDim;
using std::exp; using std::fabs; using std::max; using std::min; using std::tanh;

struct Barrier {
    unsigned expected = 0, count = 0, round = 0;
    unsigned come();
    void wait(unsigned seen);
};
struct alignas(16) Chunk { unsigned char bytes[16]; };
struct Memory {
    std::vector<Chunk> chunks;
    unsigned char* data() { return (unsigned char*)chunks.data(); }
};
struct Block {
    unsigned index;
    Barrier all, *group;
    Memory shared;
};
struct Fiber {
    jmp_buf here;
    Block* block;
    unsigned thread, seen;
    bool begun = false, done = false;
};
static Fiber* now;
static jmp_buf scheduler;
static void yield() { if (!_setjmp(now->here)) _longjmp(scheduler, 1); }
static void body();
// A context is made for a fiber's first step only: swapcontext asks the kernel for the signal mask at every call.
static void step(Fiber* f, char* stack, size_t size) {
    now = f;
    if (_setjmp(scheduler)) return;
    if (f->begun) _longjmp(f->here, 1);
    f->begun = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = size;
    makecontext(&context, body, 0);
    setcontext(&context);
}
unsigned Barrier::come() {
    unsigned seen = round;
    if (++count == expected) { count = 0; round++; }
    return seen;
}
void Barrier::wait(unsigned seen) { while (round == seen) yield(); }
static void __syncthreads() { now->block->all.wait(now->block->all.come()); }
static void __threadfence() {}
static void atomicAdd(unsigned* p, unsigned v) { *p += v; }

namespace plain {
#include SOURCE
}
#undef SIZES
#undef LAUNCH
#define CLUSTER 0
namespace clustered {
#include SOURCE
}

typedef void (*Kernel)(void**);
#define INT(k) *(int*)a[k]
#define INTS(k) INT(k), INT(k + 1), INT(k + 2), INT(k + 3), INT(k + 4), INT(k + 5), INT(k + 6), INT(k + 7), INT(k + 8)
#define WRAPPED(space) \
    template <template <typename> class K, typename T, int R> void space##_ahead(void** a) { \
        space::ahead<K, T, R>(*(T**)a[0], *(T**)a[1], *(T**)a[2], *(int**)a[3], *(T**)a[4], *(T**)a[5], *(T**)a[6], *(T**)a[7], *(T**)a[8], \
                              *(T**)a[9], *(T**)a[10], *(unsigned**)a[11], INTS(12)); \
    } \
    template <template <typename> class K, typename T, int R> void space##_back(void** a) { \
        space::back<K, T, R>(*(T**)a[0], *(T**)a[1], *(T**)a[2], *(T**)a[3], *(int**)a[4], *(T**)a[5], *(T**)a[6], *(T**)a[7], *(T**)a[8], \
                             *(T**)a[9], *(T**)a[10], *(unsigned**)a[11], INTS(12)); \
    }
WRAPPED(plain)
WRAPPED(clustered)
template <template <typename> class K, typename T> void ahead_one(void** a) {
    plain::ahead_one<K, T, 0>(*(T**)a[0], *(T**)a[1], *(T**)a[2], *(int**)a[3], *(T**)a[4], *(T**)a[5], *(T**)a[6], *(T**)a[7], *(T**)a[8],
                              INT(9), INT(10), INT(11));
}
template <template <typename> class K, typename T> void back_one(void** a) {
    plain::back_one<K, T, 0>(*(T**)a[0], *(T**)a[1], *(T**)a[2], *(T**)a[3], *(int**)a[4], *(T**)a[5], *(T**)a[6], *(T**)a[7], INT(8),
                             INT(9), INT(10));
}
template <typename T> void gather(void** a) {
    long long n[13];
    for (int k = 0; k < 13; k++) n[k] = *(long long*)a[14 + k];
    plain::gather<T>(*(T**)a[0], *(T**)a[1], *(T**)a[2], *(T**)a[3], *(T**)a[4], *(T**)a[5], *(T**)a[6], *(T**)a[7], *(T**)a[8], *(T**)a[9],
                     *(T**)a[10], *(T**)a[11], *(T**)a[12], *(T**)a[13], n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8],
                     n[9], n[10], n[11], n[12]);
}

template <template <typename> class P, template <typename> class C, typename T>
static Kernel choose(int kernel, int tile, int cluster) {
    if (kernel == 2) return ahead_one<P, T>;
    if (kernel == 3) return back_one<P, T>;
    if (kernel == 4) return gather<T>;
    if (cluster) {
        if (tile == 1) return kernel ? clustered_back<C, T, 1> : clustered_ahead<C, T, 1>;
        if (tile == 2) return kernel ? clustered_back<C, T, 2> : clustered_ahead<C, T, 2>;
        return kernel ? clustered_back<C, T, 4> : clustered_ahead<C, T, 4>;
    }
    if (tile == 1) return kernel ? plain_back<P, T, 1> : plain_ahead<P, T, 1>;
    if (tile == 2) return kernel ? plain_back<P, T, 2> : plain_ahead<P, T, 2>;
    return kernel ? plain_back<P, T, 4> : plain_ahead<P, T, 4>;
}
template <template <typename> class P, template <typename> class C>
static Kernel choose(int kernel, int single, int tile, int cluster) {
    return single ? choose<P, C, float>(kernel, tile, cluster) : choose<P, C, double>(kernel, tile, cluster);
}

static Kernel running;
static void** given;
static void body() {
    running(given);
    now->done = true;
    _longjmp(scheduler, 1);
}

// 0: done. 1: the threads wait for one another for ever. 2: a write beyond the end of shared memory.
extern "C" int launch(int kernel, int cell, int single, int tile, int cluster, unsigned blocks, unsigned threads,
                      unsigned shared, unsigned group, unsigned seed, void** arguments) {
    running = cell == 0 ? choose<plain::Lstm, clustered::Lstm>(kernel, single, tile, cluster)
              : cell == 1 ? choose<plain::Gru, clustered::Gru>(kernel, single, tile, cluster)
                          : choose<plain::Rnn, clustered::Rnn>(kernel, single, tile, cluster);
    given = arguments;
    gridDim.x = blocks;
    blockDim.x = threads;
    std::vector<Barrier> groups(blocks / group + 1);
    for (Barrier& b : groups) b.expected = group * threads;
    std::vector<Block> all(blocks);
    std::vector<Fiber> fibers(blocks * threads);
    for (unsigned k = 0; k < blocks; k++) {
        all[k].index = k;
        all[k].all.expected = threads;
        all[k].group = &groups[k / group];
        all[k].shared.chunks.resize(shared / 16 + 65);
        std::memset(all[k].shared.data(), 0xff, all[k].shared.chunks.size() * 16);
    }
    for (unsigned k = 0; k < fibers.size(); k++) {
        Fiber& f = fibers[k];
        f.block = &all[k / threads];
        f.thread = k % threads;
    }
    const size_t size = 1 << 14;
    std::unique_ptr<char[]> stacks(new char[fibers.size() * size]);
    std::mt19937 random(seed);
    std::vector<Fiber*> alive;
    unsigned ahead_of_all = 0;
    for (Fiber& f : fibers) alive.push_back(&f);
    for (long rounds = 0; !alive.empty(); rounds++) {
        if (rounds > 100000) return 1;
        if (seed) std::shuffle(alive.begin(), alive.end(), random);
        if (seed && rounds % 16 == 0) ahead_of_all = random() % blocks;  // one thread block runs ahead as far as it can
        for (Fiber* f : alive) {
            if (seed && f->block->index != ahead_of_all) continue;
            threadIdx.x = f->thread;
            blockIdx.x = f->block->index;
            step(f, stacks.get() + (f - fibers.data()) * size, size);
        }
        alive.erase(std::remove_if(alive.begin(), alive.end(), [](Fiber* f) { return f->done; }), alive.end());
    }
    for (Block& b : all)
        for (unsigned char* p = b.shared.data() + shared; p < b.shared.data() + b.shared.chunks.size() * 16; p++)
            if (*p != 0xff) return 2;
    return 0;
}
