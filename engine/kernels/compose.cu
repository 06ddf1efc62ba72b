// Composes the picture: ab of the working size, upsampled onto L of full size, as 8-bit sRGB clipped into the gamut.
//
// compose: L [H, W] and ab [2, h, w] → RGB pixels uint8 in rows of `pitch` bytes; ab bilinear.
// compose_guided: ab by joint bilateral upsampling (engine/image/guided.py), which also reads the L of the cells [h,
// w].
//   plain  one pixel per thread, byte by byte
//   fast   four neighbouring pixels per thread: L in one 16-byte load, RGB in three 4-byte stores; what depends on the
//          row alone is computed once for the four
#include "colour.cuh"

constexpr int COMPOSE_THREADS = 256, COMPOSE_COLUMNS = 128, COMPOSE_ROWS = 8;

// As in engine/image/guided.py.
constexpr float SIGMA_L = 20.0f, MIN_WEIGHT = 1e-3f;

// One channel of bilinear ab in one row of the full picture.
DEVICE float bilinear_in_row(const float* above, const float* below, float fraction, const Neighbours& column) {
    const float left = mix(above[column.first], below[column.first], fraction);
    const float right = mix(above[column.second], below[column.second], fraction);
    return mix(left, right, column.fraction);
}

// ab in one row of the full picture, by bilinear upsampling.
struct BilinearRow {
    const float *upper, *lower;
    float fraction;
    int plane;

    DEVICE BilinearRow(const float* ab, const float*, const Neighbours& row, int h, int w)
        : upper(ab + row.first * w), lower(ab + row.second * w), fraction(row.fraction), plane(h * w) {}

    DEVICE float2 at(float, const Neighbours& column) const {
        return {bilinear_in_row(upper, lower, fraction, column),
                bilinear_in_row(upper + plane, lower + plane, fraction, column)};
    }
};

// ab in one row of the full picture, by joint bilateral upsampling.
struct GuidedRow {
    const float *ab, *cell_lightness;
    Neighbours row;
    int width, plane;

    DEVICE GuidedRow(const float* ab, const float* cell_lightness, const Neighbours& row, int h, int w)
        : ab(ab), cell_lightness(cell_lightness), row(row), width(w), plane(h * w) {}

    // At a pixel with this lightness.
    DEVICE float2 at(float lightness, const Neighbours& column) const {
        const float left = 1.0f - column.fraction, above = 1.0f - row.fraction;
        float sums[3] = {0.0f, 0.0f, 0.0f};
        add(sums, lightness, row.first * width + column.first, above * left);
        add(sums, lightness, row.first * width + column.second, above * column.fraction);
        add(sums, lightness, row.second * width + column.first, row.fraction * left);
        add(sums, lightness, row.second * width + column.second, row.fraction * column.fraction);
        return {sums[1] / sums[0], sums[2] / sums[0]};
    }

    // Adds one cell with its bilinear weight.
    DEVICE void add(float* sums, float lightness, int cell, float bilinear) const {
        const float difference = lightness - cell_lightness[cell];
        const float similarity = exp2f(difference * difference * (-0.5f * LOG2_E / (SIGMA_L * SIGMA_L))) + MIN_WEIGHT;
        const float weight = bilinear * similarity;
        sums[0] += weight;
        sums[1] += weight * ab[cell];
        sums[2] += weight * ab[cell + plane];
    }
};

// Stores the first min(count, 4) of four pixels, three bytes each.
DEVICE void store_pixels(unsigned char* to, const unsigned* pixels, int count) {
    if (count >= 4 && aligned(to, 4)) {
        wide_store(to, pixels[0] | pixels[1] << 24);
        wide_store(to + 4, pixels[1] >> 8 | pixels[2] << 16);
        wide_store(to + 8, pixels[2] >> 16 | pixels[3] << 8);
        return;
    }
    for (int i = 0; i < 4 && i < count; i++)
        for (int byte = 0; byte < 3; byte++) to[3 * i + byte] = (unsigned char)(pixels[i] >> 8 * byte);
}

template <class Row>
DEVICE void compose(const float* lightness, const float* ab, const float* cell_lightness, int h, int w,
                    unsigned char* pixels, int pitch, int height, int width) {
    const int x = (blockIdx.x * 32 + threadIdx.x) * 4, y = blockIdx.y * COMPOSE_ROWS + threadIdx.y;
    if (x >= width || y >= height) return;
    const Row ab_row(ab, cell_lightness, neighbours_of_pixel(y, height, h), h, w);
    float L[4];
    load_up_to_4(lightness + size_t(y) * width + x, L, width - x);
    unsigned four[4];
    for (int i = 0; i < 4; i++) {
        const float2 colour = ab_row.at(L[i], neighbours_of_pixel(min(x + i, width - 1), width, w));
        four[i] = pixel_from_lab(L[i], colour.x, colour.y);
    }
    store_pixels(pixels + size_t(y) * pitch + size_t(x) * 3, four, width - x);
}

KERNEL(COMPOSE_THREADS, compose_rgb, const float* lightness, const float* ab, int h, int w, unsigned char* pixels,
       int pitch, int height, int width) {
    compose<BilinearRow>(lightness, ab, nullptr, h, w, pixels, pitch, height, width);
}

KERNEL(COMPOSE_THREADS, compose_guided_rgb, const float* lightness, const float* ab, const float* cell_lightness, int h,
       int w, unsigned char* pixels, int pitch, int height, int width) {
    compose<GuidedRow>(lightness, ab, cell_lightness, h, w, pixels, pitch, height, width);
}
