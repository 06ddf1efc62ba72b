// A photograph's lightness: reference (../photo.cu says how; one version each, memory alone decides).
#pragma once
#include "../photo.cu"
#include "lab.cuh"

namespace lab {

inline double lightness_reference(const unsigned char* rgb) {
    const double weights[3] = {0.212671, 0.715160, 0.072169};
    double Y = 0;
    for (int channel = 0; channel < 3; channel++) {
        const double value = rgb[channel] / 255.0;
        Y += weights[channel] * (value > 0.04045 ? std::pow((value + 0.055) / 1.055, 2.4) : value / 12.92);
    }
    return std::min(std::max(Y > 0.008856 ? 116 * std::cbrt(Y) - 16 : Y * 7.787 * 116, 0.0), 100.0);
}

inline void photo_of_size(Lab& bench, int height, int width) {
    Array<unsigned char> pixels(3 * size_t(height) * width);
    Array<float> lightness(size_t(height) * width);
    std::vector<double> wanted;
    for (unsigned char& value : pixels.host) value = (unsigned char)dice()();
    pixels.upload();
    for (size_t at = 0; at < lightness.host.size(); at++) wanted.push_back(lightness_reference(&pixels.host[3 * at]));
    const unsigned char* from = pixels.device();
    float* to = lightness.device();
    const dim3 block{32, 8, 1}, grid = tiles(width, height, 128, 8);
    bench.run(
        "photo_L_rgb " + std::to_string(width) + "x" + std::to_string(height), pixels.bytes() + lightness.bytes(),
        [&] { lightness.poison(); }, LAUNCH(photo_L_rgb, grid, block, from, 3 * width, to, height, width),
        [&] { return lightness.download(), same("L", lightness.host, wanted, {0, 1e-4, "a cube root in float, times 116"}); });
}

inline void photo(Lab& bench) {
    photo_of_size(bench, 45, 131);
#ifdef __CUDACC__
    photo_of_size(bench, 3000, 4000);
#endif
}

}  // namespace lab
