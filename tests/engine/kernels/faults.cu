// Kernels with planted faults, which the CPU build must detect. Only the tests compile them.
#include "device.cuh"

struct SixtyFour {
    float value[64];
};

// Correct: a barrier between writing and reading.
KERNEL(64, reverse_right, const float* in, float* out) {
    SHARED(SixtyFour, shared);
    shared.value[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = shared.value[63 - threadIdx.x];
}

// A race: no barrier.
KERNEL(64, reverse_race, const float* in, float* out) {
    SHARED(SixtyFour, shared);
    shared.value[threadIdx.x] = in[threadIdx.x];
    out[threadIdx.x] = shared.value[63 - threadIdx.x];
}

// A race in the second round only: the barrier before shared memory is written again is missing.
KERNEL(64, reuse_race, const float* in, float* out) {
    SHARED(SixtyFour, shared);
    float sum = 0.0f;
    for (int round = 0; round < 2; round++) {
        shared.value[threadIdx.x] = in[threadIdx.x] + float(round);
        __syncthreads();
        sum += shared.value[63 - threadIdx.x];
    }
    out[threadIdx.x] = sum;
}

// The same, but a shuffle hides it as long as warps run in turns.
KERNEL(64, hidden_race, const float* in, float* out) {
    SHARED(SixtyFour, shared);
    float sum = 0.0f;
    for (int round = 0; round < 2; round++) {
        const float maximum = warp_max(in[threadIdx.x] + float(round));
        if (threadIdx.x % WARP_LANES == 0) shared.value[threadIdx.x / WARP_LANES] = maximum;
        __syncthreads();
        sum += shared.value[0] + shared.value[1];
    }
    out[threadIdx.x] = sum;
}

// A race between blocks: each one reads what another one writes.
KERNEL(32, block_race, const float* in, float* out) {
    if (threadIdx.x == 0) out[blockIdx.x] = blockIdx.x ? out[blockIdx.x - 1] + in[blockIdx.x] : in[0];
}

// Half of the block returns before the barrier.
KERNEL(64, barrier_after_return, const float* in, float* out) {
    SHARED(SixtyFour, shared);
    shared.value[threadIdx.x] = in[threadIdx.x];
    if (threadIdx.x >= 32) return;
    __syncthreads();
    out[threadIdx.x] = shared.value[threadIdx.x];
}

// The threads wait at two different barriers.
KERNEL(64, two_barriers, const float* in, float* out) {
    SHARED(SixtyFour, shared);
    shared.value[threadIdx.x] = in[threadIdx.x];
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = shared.value[63 - threadIdx.x];
}

// A shuffle that only half of the warp executes.
KERNEL(32, divergent_shuffle, const float* in, float* out) {
    float value = in[threadIdx.x];
    if (threadIdx.x < 16) value += __shfl_xor_sync(ALL_LANES, value, 1);
    out[threadIdx.x] = value;
}

// Reads shared memory that no thread wrote.
KERNEL(32, unwritten, const float* in, float* out) {
    SHARED(SixtyFour, shared);
    if (threadIdx.x < 16) shared.value[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = shared.value[threadIdx.x];
}

// Writes one element before the array.
KERNEL(32, one_before, const float* in, float* out) { out[int(threadIdx.x) - 1] = in[threadIdx.x]; }

// Reads one element behind the array and does not use it.
KERNEL(32, one_behind, const float* in, float* out) {
    const volatile float* from = in;
    const float value = from[threadIdx.x + 1];
    if (threadIdx.x < 31) out[threadIdx.x] = value;
}

// Accesses of sixteen bytes, at any address.
KERNEL(32, wide, const float* in, float* out) {
    if (threadIdx.x < 8) wide_store(out + 4 * threadIdx.x, wide_load<float4>(in + 4 * threadIdx.x));
}
