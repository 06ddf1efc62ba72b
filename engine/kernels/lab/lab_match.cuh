// Matching the colours under hints: reference and plain version of ../match_hints.cu.
#pragma once
#include "../match_hints.cu"
#include "lab.cuh"

namespace lab {

// A hint's window, and its three measurements along both axes, their weights in it and these blurred by one Gaussian.
struct MatchWindow {
    int starts[2];
    double weights[2][MEASUREMENTS][WINDOW_PX], solver[MEASUREMENTS][MEASUREMENTS];
};

inline double kernel_at(int axis_distance, int gaussian) {
    const double px = gaussian ? NARROW_PX : WIDE_PX;
    return std::exp(-axis_distance * axis_distance / (2 * px * px));
}

inline double blurred(const MatchWindow& window, int axis, int measurement, int gaussian, int at) {
    double sum = 0;
    for (int i = 0; i < WINDOW_PX; i++) sum += window.weights[axis][measurement][i] * kernel_at(at - i, gaussian);
    return sum;
}

inline MatchWindow match_window(const Hint& hint, int height, int width) {
    MatchWindow window;
    for (int axis = 0; axis < 2; axis++) {
        const int length = axis ? width : height;
        const double coordinate = axis ? hint.x : hint.y, centre = float(coordinate) * float(length);
        const double point = std::min(std::max(centre - 0.5, 0.0), length - 1.0);
        const int first = std::min(std::max(int(std::floor(coordinate * length - hint.size / 2 + 0.5)), 0), length - 1);
        const int unclipped = int(std::floor(coordinate * length - hint.size / 2 + 0.5)) + int(hint.size);
        const int stop = std::max(std::min(unclipped, length), first + 1);
        const int start = std::min(std::max(int(std::nearbyint(centre - WINDOW_PX / 2.0)), 0), length - WINDOW_PX);
        window.starts[axis] = start;
        for (int i = 0; i < WINDOW_PX; i++) {
            const int pixel = start + i;
            window.weights[axis][0][i] = std::max(1 - std::fabs(pixel - point), 0.0);
            window.weights[axis][1][i] = pixel == std::min(int(centre), length - 1);
            window.weights[axis][2][i] = pixel >= first && pixel < stop ? 1.0 / (stop - first) : 0.0;
        }
    }
    double kernel[MEASUREMENTS][MEASUREMENTS];
    for (int i = 0; i < MEASUREMENTS; i++)
        for (int j = 0; j < MEASUREMENTS; j++) {
            kernel[i][j] = i == j ? 1e-3 : 0.0;
            for (int gaussian = 0; gaussian < 2; gaussian++) {
                double product = gaussian ? 0.3 : 1.0;
                for (int axis = 0; axis < 2; axis++) {
                    double sum = 0;
                    for (int at = 0; at < WINDOW_PX; at++)
                        sum += window.weights[axis][i][at] * blurred(window, axis, j, gaussian, at);
                    product *= sum;
                }
                kernel[i][j] += product;
            }
        }
    for (int i = 0; i < MEASUREMENTS; i++)
        for (int j = 0; j < MEASUREMENTS; j++) {
            const auto minor = [&](int row, int column) {
                const int r = (row + 1) % 3, s = (row + 2) % 3, c = (column + 1) % 3, d = (column + 2) % 3;
                return kernel[r][c] * kernel[s][d] - kernel[r][d] * kernel[s][c];
            };
            window.solver[i][j] = minor(j, i) / (kernel[0][0] * minor(0, 0) + kernel[0][1] * minor(0, 1) +
                                                 kernel[0][2] * minor(0, 2));
        }
    return window;
}

// What is to be added to the measurements of a hint, of one channel each; whether any of it is large.
inline bool match_residuals(const std::vector<double>& ab, const MatchWindow& window, const Hint& hint, double priority,
                            int height, int width, double (&residuals)[2][MEASUREMENTS]) {
    bool large = false;
    for (int m = 0; m < MEASUREMENTS; m++) {
        for (int channel = 0; channel < 2; channel++) {
            residuals[channel][m] = channel ? hint.b : hint.a;
            for (int y = 0; y < WINDOW_PX; y++)
                for (int x = 0; x < WINDOW_PX; x++)
                    residuals[channel][m] -=
                        window.weights[0][m][y] * window.weights[1][m][x] *
                        ab[(size_t(channel) * height + window.starts[0] + y) * width + window.starts[1] + x];
        }
        const double size = std::hypot(residuals[0][m], residuals[1][m]);
        const double share = (1 - double(TOLERANCE_AB) / std::max(size, double(TOLERANCE_AB))) * priority;
        for (int channel = 0; channel < 2; channel++) residuals[channel][m] *= share;
        large = large || size * share >= double(MIN_RESIDUAL_AB);
    }
    return large;
}

// Adds the fields that remove `residuals` to ab.
inline void add_fields(std::vector<double>& ab, const MatchWindow& window, int height, int width,
                       const double (&residuals)[2][MEASUREMENTS]) {
    for (int field = 0; field < MEASUREMENTS; field++)
        for (int gaussian = 0; gaussian < 2; gaussian++) {
            double down[WINDOW_PX], across[WINDOW_PX], heights[2] = {0, 0};
            for (int at = 0; at < WINDOW_PX; at++) {
                down[at] = blurred(window, 0, field, gaussian, at) * (gaussian ? 0.3 : 1.0);
                across[at] = blurred(window, 1, field, gaussian, at);
            }
            for (int channel = 0; channel < 2; channel++)
                for (int m = 0; m < MEASUREMENTS; m++)
                    heights[channel] += window.solver[field][m] * residuals[channel][m];
            for (int channel = 0; channel < 2; channel++)
                for (int y = 0; y < WINDOW_PX; y++)
                    for (int x = 0; x < WINDOW_PX; x++)
                        ab[(size_t(channel) * height + window.starts[0] + y) * width + window.starts[1] + x] +=
                            heights[channel] * down[y] * across[x];
        }
}

inline std::vector<double> match_reference(std::vector<double> ab, const std::vector<Hint>& hints, int height,
                                           int width) {
    std::vector<MatchWindow> windows;
    std::vector<double> priorities;
    for (size_t n = 0; n < hints.size(); n++) {
        windows.push_back(match_window(hints[n], height, width));
        double nearest = INFINITY;
        for (size_t later = n + 1; later < hints.size(); later++)
            nearest = std::min(nearest, std::hypot(double(float(hints[n].y) - float(hints[later].y)) * height,
                                                   double(float(hints[n].x) - float(hints[later].x)) * width));
        priorities.push_back(std::min(std::max((nearest - NEAR_PX) / (APART_PX - NEAR_PX), 0.0), 1.0));
    }
    for (int round = 0; round < MAX_ROUNDS; round++) {
        const std::vector<double> before = ab;
        for (size_t n = 0; n < hints.size(); n++) {
            double residuals[2][MEASUREMENTS];
            if (match_residuals(before, windows[n], hints[n], priorities[n], height, width, residuals))
                add_fields(ab, windows[n], height, width, residuals);
        }
    }
    return ab;
}

}  // namespace lab

