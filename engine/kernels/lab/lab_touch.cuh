// The touch stage: its six kernels, and plain versions of the two that work on every pixel.
#pragma once
#include "touch_reference.cuh"

// One thread per cell and head. Writes `parts` [HEADS, PARTS, cells], before the sum over the heads and `mix_heads`.
KERNEL(1024, touch_attention_plain, const int* count, const float* query, const float* gate, const TouchWork* work,
       float* parts, int cells) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x, head = blockIdx.y;
    if (at >= cells) return;
    float own_query[QUERY_CHANNELS];
    for (int c = 0; c < QUERY_CHANNELS; c++) own_query[c] = query[size_t(head * QUERY_CHANNELS + c) * cells + at];
    AttentionSums sums;
    for (int n = 0; n < hints_in(count); n++) {
        const float weight = weight_of(dot(work->keys[n][head], own_query) + own_query[KEY_CHANNELS]);
        const float surprise = work->surprises[n];
        sums.weight += weight;
        sums.focus += weight * work->focus[head][n];
        sums.surprise += weight * surprise;
        for (int i = 0; i < 4; i++)
            sums.values[i] += weight * work->values[i % 2][n] * (i < SURPRISING_A ? 1.0f - surprise : surprise);
    }
    const float focused = focused_gate(gate[size_t(head) * cells + at], sums.weight, sums.focus);
    for (int part = 0; part < PARTS; part++)
        parts[size_t(PARTS * head + part) * cells + at] = part_of(sums, focused, part);
}

// One thread per pixel, all Gaussians.
KERNEL(1024, touch_upsample_plain, const Hint* hints, const int* count, const float* up, const float* coarse,
       const TouchWork* work, float* ab, int h, int w) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= CELL_PX * w || y >= CELL_PX * h) return;
    for (int channel = 0; channel < 2; channel++) {
        float sum = upsampled_pixel({up, coarse, h, w}, channel, x, y);
        for (int n = 0; n < hints_in(count); n++)
            sum += work->amplitudes[channel][n] * gaussian(float(hints[n].x) - (x + 0.5f) / (CELL_PX * w)) *
                   gaussian(float(hints[n].y) - (y + 0.5f) / (CELL_PX * h));
        ab[(size_t(channel) * CELL_PX * h + y) * CELL_PX * w + x] = sum;
    }
}

