// Kernels with planted faults: what the CPU build must catch. Compiled by the tests alone.
#include "device.cuh"

struct SixtyFour {
    float value[64];
};

// Right: the reversed copy waits for all threads.
KERNEL(64, reverse_right, const float* in, float* out) {
    SHARED(SixtyFour, room);
    room.value[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = room.value[63 - threadIdx.x];
}

// A race: nobody waits.
KERNEL(64, reverse_race, const float* in, float* out) {
    SHARED(SixtyFour, room);
    room.value[threadIdx.x] = in[threadIdx.x];
    out[threadIdx.x] = room.value[63 - threadIdx.x];
}

// A race in the second half only: the barrier before the room is used again is missing.
KERNEL(64, reuse_race, const float* in, float* out) {
    SHARED(SixtyFour, room);
    float sum = 0.0f;
    for (int round = 0; round < 2; round++) {
        room.value[threadIdx.x] = in[threadIdx.x] + float(round);
        __syncthreads();
        sum += room.value[63 - threadIdx.x];
    }
    out[threadIdx.x] = sum;
}

// The same, hidden by a shuffle that keeps warps in step as long as they take turns.
KERNEL(64, hidden_race, const float* in, float* out) {
    SHARED(SixtyFour, room);
    float sum = 0.0f;
    for (int round = 0; round < 2; round++) {
        const float most = warp_max(in[threadIdx.x] + float(round));
        if (threadIdx.x % WARP_LANES == 0) room.value[threadIdx.x / WARP_LANES] = most;
        __syncthreads();
        sum += room.value[0] + room.value[1];
    }
    out[threadIdx.x] = sum;
}

// A race between blocks: each overwrites what the next one reads.
KERNEL(32, block_race, const float* in, float* out) {
    if (threadIdx.x == 0) out[blockIdx.x] = blockIdx.x ? out[blockIdx.x - 1] + in[blockIdx.x] : in[0];
}

// Half of the block never reaches the barrier.
KERNEL(64, barrier_after_return, const float* in, float* out) {
    SHARED(SixtyFour, room);
    room.value[threadIdx.x] = in[threadIdx.x];
    if (threadIdx.x >= 32) return;
    __syncthreads();
    out[threadIdx.x] = room.value[threadIdx.x];
}

// Every thread waits, but at two different barriers.
KERNEL(64, two_barriers, const float* in, float* out) {
    SHARED(SixtyFour, room);
    room.value[threadIdx.x] = in[threadIdx.x];
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = room.value[63 - threadIdx.x];
}

// A shuffle that half of the warp leaves out.
KERNEL(32, divergent_shuffle, const float* in, float* out) {
    float value = in[threadIdx.x];
    if (threadIdx.x < 16) value += __shfl_xor_sync(EVERY_LANE, value, 1);
    out[threadIdx.x] = value;
}

// Reads shared memory that nobody wrote.
KERNEL(32, unwritten, const float* in, float* out) {
    SHARED(SixtyFour, room);
    if (threadIdx.x < 16) room.value[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = room.value[threadIdx.x];
}

// Writes one element before the array.
KERNEL(32, one_before, const float* in, float* out) { out[int(threadIdx.x) - 1] = in[threadIdx.x]; }

// Reads one element behind the array, and makes nothing of it.
KERNEL(32, one_behind, const float* in, float* out) {
    const volatile float* from = in;
    const float value = from[threadIdx.x + 1];
    if (threadIdx.x < 31) out[threadIdx.x] = value;
}

// Sixteen bytes at a time from any address.
KERNEL(32, wide, const float* in, float* out) {
    if (threadIdx.x < 8) wide_store(out + 4 * threadIdx.x, wide_load<float4>(in + 4 * threadIdx.x));
}