KERNEL(1024, match_add_plain, const int* count, const MatchWork* work, float* ab, int height, int width) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    float2 change = {0.0f, 0.0f};
    for (int n = 0; n < hints_in(count); n++) {
        const int row = y - work->starts[0][n], column = x - work->starts[1][n];
        if (!in_window(row) || !in_window(column)) continue;
        const float2 field = field_at(*work, n, row, column);
        change.x += field.x;
        change.y += field.y;
    }
    ab[size_t(y) * width + x] += change.x;
    ab[size_t(height + y) * width + x] += change.y;
}

namespace lab {

// Hints on a spiral, 8 pixels apart: their windows overlap and rounds are needed. Timed launches start from ab that is
// matched already, so they need fewer.
inline void match_of_size(Lab& bench, int height, int width, int number) {
    Array<Hint> hints(number);
    Array<int> count(1);
    Array<MatchWork> work(1);
    Array<float> ab(2 * size_t(height) * width);
    std::uniform_real_distribution<float> colour(-60, 60);
    for (int n = 0; n < number; n++) {
        const double radius = std::min(0.45, 8.0 / width * std::sqrt(n + 0.5)), angle = 2.4 * n;
        hints.host[n] = {0.5 + radius * std::cos(angle), 0.5 + radius * std::sin(angle), colour(random_bits()),
                         colour(random_bits()),          float(1 + n % 9),               0};
    }
    count.host[0] = number;
    std::vector<float> given(ab.host.size());
    for (size_t i = 0; i < given.size(); i++)
        given[i] = float(30 * std::sin(double(i % width) / 17) * std::cos(double(i / width) / 23));
    hints.upload(), count.upload();
    const std::vector<double> expected =
        match_reference(std::vector<double>(given.begin(), given.end()), hints.host, height, width);
    const Hint* from = hints.device();
    const int* present = count.device();
    MatchWork* scratch = work.device();
    float* to = ab.device();
    const auto reset = [&] { work.poison(), ab.host = given, ab.upload(); };
    const auto check = [&] {
        ab.download();
        return same("ab", ab.host, expected, {1e-5, 1e-3, "rounding, multiplied by nearly singular systems"});
    };
    const std::string size = " " + std::to_string(width) + "x" + std::to_string(height) + ", " +
                             std::to_string(number) + " hints";
    const auto measure = LAUNCH(match_measure, (dim3{MAX_HINTS, 1, 1}), (dim3{MATCH_THREADS, 1, 1}), from, present, to,
                                scratch, height, width);
    const auto couple = LAUNCH(match_couple, (dim3{MAX_HINTS, 1, 1}), (dim3{MATCH_THREADS, 1, 1}), present, scratch);
    const auto solve = LAUNCH(match_solve, (dim3{1, 1, 1}), (dim3{MATCH_THREADS, 1, 1}), from, present, scratch);
    const dim3 block{ADD_COLUMNS, ADD_ROWS, 1}, grid = tiles(width, height, ADD_COLUMNS, ADD_ROWS);
    const auto add = LAUNCH(match_add, grid, block, present, scratch, to, height, width);
    bench.run("match_measure + couple + solve + match_add" + size, 2 * ab.bytes(), reset,
              [=] { measure(), couple(), solve(), add(); }, check);
    for (unsigned rows : {4u, 8u, 16u}) {
        const dim3 plain{32, rows, 1}, tiling = tiles(width, height, 32, int(rows));
        const auto add_plain = LAUNCH(match_add_plain, tiling, plain, present, scratch, to, height, width);
        bench.run("match_measure + couple + solve + match_add_plain 32x" + std::to_string(rows) + size,
                  2 * ab.bytes(), reset, [=] { measure(), couple(), solve(), add_plain(); }, check);
    }
}

inline void match(Lab& bench) {
    match_of_size(bench, 41, 53, 7);
    match_of_size(bench, 256, 256, 16);
    match_of_size(bench, 256, 256, 128);
}

}  // namespace lab
