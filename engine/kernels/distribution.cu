// The distribution of colours at points: probabilities and their K largest.
//
// distribution_points: logits [bins, h, w] are mixed bilinearly at a point, then softmax(scale · logits).
//   plain  one thread a point, everything again for each of the K largest
//   fast   one block a point; bins stay in registers; value and index travel as one 64-bit number, so that a maximum
//          is also the lowest index among equals
// probabilities_points: the same from probabilities: p^scale renormalised.
#include "device.cuh"

constexpr int POINT_THREADS = 128, POINT_WARPS = POINT_THREADS / WARP_LANES;
constexpr int MAX_BINS = 529, BINS_A_THREAD = (MAX_BINS + POINT_THREADS - 1) / POINT_THREADS;
constexpr float LOWEST = -1e30f;

struct PointRoom {
    float partial[POINT_WARPS];
    unsigned long long best[POINT_WARPS];
};

// One thread's share of the bins: bin = i · POINT_THREADS + thread.
struct BinsOfThread {
    float value[BINS_A_THREAD];
};

DEVICE int bin_of(int i) { return i * POINT_THREADS + int(threadIdx.x); }

// Values → softmax(scale · value) over the block's bins.
DEVICE void softmax_of_block(BinsOfThread& mine, float scale, int bins, PointRoom& room) {
    float most = LOWEST, sum = 0.0f;
    for (int i = 0; i < BINS_A_THREAD; i++)
        if (bin_of(i) < bins) most = fmaxf(most, mine.value[i]);
    most = block_max<POINT_WARPS>(most, room.partial);
    for (int i = 0; i < BINS_A_THREAD; i++) {
        mine.value[i] = bin_of(i) < bins ? expf(scale * (mine.value[i] - most)) : 0.0f;
        sum += mine.value[i];
    }
    sum = block_sum<POINT_WARPS>(sum, room.partial);
    for (float& value : mine.value) value /= sum;
}

// Probabilities are not negative, so their bits are ordered as they are; the complement lets low indices win.
DEVICE unsigned long long ranked(float probability, int bin) {
    return (unsigned long long)__float_as_uint(probability) << 32 | (0xFFFFFFFFu - unsigned(bin));
}

DEVICE void largest(const BinsOfThread& mine, int bins, int K, PointRoom& room, int* indices, float* top) {
    unsigned long long ranks[BINS_A_THREAD];
    for (int i = 0; i < BINS_A_THREAD; i++) ranks[i] = bin_of(i) < bins ? ranked(mine.value[i], bin_of(i)) : 0;
    for (int k = 0; k < K; k++) {
        unsigned long long best = 0;
        for (const unsigned long long rank : ranks) best = rank > best ? rank : best;
        best = warp_max(best);
        if (threadIdx.x % WARP_LANES == 0) room.best[threadIdx.x / WARP_LANES] = best;
        __syncthreads();
        for (const unsigned long long rank : room.best) best = rank > best ? rank : best;
        __syncthreads();
        for (unsigned long long& rank : ranks) rank = rank == best ? 0 : rank;
        if (threadIdx.x != 0) continue;
        if (indices) indices[k] = int(0xFFFFFFFFu - unsigned(best));
        if (top) top[k] = __uint_as_float(unsigned(best >> 32));
    }
}

DEVICE void answer(BinsOfThread& mine, float scale, int bins, int K, float* probabilities, int* indices, float* top) {
    SHARED(PointRoom, room);
    const size_t point = blockIdx.x;
    softmax_of_block(mine, scale, bins, room);
    if (probabilities)
        for (int i = 0; i < BINS_A_THREAD; i++)
            if (bin_of(i) < bins) probabilities[point * bins + bin_of(i)] = mine.value[i];
    if (indices || top)
        largest(mine, bins, K, room, indices ? indices + point * K : nullptr, top ? top + point * K : nullptr);
}

template <class T>
DEVICE void distribution_points(const T* logits, const float* points, float scale, int bins, int h, int w, int K,
                                float* probabilities, int* indices, float* top) {
    const Between column = between_place(points[2 * blockIdx.x], w), row = between_place(points[2 * blockIdx.x + 1], h);
    BinsOfThread mine;
    for (int i = 0; i < BINS_A_THREAD; i++)
        mine.value[i] = bin_of(i) < bins ? bilinear(logits + size_t(bin_of(i)) * h * w, w, row, column) : LOWEST;
    answer(mine, scale, bins, K, probabilities, indices, top);
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
    BinsOfThread mine;
    for (int i = 0; i < BINS_A_THREAD; i++) {
        const float p = bin_of(i) < bins ? given[size_t(blockIdx.x) * bins + bin_of(i)] : 0.0f;
        mine.value[i] = p > 0.0f ? logf(p) : LOWEST;
    }
    answer(mine, scale, bins, K, probabilities, indices, top);
}
