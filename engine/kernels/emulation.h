// CUDA's programming model on a CPU, for tests: with this header a C++ compiler compiles the kernels.
//
// The threads of a block are fibers that switch only at barriers and shuffles. emu_schedule chooses the order in which
// they run; where a barrier is missing, the result depends on that order, so running several schedules finds races.
// Blocks run one after another. Shared memory is filled with NaN before every block. A barrier that not all threads
// reach, or that they reach at different places, ends the launch with Status::divergent; a GPU would hang or compute
// something else.
#pragma once
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#define __device__
#define __forceinline__ inline
#define __restrict__ __restrict

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct uint2 {
    unsigned x, y;
};
struct float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

namespace emu {

enum Status { fine = 0, divergent = 1, bad_launch = 2, misaligned = 3, out_of_range = 4 };
enum class State { ready, at_block_barrier, at_warp_barrier, done };

constexpr unsigned MAX_THREADS = 1024, WARP = 32, STACK_BYTES = 64 << 10, SHARED_BYTES = 48 << 10;

struct Fiber {
    ucontext_t start;
    jmp_buf resume;
    std::unique_ptr<char[]> stack;
    bool begun = false;
    State state = State::done;
    int site = 0;
    dim3 thread;
};

struct Machine {
    std::vector<Fiber> fibers{MAX_THREADS};
    jmp_buf scheduler;
    Fiber* current = nullptr;
    bool in_kernel = false;
    std::function<void()> kernel;
    dim3 grid, block, block_index;
    Status status = fine;
    unsigned seed = 0;
    std::mt19937 random;
    uint64_t exchange[MAX_THREADS];
    alignas(16) unsigned char shared[SHARED_BYTES];
    std::mutex one_launch_at_a_time;
};

inline Machine machine;

// A switch by ucontext is a system call; after a fiber's first start the two jumps below take nanoseconds.
[[gnu::noinline]] inline void leave_fiber() {
    if (!_setjmp(machine.current->resume)) _longjmp(machine.scheduler, 1);
}

inline void fiber_main() {
    for (;;) {
        machine.kernel();
        machine.current->state = State::done;
        leave_fiber();
    }
}

[[gnu::noinline]] inline void enter_fiber(Fiber& fiber) {
    machine.current = &fiber;
    if (_setjmp(machine.scheduler)) return;
    if (fiber.begun) _longjmp(fiber.resume, 1);
    fiber.begun = true;
    if (!fiber.stack) fiber.stack.reset(new char[STACK_BYTES]);
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = STACK_BYTES;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, fiber_main, 0);
    setcontext(&fiber.start);
}

// Ends the launch from inside a kernel.
inline void fail(Status status) {
    machine.status = status;
    leave_fiber();
}

// Handles an access to protected memory, which callers can put behind their arrays.
inline void on_fault(int signal_number) {
    if (machine.in_kernel) fail(out_of_range);
    signal(signal_number, SIG_DFL);  // not in a kernel: the access is repeated and ends the process as usual
}

class CatchFaults {
   public:
    CatchFaults() {
        struct sigaction action = {};
        action.sa_handler = on_fault;
        action.sa_flags = SA_NODEFER;  // a jump leaves the handler
        sigaction(SIGSEGV, &action, &segv_);
        sigaction(SIGBUS, &action, &bus_);
    }
    ~CatchFaults() {
        sigaction(SIGSEGV, &segv_, nullptr);
        sigaction(SIGBUS, &bus_, nullptr);
    }
    CatchFaults(const CatchFaults&) = delete;
    CatchFaults& operator=(const CatchFaults&) = delete;

   private:
    struct sigaction segv_, bus_;
};

inline void wait(State barrier, int site) {
    machine.current->state = barrier;
    machine.current->site = site;
    leave_fiber();
}

inline unsigned linear_thread() { return unsigned(machine.current - machine.fibers.data()); }

template <class T>
T exchange(T value, unsigned from_lane, int site) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "shuffles move at most eight bytes");
    const unsigned me = linear_thread(), warp = me / WARP * WARP;
    memcpy(&machine.exchange[me], &value, sizeof value);
    wait(State::at_warp_barrier, site);
    T other;
    memcpy(&other, &machine.exchange[warp + from_lane % WARP], sizeof other);
    wait(State::at_warp_barrier, site);
    return other;
}

inline unsigned ballot(bool vote, int site) {
    const unsigned me = linear_thread(), warp = me / WARP * WARP;
    machine.exchange[me] = vote;
    wait(State::at_warp_barrier, site);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < WARP; lane++) votes |= unsigned(machine.exchange[warp + lane] != 0) << lane;
    wait(State::at_warp_barrier, site);
    return votes;
}

