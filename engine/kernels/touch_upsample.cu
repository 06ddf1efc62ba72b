// From cells to pixels: convex upsampling, plus a correction at every hint so that the pixel there has its colour.
//
// touch_corrections  one block: the residual at every hint, and the amplitudes of the Gaussians that remove it
//                    (normalised Richardson iteration on the matrix of the Gaussians)
// touch_upsample     every pixel: a convex combination of 3 × 3 cells, times AB_SCALE, plus the Gaussians near it
//   plain  a thread per pixel, all Gaussians
//   fast   a thread per row of four pixels, one 16-byte store; a block first finds the Gaussians that reach its tile
//          (one ballot per warp), and its pixels add only those
#include "touch.cuh"

constexpr int CELL_PX = 4, SUBPIXELS = CELL_PX * CELL_PX, NEIGHBOURS = 9;

struct CoarseMap {
    const float *up, *coarse;
    int h, w;
};

// Channel `channel` of pixel `sub` (row-major in its cell) of cell (x, y), in CIELAB units.
DEVICE float upsampled(const CoarseMap& map, int channel, int x, int y, int sub) {
    const int cells = map.h * map.w;
    float sum = 0.0f;
    for (int k = 0; k < NEIGHBOURS; k++) {
        const int row = min(max(y + k / 3 - 1, 0), map.h - 1), column = min(max(x + k % 3 - 1, 0), map.w - 1);
        sum += map.coarse[channel * cells + row * map.w + column] *
               map.up[size_t(k * SUBPIXELS + sub) * cells + y * map.w + x];
    }
    return sum * AB_SCALE;
}

DEVICE float upsampled_pixel(const CoarseMap& map, int channel, int x, int y) {
    return upsampled(map, channel, x / CELL_PX, y / CELL_PX, y % CELL_PX * CELL_PX + x % CELL_PX);
}

// The upsampled colour at a hint, bilinear between the four pixels around it.
DEVICE float upsampled_at(const CoarseMap& map, int channel, const Hint& hint) {
    const Neighbours column = neighbours_at(float(hint.x), map.w * CELL_PX);
    const Neighbours row = neighbours_at(float(hint.y), map.h * CELL_PX);
    const float above = mix(upsampled_pixel(map, channel, column.first, row.first),
                            upsampled_pixel(map, channel, column.second, row.first), column.fraction);
    const float below = mix(upsampled_pixel(map, channel, column.first, row.second),
                            upsampled_pixel(map, channel, column.second, row.second), column.fraction);
    return mix(above, below, row.fraction);
}

constexpr int CORRECTIONS_THREADS = 2 * MAX_HINTS;

struct CorrectionsShared {
    float amplitudes[2][MAX_HINTS];
};

KERNEL(CORRECTIONS_THREADS, touch_corrections, const Hint* hints, const int* count, const float* up,
       const float* coarse, TouchWork* work, int h, int w) {
    SHARED(CorrectionsShared, shared);
    const int hint_count = hints_in(count), channel = threadIdx.x / MAX_HINTS, m = threadIdx.x % MAX_HINTS;
    float residual = 0.0f, step = 0.0f;
    if (m < hint_count) {
        residual = (channel ? hints[m].b : hints[m].a) - upsampled_at({up, coarse, h, w}, channel, hints[m]);
        for (int n = 0; n < hint_count; n++) step += work->gaussians[n][m];
        step = 1.0f / fmaxf(step, 1e-4f);
    }
    float amplitude = residual * step;
    for (int round = 0; round < ROUNDS; round++) {
        shared.amplitudes[channel][m] = amplitude;
        __syncthreads();
        float sum = 0.0f;
        for (int n = 0; n < hint_count; n++)
            sum += m < hint_count ? shared.amplitudes[channel][n] * work->gaussians[n][m] : 0.0f;
        amplitude += (residual - sum) * step;
        __syncthreads();
    }
    work->amplitudes[channel][m] = amplitude;
}