namespace lab {

// The kernels of touch_hints.cu: so small that they take the time of a launch and of memory latency.
inline void hints_of_touch(Lab& bench, Touch& touch, const std::string& size) {
    const Hint* hints = touch.hints.device();
    const int* count = touch.count.device();
    const float *query = touch.query.device(), *key = touch.key.device(), *gate = touch.gate.device();
    const float *base = touch.base.device(), *mood = touch.mood.device(), *globals = touch.globals.device();
    const TouchWeights* weights = touch.weights.device();
    TouchWork* work = touch.work.device();
    const int h = touch.h, w = touch.w;
    const size_t sampled = size_t(touch.number) * SAMPLED_FLOATS * 16 * sizeof(float),
                 square = size_t(touch.number) * touch.number * sizeof(float);
    const auto nothing = [] {};
    bench.run(
        "touch_tokens" + size, sampled + touch.weights.bytes(), [&] { touch.work.poison(); },
        LAUNCH(touch_tokens, dim3{MAX_HINTS}, dim3{HINT_THREADS}, hints, count, query, key, gate, base, mood, globals,
               weights, work, h, w),
        [&] { return tokens_right(touch); });
    bench.run("touch_shares" + size, 2 * square, nothing,
              LAUNCH(touch_shares, dim3{MAX_HINTS + 1}, dim3{HINT_THREADS}, hints, count, globals, weights, work),
              [&] { return shares_right(touch); });
    bench.run("touch_values" + size, square, nothing,
              LAUNCH(touch_values, dim3{1}, dim3{VALUES_THREADS}, hints, count, work),
              [&] { return values_right(touch); });
}

inline void attention(Lab& bench, Touch& touch, const std::string& size) {
    const int *count = touch.count.device(), cells = int(touch.cells), h = touch.h, w = touch.w;
    const float *query = touch.query.device(), *gate = touch.gate.device(), *base = touch.base.device(),
                *mood = touch.mood.device();
    const TouchWeights* weights = touch.weights.device();
    const TouchWork* work = touch.work.device();
    float *parts = touch.parts.device(), *coarse = touch.coarse.device();
    const std::vector<double> expected_parts = attention_parts(touch), expected = attention_reference(touch);
    const size_t read = touch.query.bytes() + touch.gate.bytes();
    for (unsigned threads : {32u, 64u, 128u, 256u, 512u, 1024u}) {
        const dim3 block{threads}, grid{unsigned(cells + threads - 1) / threads, HEADS};
        bench.run(
            "touch_attention_plain " + std::to_string(threads) + size, read + touch.parts.bytes(),
            [&] { touch.parts.poison(); },
            LAUNCH(touch_attention_plain, grid, block, count, query, gate, work, parts, cells),
            [&] { return touch.parts.download(), same("part", touch.parts.host, expected_parts, SUMS); });
    }
    bench.run(
        "touch_attention" + size, read + touch.mood.bytes() + 2 * touch.coarse.bytes(), [&] { touch.coarse.poison(); },
        LAUNCH(touch_attention, tiles(cells, 1, ATTENTION_CELLS, 1), (dim3{ATTENTION_CELLS, HEADS}), count, query, gate,
               base, mood, weights, work, coarse, h, w),
        [&] { return touch.coarse.download(), same("coarse", touch.coarse.host, expected, SUMS); });
}

inline void upsample(Lab& bench, Touch& touch, const std::string& size) {
    const Hint* hints = touch.hints.device();
    const int *count = touch.count.device(), h = touch.h, w = touch.w;
    const float *up = touch.up.device(), *coarse = touch.coarse.device();
    TouchWork* work = touch.work.device();
    float* ab = touch.ab.device();
    bench.run(
        "touch_corrections" + size, touch.number * 8 * NEIGHBOURS * sizeof(float), [] {},
        LAUNCH(touch_corrections, dim3{1}, dim3{CORRECTIONS_THREADS}, hints, count, up, coarse, work, h, w),
        [&] { return amplitudes_right(touch); });
    const std::vector<double> expected = upsample_reference(touch);
    const auto check = [&] {
        return touch.ab.download(),
               same("ab", touch.ab.host, expected, {2e-5, 2e-3, "Gaussians below e^-20 are left out"});
    };
    const auto poison = [&] { touch.ab.poison(); };
    const size_t bytes = touch.up.bytes() + touch.coarse.bytes() + touch.ab.bytes();
    for (unsigned rows : {2u, 4u, 8u, 16u, 32u}) {
        const dim3 block{32, rows}, grid = tiles(CELL_PX * w, CELL_PX * h, 32, int(rows));
        bench.run("touch_upsample_plain 32x" + std::to_string(rows) + size, bytes, poison,
                  LAUNCH(touch_upsample_plain, grid, block, hints, count, up, coarse, work, ab, h, w), check);
    }
    bench.run("touch_upsample" + size, bytes, poison,
              LAUNCH(touch_upsample, tiles(w, h, UPSAMPLE_CELLS, 1), (dim3{UPSAMPLE_CELLS, CELL_PX}), hints, count, up,
                     coarse, work, ab, h, w),
              check);
}

inline void touch_of_size(Lab& bench, int h, int w, int number) {
    Touch touch(h, w, number);
    const std::string size =
        " " + std::to_string(w) + "x" + std::to_string(h) + ", " + std::to_string(number) + " hints";
    hints_of_touch(bench, touch, size);
    attention(bench, touch, size);
    upsample(bench, touch, size);
}

inline void touch(Lab& bench) {
    touch_of_size(bench, 7, 13, 40);
#ifdef __CUDACC__
    for (int number : {1, 16, 64, 128}) touch_of_size(bench, 64, 64, number);
#endif
}

}  // namespace lab