// Makes the fibers first…last ready if all of them wait at this barrier, at the same place. Returns
// whether it did.
inline bool release(unsigned first, unsigned last, State barrier) {
    for (unsigned i = first; i < last; i++) {
        const Fiber& fiber = machine.fibers[i];
        if (fiber.state != barrier || fiber.site != machine.fibers[first].site) return false;
    }
    for (unsigned i = first; i < last; i++) machine.fibers[i].state = State::ready;
    return true;
}

inline std::vector<unsigned> ordered(unsigned count) {
    std::vector<unsigned> order(count);
    std::iota(order.begin(), order.end(), 0u);
    if (machine.seed == 1) std::reverse(order.begin(), order.end());
    if (machine.seed > 1) std::shuffle(order.begin(), order.end(), machine.random);
    return order;
}

inline void start_block(unsigned threads) {
    const dim3 size = machine.block;
    memset(machine.shared, 0xFF, sizeof machine.shared);
    for (unsigned i = 0; i < threads; i++) {
        machine.fibers[i].state = State::ready;
        machine.fibers[i].thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    }
}

struct Turn {
    unsigned first, last;
};

inline bool any_ready(Turn turn) {
    for (unsigned i = turn.first; i < turn.last; i++)
        if (machine.fibers[i].state == State::ready) return true;
    return false;
}

// The threads that run next: all of them, or under odd schedules one warp for as long as any of its threads is ready,
// so that warps get as far apart as barriers allow.
inline Turn next_turn(unsigned threads, Turn before) {
    const bool one_warp = machine.seed > 1 && machine.seed % 2 == 1;
    if (one_warp && any_ready(before)) return before;
    if (one_warp)
        for (unsigned warp : ordered(threads / WARP)) {
            const Turn turn{warp * WARP, (warp + 1) * WARP};
            if (any_ready(turn)) return turn;
        }
    return {0, threads};
}

// Runs every ready fiber of a turn up to its next barrier, then releases the warps that all wait. Returns whether
// anything ran.
inline bool run_turn(Turn turn) {
    bool moved = false;
    for (unsigned i : ordered(turn.last - turn.first)) {
        Fiber& fiber = machine.fibers[turn.first + i];
        if (fiber.state != State::ready) continue;
        machine.in_kernel = true;
        enter_fiber(fiber);
        machine.in_kernel = false;
        moved = true;
        if (machine.status != fine) return true;
    }
    for (unsigned warp = turn.first; warp < turn.last; warp += WARP)
        moved |= release(warp, warp + WARP, State::at_warp_barrier);
    return moved;
}

inline Status run_block(unsigned threads) {
    start_block(threads);
    for (Turn turn{0, 0};;) {
        turn = next_turn(threads, turn);
        bool moved = run_turn(turn);
        if (machine.status != fine) return machine.status;
        const auto is_done = [](const Fiber& fiber) { return fiber.state == State::done; };
        if (std::all_of(machine.fibers.begin(), machine.fibers.begin() + threads, is_done)) return fine;
        moved |= release(0, threads, State::at_block_barrier);
        if (!moved) return divergent;
    }
}

inline Status run_grid(dim3 grid, dim3 block, unsigned max_threads, unsigned shared_bytes) {
    const uint64_t threads = uint64_t(block.x) * block.y * block.z;
    const bool valid = threads >= 1 && threads <= max_threads && threads % WARP == 0 && block.z <= 64 &&
                       shared_bytes == 0 && grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && grid.x <= 0x7FFFFFFF &&
                       grid.y <= 65535 && grid.z <= 65535;
    if (!valid) return bad_launch;
    machine.grid = grid;
    machine.block = block;
    machine.status = fine;
    machine.random.seed(machine.seed);
    for (unsigned i : ordered(grid.x * grid.y * grid.z)) {
        machine.block_index = {i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y};
        const Status status = run_block(unsigned(threads));
        if (status == fine) continue;
        for (Fiber& fiber : machine.fibers) fiber.begun = false;  // never resumed
        return status;
    }
    return fine;
}

inline Status launch(std::function<void()> kernel, dim3 grid, dim3 block, unsigned max_threads, unsigned shared) {
    const std::lock_guard<std::mutex> lock(machine.one_launch_at_a_time);
    const CatchFaults catching;
    machine.kernel = std::move(kernel);
    return run_grid(grid, block, max_threads, shared);
}

template <class... Args, size_t... Index>
std::function<void()> bound(void (*kernel)(Args...), void** arguments, std::index_sequence<Index...>) {
    return [=] { kernel(*static_cast<Args*>(arguments[Index])...); };
}

