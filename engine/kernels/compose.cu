// Colours of working size onto light of full size: bilinear ab, Lab → sRGB, clipped into the gamut, 8 bit.
//
// compose: L [H, W] and ab [2, h, w] → pixels of 3 (RGB) or 4 (RGBA) bytes in rows of `pitch` bytes.
//   plain  one pixel a thread, byte by byte
//   fast   four pixels in a row a thread: L in one 16-byte load, RGBA in one 16-byte store, RGB in three of 4 bytes;
//          the neighbouring rows of ab are mixed once for the four
#include "colour.cuh"

constexpr int COMPOSE_THREADS = 256, COMPOSE_COLUMNS = 128, COMPOSE_ROWS = 8;

// Both channels of ab in one row of the full picture; columns are mixed when asked for.
struct AbRow {
    const float *upper, *lower;
    float share;
    int plane;

    DEVICE float at(int channel, const Between& column) const {
        const float *above = upper + channel * plane, *below = lower + channel * plane;
        const float left = mix(above[column.first], below[column.first], share);
        const float right = mix(above[column.second], below[column.second], share);
        return mix(left, right, column.share);
    }
};

DEVICE void put_pixels(unsigned char* to, const unsigned* pixels, int room, int bytes) {
    if (bytes == 4 && room >= 4 && aligned(to, 16)) {
        wide_store(to, uint4{pixels[0], pixels[1], pixels[2], pixels[3]});
        return;
    }
    if (bytes == 3 && room >= 4 && aligned(to, 4)) {
        wide_store(to, pixels[0] | pixels[1] << 24);
        wide_store(to + 4, pixels[1] >> 8 | pixels[2] << 16);
        wide_store(to + 8, pixels[2] >> 16 | pixels[3] << 8);
        return;
    }
    for (int i = 0; i < 4 && i < room; i++)
        for (int byte = 0; byte < bytes; byte++) to[i * bytes + byte] = (unsigned char)(pixels[i] >> 8 * byte);
}

template <int BYTES>
DEVICE void compose(const float* light, const float* ab, int h, int w, unsigned char* pixels, int pitch, int height,
                    int width) {
    const int x = (blockIdx.x * 32 + threadIdx.x) * 4, y = blockIdx.y * COMPOSE_ROWS + threadIdx.y;
    if (x >= width || y >= height) return;
    const Between row = between_pixels(y, height, h);
    const AbRow here{ab + row.first * w, ab + row.second * w, row.share, h * w};
    float L[4];
    take_up_to_4(light + size_t(y) * width + x, L, width - x);
    unsigned four[4];
    for (int i = 0; i < 4; i++) {
        const Between column = between_pixels(min(x + i, width - 1), width, w);
        four[i] = pixel_from_lab(L[i], here.at(0, column), here.at(1, column)) | 0xFF000000u * (BYTES == 4);
    }
    put_pixels(pixels + size_t(y) * pitch + size_t(x) * BYTES, four, width - x, BYTES);
}

KERNEL(COMPOSE_THREADS, compose_rgb, const float* light, const float* ab, int h, int w, unsigned char* pixels,
       int pitch, int height, int width) {
    compose<3>(light, ab, h, w, pixels, pitch, height, width);
}

KERNEL(COMPOSE_THREADS, compose_rgba, const float* light, const float* ab, int h, int w, unsigned char* pixels,
       int pitch, int height, int width) {
    compose<4>(light, ab, h, w, pixels, pitch, height, width);
}