constexpr int UPSAMPLE_CELLS = 32, UPSAMPLE_THREADS = UPSAMPLE_CELLS * CELL_PX;
// Beyond this distance a Gaussian is below e^-20 of its amplitude.
constexpr float GAUSSIAN_RADIUS = 6.33f * SIGMA;
static_assert(UPSAMPLE_THREADS == MAX_HINTS, "a thread tests one hint");

struct UpsampleShared {
    float x[MAX_HINTS], y[MAX_HINTS], amplitudes[2][MAX_HINTS];
    unsigned near[MAX_HINTS / WARP_LANES];  // a bit per hint
};

// Finds the Gaussians that reach the block's 32 × 1 cells.
DEVICE void find_gaussians(const Hint* hints, int hint_count, const TouchWork& work, int h, int w,
                           UpsampleShared& shared) {
    const int n = thread_in_block();
    bool near = false;
    if (n < hint_count) {
        const float x = float(hints[n].x), y = float(hints[n].y), radius = GAUSSIAN_RADIUS;
        const float left = float(blockIdx.x * UPSAMPLE_CELLS) / w, right = float((blockIdx.x + 1) * UPSAMPLE_CELLS) / w;
        const float top = float(blockIdx.y) / h, bottom = float(blockIdx.y + 1) / h;
        near = x > left - radius && x < right + radius && y > top - radius && y < bottom + radius;
        shared.x[n] = x;
        shared.y[n] = y;
        shared.amplitudes[0][n] = work.amplitudes[0][n];
        shared.amplitudes[1][n] = work.amplitudes[1][n];
    }
    const unsigned votes = __ballot_sync(ALL_LANES, near);
    if (n % WARP_LANES == 0) shared.near[n / WARP_LANES] = votes;
}

// Adds the Gaussians near the block to four pixels in a row, the first centred at (x, y).
DEVICE void add_gaussians(const UpsampleShared& shared, float x, float y, float pixel, float (*ab)[CELL_PX]) {
    for (int word = 0; word < MAX_HINTS / WARP_LANES; word++) {
        for (unsigned bits = shared.near[word]; bits;) {
            const int bit = 31 - __clz(bits), n = word * WARP_LANES + bit;
            bits ^= 1u << bit;
            const float down = gaussian(shared.y[n] - y);
            for (int i = 0; i < CELL_PX; i++) {
                const float value = down * gaussian(shared.x[n] - (x + i * pixel));
                ab[0][i] += shared.amplitudes[0][n] * value;
                ab[1][i] += shared.amplitudes[1][n] * value;
            }
        }
    }
}

KERNEL(UPSAMPLE_THREADS, touch_upsample, const Hint* hints, const int* count, const float* up, const float* coarse,
       const TouchWork* work, float* ab, int h, int w) {
    SHARED(UpsampleShared, shared);
    find_gaussians(hints, hints_in(count), *work, h, w, shared);
    __syncthreads();
    const int x = blockIdx.x * UPSAMPLE_CELLS + threadIdx.x, y = blockIdx.y, row = threadIdx.y;
    if (x >= w) return;
    float four[2][CELL_PX];
    for (int channel = 0; channel < 2; channel++)
        for (int i = 0; i < CELL_PX; i++)
            four[channel][i] = upsampled({up, coarse, h, w}, channel, x, y, row * CELL_PX + i);
    const float pixel = 1.0f / float(CELL_PX * w);
    add_gaussians(shared, (CELL_PX * x + 0.5f) * pixel, (CELL_PX * y + row + 0.5f) / float(CELL_PX * h), pixel, four);
    const size_t plane = size_t(SUBPIXELS) * h * w, at = size_t(CELL_PX * y + row) * (CELL_PX * w) + CELL_PX * x;
    store4(ab + at, four[0]);
    store4(ab + plane + at, four[1]);
}