template <class... Args>
std::function<void()> bound(void (*kernel)(Args...), void** arguments) {
    return bound(kernel, arguments, std::index_sequence_for<Args...>{});
}

// Addresses of the arguments in a buffer laid out for cuLaunchKernel's CU_LAUNCH_PARAM_BUFFER_POINTER.
template <class... Args>
std::vector<void*> unpacked(void (*)(Args...), char* buffer) {
    std::vector<void*> arguments;
    size_t offset = 0;
    const auto take = [&](size_t size, size_t alignment) {
        offset = (offset + alignment - 1) / alignment * alignment;
        arguments.push_back(buffer + offset);
        offset += size;
    };
    (take(sizeof(Args), alignof(Args)), ...);
    return arguments;
}

template <class T>
constexpr char letter = 'P';
template <>
inline constexpr char letter<int> = 'i';
template <>
inline constexpr char letter<float> = 'f';

template <class... Args>
const char* signature(void (*)(Args...)) {
    static const char letters[] = {letter<Args>..., '\0'};
    return letters;
}

}  // namespace emu

#define threadIdx (emu::machine.current->thread)
#define blockIdx (emu::machine.block_index)
#define blockDim (emu::machine.block)
#define gridDim (emu::machine.grid)
#define __syncthreads() emu::wait(emu::State::at_block_barrier, __LINE__)
#define __shfl_xor_sync(mask, value, lanes) emu::exchange(value, (emu::linear_thread() % 32) ^ (lanes), __LINE__)
#define __ballot_sync(mask, vote) emu::ballot(vote, __LINE__)

#define EXPORT extern "C" __attribute__((visibility("default")))
#define KERNEL(max_threads, name, ...)                                                                         \
    static void name(__VA_ARGS__);                                                                             \
    EXPORT int name##_cpu(unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,        \
                          unsigned shared, void** arguments) {                                                 \
        return emu::launch(emu::bound(name, arguments), {gx, gy, gz}, {bx, by, bz}, max_threads, shared);      \
    }                                                                                                          \
    EXPORT int name##_cpu_packed(unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, \
                                 unsigned shared, char* buffer) {                                              \
        return name##_cpu(gx, gy, gz, bx, by, bz, shared, emu::unpacked(name, buffer).data());                 \
    }                                                                                                          \
    EXPORT const char* name##_signature() { return emu::signature(name); }                                     \
    static void name(__VA_ARGS__)
#define SHARED(type, name)                                                                   \
    static_assert(sizeof(type) <= emu::SHARED_BYTES, "a block has 48 KiB of shared memory"); \
    type& name = *reinterpret_cast<type*>(emu::machine.shared)

EXPORT __attribute__((used)) inline void emu_schedule(unsigned seed) { emu::machine.seed = seed; }

// fp16 as on a GPU; conversions round to nearest even.
struct __half {
    uint16_t bits;
};

inline float __half2float(__half half) {
    const uint32_t sign = uint32_t(half.bits & 0x8000) << 16, magnitude = half.bits & 0x7FFF;
    if (magnitude < 0x0400) return (sign ? -1.0f : 1.0f) * float(magnitude) * 0x1p-24f;
    const uint32_t exponent = magnitude >= 0x7C00 ? 0x70000000u : 0x38000000u;
    const uint32_t bits = sign | ((magnitude << 13) + exponent);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline __half __float2half_rn(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    bits &= 0x7FFFFFFF;
    if (bits > 0x7F800000) return {uint16_t(sign | 0x7E00)};
    if (bits >= 0x477FF000) return {uint16_t(sign | 0x7C00)};
    if (bits < 0x38800000) return {uint16_t(sign | uint16_t(std::nearbyint(std::fabs(value) * 0x1p24f)))};
    return {uint16_t(sign | ((bits - 0x38000000 + 0x0FFF + (bits >> 13 & 1)) >> 13))};
}

// Operations that a GPU never fuses with others. Going through a volatile keeps this compiler from it.
namespace emu {
template <class T>
T alone(T value) {
    volatile T kept = value;
    return kept;
}
}  // namespace emu
inline double __dmul_rn(double a, double b) { return emu::alone(a * b); }
inline double __dadd_rn(double a, double b) { return emu::alone(a) + emu::alone(b); }
inline float __fmul_rn(float a, float b) { return emu::alone(a * b); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsub_rn(float a, float b) { return emu::alone(a) - emu::alone(b); }
inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline int __float2int_rn(float value) { return int(nearbyintf(value)); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __clz(unsigned bits) { return bits ? __builtin_clz(bits) : 32; }
using std::max;
using std::min;
