// Colours of working size onto lightness of full size: ab enlarged, Lab → sRGB, clipped into the gamut, 8 bit.
//
// compose: L [H, W] and ab [2, h, w] → RGB pixels uint8 in rows of `pitch` bytes; ab bilinear.
// compose_guided: the same with the rule of engine/image/guided.py, for which the cells' L [h, w] is needed too.
//   plain  one pixel a thread, byte by byte
//   fast   four pixels in a row a thread: L in one 16-byte load, RGB in three 4-byte stores;
//          what belongs to the row is found once for the four
#include "colour.cuh"

constexpr int COMPOSE_THREADS = 256, COMPOSE_COLUMNS = 128, COMPOSE_ROWS = 8;

// As in engine/image/guided.py.
constexpr float ALIKE_L = 20.0f, MIN_WEIGHT = 1e-3f;

// One channel of bilinear ab in one row of the full picture.
DEVICE float bilinear_in_row(const float* above, const float* below, float share, const Between& column) {
    const float left = mix(above[column.first], below[column.first], share);
    const float right = mix(above[column.second], below[column.second], share);
    return mix(left, right, column.share);
}

// ab in one row of the full picture, bilinear.
struct BilinearRow {
    const float *upper, *lower;
    float share;
    int plane;

    DEVICE BilinearRow(const float* ab, const float*, const Between& row, int h, int w)
        : upper(ab + row.first * w), lower(ab + row.second * w), share(row.share), plane(h * w) {}

    DEVICE float2 at(float, const Between& column) const {
        return {bilinear_in_row(upper, lower, share, column),
                bilinear_in_row(upper + plane, lower + plane, share, column)};
    }
};

// ab in one row of the full picture, at a pixel whose L is `lightness`: guided.
struct GuidedRow {
    const float *ab, *cell_lightness;
    Between row;
    int width, plane;

    DEVICE GuidedRow(const float* ab, const float* cell_lightness, const Between& row, int h, int w)
        : ab(ab), cell_lightness(cell_lightness), row(row), width(w), plane(h * w) {}

    DEVICE float2 at(float lightness, const Between& column) const {
        const float left = 1.0f - column.share, above = 1.0f - row.share;
        float sums[3] = {0.0f, 0.0f, 0.0f};
        add(sums, lightness, row.first * width + column.first, above * left);
        add(sums, lightness, row.first * width + column.second, above * column.share);
        add(sums, lightness, row.second * width + column.first, row.share * left);
        add(sums, lightness, row.second * width + column.second, row.share * column.share);
        return {sums[1] / sums[0], sums[2] / sums[0]};
    }

    DEVICE void add(float* sums, float lightness, int cell, float share) const {
        const float apart = lightness - cell_lightness[cell];
        const float alike = exp2f(apart * apart * (-0.5f * LOG2_E / (ALIKE_L * ALIKE_L))) + MIN_WEIGHT;
        const float weight = share * alike;
        sums[0] += weight;
        sums[1] += weight * ab[cell];
        sums[2] += weight * ab[cell + plane];
    }
};

DEVICE void put_pixels(unsigned char* to, const unsigned* pixels, int room) {
    if (room >= 4 && aligned(to, 4)) {
        wide_store(to, pixels[0] | pixels[1] << 24);
        wide_store(to + 4, pixels[1] >> 8 | pixels[2] << 16);
        wide_store(to + 8, pixels[2] >> 16 | pixels[3] << 8);
        return;
    }
    for (int i = 0; i < 4 && i < room; i++)
        for (int byte = 0; byte < 3; byte++) to[3 * i + byte] = (unsigned char)(pixels[i] >> 8 * byte);
}

template <class Row>
DEVICE void compose(const float* lightness, const float* ab, const float* cell_lightness, int h, int w,
                    unsigned char* pixels, int pitch, int height, int width) {
    const int x = (blockIdx.x * 32 + threadIdx.x) * 4, y = blockIdx.y * COMPOSE_ROWS + threadIdx.y;
    if (x >= width || y >= height) return;
    const Row here(ab, cell_lightness, between_pixels(y, height, h), h, w);
    float L[4];
    take_up_to_4(lightness + size_t(y) * width + x, L, width - x);
    unsigned four[4];
    for (int i = 0; i < 4; i++) {
        const float2 colour = here.at(L[i], between_pixels(min(x + i, width - 1), width, w));
        four[i] = pixel_from_lab(L[i], colour.x, colour.y);
    }
    put_pixels(pixels + size_t(y) * pitch + size_t(x) * 3, four, width - x);
}

KERNEL(COMPOSE_THREADS, compose_rgb, const float* lightness, const float* ab, int h, int w, unsigned char* pixels,
       int pitch, int height, int width) {
    compose<BilinearRow>(lightness, ab, nullptr, h, w, pixels, pitch, height, width);
}

KERNEL(COMPOSE_THREADS, compose_guided_rgb, const float* lightness, const float* ab, const float* cell_lightness, int h,
       int w, unsigned char* pixels, int pitch, int height, int width) {
    compose<GuidedRow>(lightness, ab, cell_lightness, h, w, pixels, pitch, height, width);
}
