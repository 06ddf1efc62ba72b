// The distribution of colours at points: probabilities and the K most likely bins.
//
// distribution_points: logits [bins, h, w], bilinear at each point, then softmax(scale · logits).
//   plain  one thread per point; searches all bins for each of the K largest
//   fast   one block per point; the bins stay in registers; probability and index are packed into one 64-bit number, so
//          that the maximum is the lowest index among equals
// probabilities_points: the same from probabilities instead of logits: p^scale, renormalised.
#include "device.cuh"

constexpr int POINT_THREADS = 128, POINT_WARPS = POINT_THREADS / WARP_LANES;
constexpr int MAX_BINS = 529, BINS_PER_THREAD = (MAX_BINS + POINT_THREADS - 1) / POINT_THREADS;
constexpr float LOWEST = -1e30f;

struct PointShared {
    float partial[POINT_WARPS];
    unsigned long long best[POINT_WARPS];
};

// The bins of one thread: bin_of(0), bin_of(1), …
struct ThreadBins {
    float value[BINS_PER_THREAD];
};

DEVICE int bin_of(int i) { return i * POINT_THREADS + int(threadIdx.x); }

// Replaces the values by softmax(scale · value) over the block's bins.
DEVICE void softmax_of_block(ThreadBins& own, float scale, int bins, PointShared& shared) {
    float maximum = LOWEST, sum = 0.0f;
    for (int i = 0; i < BINS_PER_THREAD; i++)
        if (bin_of(i) < bins) maximum = fmaxf(maximum, own.value[i]);
    maximum = block_max<POINT_WARPS>(maximum, shared.partial);
    for (int i = 0; i < BINS_PER_THREAD; i++) {
        own.value[i] = bin_of(i) < bins ? expf(scale * (own.value[i] - maximum)) : 0.0f;
        sum += own.value[i];
    }
    sum = block_sum<POINT_WARPS>(sum, shared.partial);
    for (float& value : own.value) value /= sum;
}

// Orders by probability, then by lower bin. The bits of floats that are not negative are ordered like the floats.
DEVICE unsigned long long rank_of(float probability, int bin) {
    return (unsigned long long)__float_as_uint(probability) << 32 | (0xFFFFFFFFu - unsigned(bin));
}

DEVICE void largest(const ThreadBins& own, int bins, int K, PointShared& shared, int* indices, float* top) {
    unsigned long long ranks[BINS_PER_THREAD];
    for (int i = 0; i < BINS_PER_THREAD; i++) ranks[i] = bin_of(i) < bins ? rank_of(own.value[i], bin_of(i)) : 0;
    for (int k = 0; k < K; k++) {
        unsigned long long best = 0;
        for (const unsigned long long rank : ranks) best = rank > best ? rank : best;
        best = warp_max(best);
        if (threadIdx.x % WARP_LANES == 0) shared.best[threadIdx.x / WARP_LANES] = best;
        __syncthreads();
        for (const unsigned long long rank : shared.best) best = rank > best ? rank : best;
        __syncthreads();
        for (unsigned long long& rank : ranks) rank = rank == best ? 0 : rank;
        if (threadIdx.x != 0) continue;
        if (indices) indices[k] = int(0xFFFFFFFFu - unsigned(best));
        if (top) top[k] = __uint_as_float(unsigned(best >> 32));
    }
}

// Writes the outputs of the block's point; an address of 0 leaves that output out.
DEVICE void write_point(ThreadBins& own, float scale, int bins, int K, float* probabilities, int* indices, float* top) {
    SHARED(PointShared, shared);
    const size_t point = blockIdx.x;
    softmax_of_block(own, scale, bins, shared);
    if (probabilities)
        for (int i = 0; i < BINS_PER_THREAD; i++)
            if (bin_of(i) < bins) probabilities[point * bins + bin_of(i)] = own.value[i];
    if (indices || top)
        largest(own, bins, K, shared, indices ? indices + point * K : nullptr, top ? top + point * K : nullptr);
}

template <class T>
DEVICE void distribution_points(const T* logits, const float* points, float scale, int bins, int h, int w, int K,
                                float* probabilities, int* indices, float* top) {
    const Neighbours column = neighbours_at(points[2 * blockIdx.x], w);
    const Neighbours row = neighbours_at(points[2 * blockIdx.x + 1], h);
    ThreadBins own;
    for (int i = 0; i < BINS_PER_THREAD; i++)
        own.value[i] = bin_of(i) < bins ? bilinear(logits + size_t(bin_of(i)) * h * w, w, row, column) : LOWEST;
    write_point(own, scale, bins, K, probabilities, indices, top);
}

KERNEL(POINT_THREADS, distribution_points_f32, const float* logits, const float* points, float scale, int bins, int h,
       int w, int K, float* probabilities, int* indices, float* top) {
    distribution_points(logits, points, scale, bins, h, w, K, probabilities, indices, top);
}

KERNEL(POINT_THREADS, distribution_points_f16, const __half* logits, const float* points, float scale, int bins, int h,
       int w, int K, float* probabilities, int* indices, float* top) {
    distribution_points(logits, points, scale, bins, h, w, K, probabilities, indices, top);
}

KERNEL(POINT_THREADS, probabilities_points, const float* given, float scale, int bins, int K, float* probabilities,
       int* indices, float* top) {
    ThreadBins own;
    for (int i = 0; i < BINS_PER_THREAD; i++) {
        const float p = bin_of(i) < bins ? given[size_t(blockIdx.x) * bins + bin_of(i)] : 0.0f;
        own.value[i] = p > 0.0f ? logf(p) : LOWEST;
    }
    write_point(own, scale, bins, K, probabilities, indices, top);
}
