// What all kernels share: how one is declared, wide accesses, sums over warps and blocks, bilinear neighbours.
#pragma once
#ifdef __CUDACC__
#include <cuda_fp16.h>
#define KERNEL(most_threads, name, ...) extern "C" __global__ void __launch_bounds__(most_threads) name(__VA_ARGS__)
#define SHARED(type, name) __shared__ type name
#else
#include "emulation.h"
#endif

#define DEVICE __device__ __forceinline__

constexpr unsigned EVERY_LANE = 0xFFFFFFFFu;
constexpr int WARP_LANES = 32;
constexpr float LOG2_E = 1.44269504f;  // exp(x) is exp2(x · log2 e)

DEVICE int thread_in_block() { return threadIdx.x + blockDim.x * threadIdx.y; }

// ---- numbers as they lie in memory -----------------------------------------------------------------------------

DEVICE float to_float(float value) { return value; }
DEVICE float to_float(__half value) { return __half2float(value); }
DEVICE void put(float* to, float value) { *to = value; }
DEVICE void put(__half* to, float value) { *to = __float2half_rn(value); }

DEVICE bool aligned(const void* address, unsigned bytes) {
    return reinterpret_cast<unsigned long long>(address) % bytes == 0;
}

// One wide access. A GPU faults on a misaligned one; the CPU build reports it.
template <class Wide>
DEVICE Wide wide_load(const void* from) {
#ifndef __CUDACC__
    if (!aligned(from, sizeof(Wide))) emu::fail(emu::misaligned);
#endif
    return *reinterpret_cast<const Wide*>(from);
}

template <class Wide>
DEVICE void wide_store(void* to, Wide value) {
#ifndef __CUDACC__
    if (!aligned(to, sizeof(Wide))) emu::fail(emu::misaligned);
#endif
    *reinterpret_cast<Wide*>(to) = value;
}

DEVICE void put4(float* to, const float* four) { wide_store(to, float4{four[0], four[1], four[2], four[3]}); }

DEVICE unsigned half_bits(float value) {
    const __half half = __float2half_rn(value);
    return *reinterpret_cast<const unsigned short*>(&half);
}

DEVICE void put4(__half* to, const float* four) {
    const unsigned low = half_bits(four[0]) | half_bits(four[1]) << 16;
    const unsigned high = half_bits(four[2]) | half_bits(four[3]) << 16;
    wide_store(to, uint2{low, high});
}

// Four neighbours in a row of which `room` still lie in the plane: one store where possible, else one by one.
template <class T>
DEVICE void put_up_to_4(T* to, const float* four, int room) {
    if (room >= 4 && aligned(to, 4 * sizeof(T))) {
        put4(to, four);
        return;
    }
    for (int i = 0; i < 4 && i < room; i++) put(to + i, four[i]);
}

DEVICE void take_up_to_4(const float* from, float* four, int room) {
    if (room >= 4 && aligned(from, sizeof(float4))) {
        const float4 value = wide_load<float4>(from);
        four[0] = value.x, four[1] = value.y, four[2] = value.z, four[3] = value.w;
        return;
    }
    for (int i = 0; i < 4; i++) four[i] = i < room ? from[i] : 0.0f;
}

// ---- sums and maxima -------------------------------------------------------------------------------------------

DEVICE float warp_sum(float value) {
    for (int lanes = WARP_LANES / 2; lanes; lanes /= 2) value += __shfl_xor_sync(EVERY_LANE, value, lanes);
    return value;
}

DEVICE float warp_max(float value) {
    for (int lanes = WARP_LANES / 2; lanes; lanes /= 2) value = fmaxf(value, __shfl_xor_sync(EVERY_LANE, value, lanes));
    return value;
}

DEVICE unsigned long long warp_max(unsigned long long value) {
    for (int lanes = WARP_LANES / 2; lanes; lanes /= 2) {
        const unsigned long long other = __shfl_xor_sync(EVERY_LANE, value, lanes);
        value = other > value ? other : value;
    }
    return value;
}

// Over all threads of a block of WARPS warps; every thread gets the result. `room` [WARPS] is shared memory that
// nobody else uses until the next barrier.
template <int WARPS>
DEVICE float block_sum(float value, float* room) {
    value = warp_sum(value);
    if (thread_in_block() % WARP_LANES == 0) room[thread_in_block() / WARP_LANES] = value;
    __syncthreads();
    float total = 0.0f;
    for (int warp = 0; warp < WARPS; warp++) total += room[warp];
    __syncthreads();
    return total;
}

template <int WARPS>
DEVICE float block_max(float value, float* room) {
    value = warp_max(value);
    if (thread_in_block() % WARP_LANES == 0) room[thread_in_block() / WARP_LANES] = value;
    __syncthreads();
    float most = room[0];
    for (int warp = 1; warp < WARPS; warp++) most = fmaxf(most, room[warp]);
    __syncthreads();
    return most;
}

// ---- bilinear --------------------------------------------------------------------------------------------------

// Neighbouring cells and the share of the second, for a position in cells; beyond the ends the border repeats.
struct Between {
    int first, second;
    float share;
};

DEVICE Between between(float position, int length) {
    position = fminf(fmaxf(position, 0.0f), float(length - 1));
    const int first = int(position);
    return {first, min(first + 1, length - 1), position - float(first)};
}

// A place in 0…1 of the photograph; cell centres lie at (i + ½) / length. The share comes from one fused operation:
// as the rest of a rounded position it would be off by its ulp, which a sharp softmax of mixed logits shows.
DEVICE Between between_place(float place, int length) {
    Between found = between(fmaf(place, float(length), -0.5f), length);
    const float share = fmaf(place, float(length), -0.5f - float(found.first));
    found.share = fminf(fmaxf(share, 0.0f), 1.0f);
    return found;
}

// The centre of pixel `index` of `count`, in a plane of `length` cells over the same photograph.
DEVICE Between between_pixels(int index, int count, int length) {
    return between((float(index) + 0.5f) * (float(length) / float(count)) - 0.5f, length);
}

DEVICE float mix(float first, float second, float share) { return first * (1.0f - share) + second * share; }

template <class T>
DEVICE float bilinear(const T* plane, int width, const Between& row, const Between& column) {
    const T *upper = plane + row.first * width, *lower = plane + row.second * width;
    const float above = mix(to_float(upper[column.first]), to_float(upper[column.second]), column.share);
    const float below = mix(to_float(lower[column.first]), to_float(lower[column.second]), column.share);
    return mix(above, below, row.share);
}
