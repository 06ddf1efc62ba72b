// Shared by all kernels: the macros that declare one, vector loads and stores, reductions, bilinear interpolation.
#pragma once
#ifdef __CUDACC__
#include <cuda_fp16.h>
#define KERNEL(max_threads, name, ...) extern "C" __global__ void __launch_bounds__(max_threads) name(__VA_ARGS__)
#define SHARED(type, name) __shared__ type name
#else
#include "emulation.h"
#endif

#define DEVICE __device__ __forceinline__

constexpr unsigned ALL_LANES = 0xFFFFFFFFu;
constexpr int WARP_LANES = 32;
constexpr float LOG2_E = 1.44269504f;  // exp(x) is exp2(x · log2 e)

DEVICE int thread_in_block() { return threadIdx.x + blockDim.x * threadIdx.y; }

// ---- loads and stores ------------------------------------------------------------------------------------------

DEVICE float to_float(float value) { return value; }
DEVICE float to_float(__half value) { return __half2float(value); }
DEVICE void store(float* to, float value) { *to = value; }
DEVICE void store(__half* to, float value) { *to = __float2half_rn(value); }

DEVICE bool aligned(const void* address, unsigned bytes) {
    return reinterpret_cast<unsigned long long>(address) % bytes == 0;
}

// One vector access. A misaligned one faults on a GPU; the CPU build reports it.
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

DEVICE void store4(float* to, const float* four) { wide_store(to, float4{four[0], four[1], four[2], four[3]}); }

DEVICE unsigned half_bits(float value) {
    const __half half = __float2half_rn(value);
    return *reinterpret_cast<const unsigned short*>(&half);
}

DEVICE void store4(__half* to, const float* four) {
    const unsigned low = half_bits(four[0]) | half_bits(four[1]) << 16;
    const unsigned high = half_bits(four[2]) | half_bits(four[3]) << 16;
    wide_store(to, uint2{low, high});
}

// Stores the first min(count, 4) of four values: in one access where possible, else one by one.
template <class T>
DEVICE void store_up_to_4(T* to, const float* four, int count) {
    if (count >= 4 && aligned(to, 4 * sizeof(T))) {
        store4(to, four);
        return;
    }
    for (int i = 0; i < 4 && i < count; i++) store(to + i, four[i]);
}

// Loads min(count, 4) values and fills up with zeros.
DEVICE void load_up_to_4(const float* from, float* four, int count) {
    if (count >= 4 && aligned(from, sizeof(float4))) {
        const float4 value = wide_load<float4>(from);
        four[0] = value.x, four[1] = value.y, four[2] = value.z, four[3] = value.w;
        return;
    }
    for (int i = 0; i < 4; i++) four[i] = i < count ? from[i] : 0.0f;
}

// ---- reductions ------------------------------------------------------------------------------------------------

DEVICE float warp_sum(float value) {
    for (int lanes = WARP_LANES / 2; lanes; lanes /= 2) value += __shfl_xor_sync(ALL_LANES, value, lanes);
    return value;
}

DEVICE float warp_max(float value) {
    for (int lanes = WARP_LANES / 2; lanes; lanes /= 2) value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, lanes));
    return value;
}

DEVICE unsigned long long warp_max(unsigned long long value) {
    for (int lanes = WARP_LANES / 2; lanes; lanes /= 2) {
        const unsigned long long other = __shfl_xor_sync(ALL_LANES, value, lanes);
        value = other > value ? other : value;
    }
    return value;
}

// Over all threads of a block of WARPS warps; every thread gets the result. `partial` [WARPS] is shared memory that
// nothing else uses until the next barrier.
template <int WARPS>
DEVICE float block_sum(float value, float* partial) {
    value = warp_sum(value);
    if (thread_in_block() % WARP_LANES == 0) partial[thread_in_block() / WARP_LANES] = value;
    __syncthreads();
    float total = 0.0f;
    for (int warp = 0; warp < WARPS; warp++) total += partial[warp];
    __syncthreads();
    return total;
}

template <int WARPS>
DEVICE float block_max(float value, float* partial) {
    value = warp_max(value);
    if (thread_in_block() % WARP_LANES == 0) partial[thread_in_block() / WARP_LANES] = value;
    __syncthreads();
    float maximum = partial[0];
    for (int warp = 1; warp < WARPS; warp++) maximum = fmaxf(maximum, partial[warp]);
    __syncthreads();
    return maximum;
}

// ---- bilinear interpolation ------------------------------------------------------------------------------------

// A position along one axis of a plane: its two neighbouring cells and the weight of the second, `fraction` in 0…1.
// Beyond the ends the border repeats.
struct Neighbours {
    int first, second;
    float fraction;
};

// A position in cells, whose centres lie at whole numbers.
DEVICE Neighbours neighbours(float position, int length) {
    position = fminf(fmaxf(position, 0.0f), float(length - 1));
    const int first = int(position);
    return {first, min(first + 1, length - 1), position - float(first)};
}

// A coordinate in 0…1 of the photograph; cell centres lie at (i + ½) / length. The fraction comes from one fused
// operation: as the remainder of a rounded position it would be off by that position's ulp, which a sharp softmax of
// interpolated logits makes visible.
DEVICE Neighbours neighbours_at(float coordinate, int length) {
    Neighbours found = neighbours(fmaf(coordinate, float(length), -0.5f), length);
    const float fraction = fmaf(coordinate, float(length), -0.5f - float(found.first));
    found.fraction = fminf(fmaxf(fraction, 0.0f), 1.0f);
    return found;
}

// The centre of pixel `index` of `count`, in a plane of `length` cells over the same photograph. In whole numbers: as the
// remainder of a rounded position, a small fraction would have no correct digit, and guided upsampling multiplies it by
// up to 1 / MIN_WEIGHT. (2 · count · length must fit an int: a plane of 256 cells allows 4 million pixels in a row.)
DEVICE Neighbours neighbours_of_pixel(int index, int count, int length) {
    const int step = 2 * count, position = min(max((2 * index + 1) * length - count, 0), (length - 1) * step);
    const int first = position / step;
    return {first, min(first + 1, length - 1), __fdiv_rn(float(position - first * step), float(step))};
}

DEVICE float mix(float first, float second, float fraction) { return first * (1.0f - fraction) + second * fraction; }

template <class T>
DEVICE float bilinear(const T* plane, int width, const Neighbours& row, const Neighbours& column) {
    const T *upper = plane + row.first * width, *lower = plane + row.second * width;
    const float above = mix(to_float(upper[column.first]), to_float(upper[column.second]), column.fraction);
    const float below = mix(to_float(lower[column.first]), to_float(lower[column.second]), column.fraction);
    return mix(above, below, row.fraction);
}
