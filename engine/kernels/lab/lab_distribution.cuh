// The distribution at points: reference and plain version of ../distribution.cu.
#pragma once
#include "../distribution.cu"
#include "lab.cuh"

namespace lab {

constexpr int BINS = 313, LARGEST = 9;

inline std::vector<double> probabilities_reference(const std::vector<float>& logits, int bins, int h, int w,
                                                   double scale, ExactNeighbours row, ExactNeighbours column) {
    std::vector<double> p;
    for (int bin = 0; bin < bins; bin++)
        p.push_back(scale * exact_bilinear(logits.data() + size_t(bin) * h * w, w, row, column));
    const double maximum = *std::max_element(p.begin(), p.end());
    double sum = 0;
    for (double& value : p) sum += value = std::exp(value - maximum);
    for (double& value : p) value /= sum;
    return p;
}

}  // namespace lab

// One thread per point.
KERNEL(1024, distribution_points_plain, const float* logits, const float* points, int number, float scale, int bins,
       int h, int w, int K, float* probabilities, int* indices) {
    const int point = blockIdx.x * blockDim.x + threadIdx.x;
    if (point >= number) return;
    const Neighbours column = neighbours_at(points[2 * point], w), row = neighbours_at(points[2 * point + 1], h);
    float* p = probabilities + size_t(point) * bins;
    float maximum = LOWEST, sum = 0.0f;
    for (int bin = 0; bin < bins; bin++) {
        p[bin] = bilinear(logits + size_t(bin) * h * w, w, row, column);
        maximum = fmaxf(maximum, p[bin]);
    }
    for (int bin = 0; bin < bins; bin++) sum += p[bin] = expf(scale * (p[bin] - maximum));
    for (int bin = 0; bin < bins; bin++) p[bin] /= sum;
    unsigned long long previous = ~0ull;
    for (int k = 0; k < K; k++) {
        unsigned long long best = 0;
        for (int bin = 0; bin < bins; bin++) {
            const unsigned long long rank = rank_of(p[bin], bin);
            if (rank < previous && rank > best) best = rank;
        }
        indices[point * K + k] = int(0xFFFFFFFFu - unsigned(best));
        previous = best;
    }
}

namespace lab {

inline void points_of_number(Lab& bench, int h, int w, int number) {
    Array<float> logits(size_t(BINS) * h * w), points(2 * number), probabilities(size_t(number) * BINS);
    Array<int> indices(size_t(number) * LARGEST);
    fill_uniform(logits.host, -12, 4);
    fill_uniform(points.host, 0, 1);
    logits.upload();
    points.upload();
    std::vector<double> expected, largest_bins;
    for (int i = 0; i < number; i++) {
        const auto p = probabilities_reference(logits.host, BINS, h, w, 1,
                                               exact_neighbours(points.host[2 * i + 1] * double(h) - 0.5, h),
                                               exact_neighbours(points.host[2 * i] * double(w) - 0.5, w));
        std::vector<int> order(BINS);
        for (int bin = 0; bin < BINS; bin++) order[bin] = bin;
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return p[a] > p[b]; });
        expected.insert(expected.end(), p.begin(), p.end());
        largest_bins.insert(largest_bins.end(), order.begin(), order.begin() + LARGEST);
    }
    const auto poison = [&] { probabilities.poison(), indices.poison(); };
    const auto check = [&] {
        probabilities.download(), indices.download();
        return same("probability", probabilities.host, expected, {2e-5, 1e-7, "exponentials in float"}) &&
               same("index", indices.host, largest_bins, {0, 0, "none"});
    };
    const float *from = logits.device(), *at = points.device();
    float* to = probabilities.device();
    int* best = indices.device();
    const size_t bytes = size_t(number) * BINS * 5 * sizeof(float);
    const std::string size = " " + std::to_string(number) + " points";
    for (unsigned threads : {32u, 64u, 128u, 256u, 512u, 1024u}) {
        const dim3 block{threads, 1, 1}, grid = tiles(number, 1, int(threads), 1);
        bench.run("distribution_points_plain " + std::to_string(threads) + size, bytes, poison,
                  LAUNCH(distribution_points_plain, grid, block, from, at, number, 1.0f, BINS, h, w, LARGEST, to, best),
                  check);
    }
    const dim3 block{POINT_THREADS, 1, 1}, grid{unsigned(number), 1, 1};
    float* no_values = nullptr;
    bench.run("distribution_points_f32" + size, bytes, poison,
              LAUNCH(distribution_points_f32, grid, block, from, at, 1.0f, BINS, h, w, LARGEST, to, best, no_values),
              check);
}

inline void distribution(Lab& bench) {
    points_of_number(bench, 13, 7, 3);
#ifdef __CUDACC__
    points_of_number(bench, 64, 64, 8);
#endif
}

}  // namespace lab
