// Composing: reference and plain version (../compose.cu says what the fast one changes).
#pragma once
#include "../compose.cu"
#include "lab.cuh"

namespace lab {

inline double level_reference(double linear) {
    const double light = std::min(std::max(linear, 0.0), 1.0);
    return 255 * (light > 0.0031308 ? 1.055 * std::pow(light, 1 / 2.4) - 0.055 : 12.92 * light);
}

// Levels [H, W, 3], not rounded.
inline std::vector<double> compose_reference(const std::vector<float>& light, const std::vector<float>& ab, int h,
                                             int w, int height, int width) {
    std::vector<double> levels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const Neighbours row = neighbours((y + 0.5) * h / height - 0.5, h);
            const Neighbours column = neighbours((x + 0.5) * w / width - 0.5, w);
            const double fy = (light[size_t(y) * width + x] + 16.0) / 116;
            double f[3] = {fy + mixed(ab.data(), w, row, column) / 500, fy,
                           std::max(fy - mixed(ab.data() + size_t(h) * w, w, row, column) / 200, 0.0)};
            for (double& t : f) t = t > 0.2068966 ? t * t * t : (t - 16.0 / 116) / 7.787;
            levels.push_back(level_reference(3.079980302 * f[0] - 1.537151516 * f[1] - 0.542821308 * f[2]));
            levels.push_back(level_reference(-0.921247752 * f[0] + 1.875990001 * f[1] + 0.04524734 * f[2]));
            levels.push_back(level_reference(0.052890461 * f[0] - 0.204041338 * f[1] + 1.151232012 * f[2]));
        }
    return levels;
}

}  // namespace lab

KERNEL(1024, compose_rgb_plain, const float* light, const float* ab, int h, int w, unsigned char* pixels, int height,
       int width) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Between row = between_pixels(y, height, h), column = between_pixels(x, width, w);
    const size_t at = size_t(y) * width + x;
    const unsigned pixel =
        pixel_from_lab(light[at], bilinear(ab, w, row, column), bilinear(ab + size_t(h) * w, w, row, column));
    for (int byte = 0; byte < 3; byte++) pixels[3 * at + byte] = (unsigned char)(pixel >> 8 * byte);
}

namespace lab {

inline void compose_of_size(Lab& bench, int h, int w, int height, int width) {
    Array<float> light(size_t(height) * width), ab(2 * size_t(h) * w);
    Array<unsigned char> rgb(3 * light.host.size()), rgba(4 * light.host.size());
    fill_uniform(light.host, 0, 100);
    fill_uniform(ab.host, -70, 70);
    light.upload();
    ab.upload();
    const float *L = light.device(), *colours = ab.device();
    unsigned char *to3 = rgb.device(), *to4 = rgba.device();
    const std::vector<double> wanted = compose_reference(light.host, ab.host, h, w, height, width);
    std::vector<double> wanted4;
    for (size_t i = 0; i < wanted.size(); i++) {
        wanted4.push_back(wanted[i]);
        if (i % 3 == 2) wanted4.push_back(255);
    }
    const Tolerance tolerance{0, 0.52, "half a level, for rounding"};
    const auto poison = [&] { rgb.poison(), rgba.poison(); };
    const auto check3 = [&] { return rgb.download(), same("rgb", rgb.host, wanted, tolerance); };
    const auto check4 = [&] { return rgba.download(), same("rgba", rgba.host, wanted4, tolerance); };
    const std::string size = " " + std::to_string(width) + "x" + std::to_string(height);
    const size_t read = light.bytes() + ab.bytes();
    for (unsigned rows : {2u, 4u, 8u, 16u, 32u}) {
        const dim3 block{32, rows, 1}, grid = tiles(width, height, 32, int(rows));
        bench.run("compose_rgb_plain 32x" + std::to_string(rows) + size, read + rgb.bytes(), poison,
                  LAUNCH(compose_rgb_plain, grid, block, L, colours, h, w, to3, height, width), check3);
    }
    const dim3 block{32, 8, 1}, grid = tiles(width, height, COMPOSE_COLUMNS, COMPOSE_ROWS);
    bench.run("compose_rgb" + size, read + rgb.bytes(), poison,
              LAUNCH(compose_rgb, grid, block, L, colours, h, w, to3, 3 * width, height, width), check3);
    bench.run("compose_rgba" + size, read + rgba.bytes(), poison,
              LAUNCH(compose_rgba, grid, block, L, colours, h, w, to4, 4 * width, height, width), check4);
}

inline void compose(Lab& bench) {
    compose_of_size(bench, 31, 17, 101, 203);
#ifdef __CUDACC__
    compose_of_size(bench, 256, 256, 1080, 1920);
    compose_of_size(bench, 256, 256, 2160, 3840);
#endif
}

}  // namespace lab
