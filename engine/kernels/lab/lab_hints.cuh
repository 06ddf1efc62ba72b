// The planes of hints: reference and plain version of ../hints.cu.
#pragma once
#include "../hints.cu"
#include "lab.cuh"

namespace lab {

inline std::vector<double> hint_planes_reference(const std::vector<Hint>& hints, int height, int width) {
    std::vector<double> planes(3 * size_t(height) * width, 0.0);
    const size_t plane = size_t(height) * width;
    for (const Hint& hint : hints) {
        const int top = int(std::floor(hint.y * height - hint.size / 2.0 + 0.5));
        const int left = int(std::floor(hint.x * width - hint.size / 2.0 + 0.5));
        for (int y = std::max(top, 0); y < std::min(top + int(hint.size), height); y++)
            for (int x = std::max(left, 0); x < std::min(left + int(hint.size), width); x++) {
                planes[size_t(y) * width + x] = hint.a / AB_SCALE;
                planes[plane + size_t(y) * width + x] = hint.b / AB_SCALE;
                planes[2 * plane + size_t(y) * width + x] = 1;
            }
    }
    return planes;
}

}  // namespace lab

KERNEL(1024, hint_planes_plain, const Hint* hints, const int* count, float* planes, int height, int width,
       float ab_scale) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    float a = 0.0f, b = 0.0f, mask = 0.0f;
    for (int n = *count - 1; n >= 0 && mask == 0.0f; n--) {
        const Span rows = span_of(hints[n].y, hints[n].size, height),
                   columns = span_of(hints[n].x, hints[n].size, width);
        if (y < rows.start || y >= rows.stop || x < columns.start || x >= columns.stop) continue;
        a = hints[n].a;
        b = hints[n].b;
        mask = 1.0f;
    }
    const size_t plane = size_t(height) * width, at = size_t(y) * width + x;
    planes[at] = __fdiv_rn(a, ab_scale);
    planes[plane + at] = __fdiv_rn(b, ab_scale);
    planes[2 * plane + at] = mask;
}

namespace lab {

inline void hint_planes_of_size(Lab& bench, int height, int width, int number) {
    std::uniform_real_distribution<double> position(0.05, 0.95), colour(-110, 110);
    Array<Hint> hints(number);
    for (Hint& hint : hints.host)
        hint = {position(random_bits()),      position(random_bits()),        float(colour(random_bits())),
                float(colour(random_bits())), float(1 + random_bits()() % 9), 0};
    Array<int> count(1);
    count.host[0] = number;
    Array<float> planes(3 * size_t(height) * width);
    hints.upload();
    count.upload();
    const Hint* from = hints.device();
    const int* number_of_hints = count.device();
    float* to = planes.device();
    const std::vector<double> expected = hint_planes_reference(hints.host, height, width);
    const auto poison = [&] { planes.poison(); };
    const auto check = [&] {
        planes.download();
        return same("plane", planes.host, expected, {1e-7, 0, "rounding to float"});
    };
    const std::string size =
        " " + std::to_string(width) + "x" + std::to_string(height) + ", " + std::to_string(number) + " hints";
    for (unsigned rows : {2u, 4u, 8u, 16u, 32u}) {
        const dim3 block{32, rows, 1}, grid = tiles(width, height, 32, int(rows));
        bench.run("hint_planes_plain 32x" + std::to_string(rows) + size, planes.bytes(), poison,
                  LAUNCH(hint_planes_plain, grid, block, from, number_of_hints, to, height, width, AB_SCALE), check);
    }
    const dim3 block{32, 8, 1}, grid = tiles(width, height, TILE_COLUMNS, TILE_ROWS);
    bench.run("hint_planes_f32" + size, planes.bytes(), poison,
              LAUNCH(hint_planes_f32, grid, block, from, number_of_hints, to, height, width, AB_SCALE, 0.0f, 1.0f),
              check);
}

inline void hints(Lab& bench) {
    hint_planes_of_size(bench, 256, 256, 10);
    hint_planes_of_size(bench, 256, 256, 128);
    hint_planes_of_size(bench, 77, 101, 300);
}

}  // namespace lab
