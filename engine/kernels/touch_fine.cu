// From cells to pixels: convex upsampling along the edges of the light, and anchors that meet the asked colours.
//
// touch_heights  one block: what is still missing under every hint, and the heights of the smooth bumps that give it
//                (normalised Richardson's iteration on the bumps' matrix)
// touch_fine     every fine pixel: the mixture of its 3 × 3 cells, times 110, plus the bumps near it
//   plain  a thread a pixel, every bump of every hint
//   fast   a thread a row of four pixels, one 16-byte store; a block asks each hint once whether its bump can be seen
//          in the block's tile (one ballot a warp) and its pixels add those alone
#include "touch.cuh"

constexpr int FINE = 4, SUBPIXELS = FINE * FINE, NEIGHBOURS = 9;

struct CoarseMap {
    const float *up, *coarse;
    int h, w;
};

// Channel `channel` of the fine pixel `sub` (row-major in its cell) of cell (x, y), in CIELAB units.
DEVICE float convex(const CoarseMap& map, int channel, int x, int y, int sub) {
    const int cells = map.h * map.w;
    float sum = 0.0f;
    for (int k = 0; k < NEIGHBOURS; k++) {
        const int row = min(max(y + k / 3 - 1, 0), map.h - 1), column = min(max(x + k % 3 - 1, 0), map.w - 1);
        sum += map.coarse[channel * cells + row * map.w + column] *
               map.up[size_t(k * SUBPIXELS + sub) * cells + y * map.w + x];
    }
    return sum * AB_SCALE;
}

DEVICE float fine_pixel(const CoarseMap& map, int channel, int x, int y) {
    return convex(map, channel, x / FINE, y / FINE, y % FINE * FINE + x % FINE);
}

// The picture under a hint, between the four fine pixels around it.
DEVICE float fine_at(const CoarseMap& map, int channel, const Hint& hint) {
    const Between column = between_place(float(hint.x), map.w * FINE), row = between_place(float(hint.y), map.h * FINE);
    const float above = mix(fine_pixel(map, channel, column.first, row.first),
                            fine_pixel(map, channel, column.second, row.first), column.share);
    const float below = mix(fine_pixel(map, channel, column.first, row.second),
                            fine_pixel(map, channel, column.second, row.second), column.share);
    return mix(above, below, row.share);
}

constexpr int HEIGHTS_THREADS = 2 * MAX_HINTS;

struct HeightsRoom {
    float heights[2][MAX_HINTS];
};

KERNEL(HEIGHTS_THREADS, touch_heights, const Hint* hints, const int* count, const float* up, const float* coarse,
       TouchWork* work, int h, int w) {
    SHARED(HeightsRoom, room);
    const int hint_count = hints_in(count), channel = threadIdx.x / MAX_HINTS, m = threadIdx.x % MAX_HINTS;
    float missing = 0.0f, share = 0.0f;
    if (m < hint_count) {
        missing = (channel ? hints[m].b : hints[m].a) - fine_at({up, coarse, h, w}, channel, hints[m]);
        for (int n = 0; n < hint_count; n++) share += work->bumps[n][m];
        share = 1.0f / fmaxf(share, 1e-4f);
    }
    float height = missing * share;
    for (int round = 0; round < ROUNDS; round++) {
        room.heights[channel][m] = height;
        __syncthreads();
        float given = 0.0f;
        for (int n = 0; n < hint_count; n++)
            given += m < hint_count ? room.heights[channel][n] * work->bumps[n][m] : 0.0f;
        height += (missing - given) * share;
        __syncthreads();
    }
    work->heights[channel][m] = height;
}

constexpr int FINE_CELLS = 32, FINE_THREADS = FINE_CELLS * FINE;
// Farther than this a bump is below e^-20 of its height.
constexpr float BUMP_REACH = 6.33f * ANCHOR;
static_assert(FINE_THREADS == MAX_HINTS, "a thread looks at one hint");

struct FineRoom {
    float x[MAX_HINTS], y[MAX_HINTS], heights[2][MAX_HINTS];
    unsigned near[MAX_HINTS / WARP_LANES];
};

// Which bumps can be seen in the block's 32 × 1 cells.
DEVICE void find_bumps(const Hint* hints, int hint_count, const TouchWork& work, int h, int w, FineRoom& room) {
    const int n = thread_in_block();
    bool near = false;
    if (n < hint_count) {
        const float x = float(hints[n].x), y = float(hints[n].y);
        const float left = float(blockIdx.x * FINE_CELLS) / w, right = float((blockIdx.x + 1) * FINE_CELLS) / w;
        const float top = float(blockIdx.y) / h, bottom = float(blockIdx.y + 1) / h;
        near = x > left - BUMP_REACH && x < right + BUMP_REACH && y > top - BUMP_REACH && y < bottom + BUMP_REACH;
        room.x[n] = x;
        room.y[n] = y;
        room.heights[0][n] = work.heights[0][n];
        room.heights[1][n] = work.heights[1][n];
    }
    const unsigned votes = __ballot_sync(EVERY_LANE, near);
    if (n % WARP_LANES == 0) room.near[n / WARP_LANES] = votes;
}

// Adds the bumps near the block to four pixels in a row, the first centred at (x, y).
DEVICE void add_bumps(const FineRoom& room, float x, float y, float pixel, float (*ab)[FINE]) {
    for (int word = 0; word < MAX_HINTS / WARP_LANES; word++) {
        for (unsigned left = room.near[word]; left;) {
            const int bit = 31 - __clz(left), n = word * WARP_LANES + bit;
            left ^= 1u << bit;
            const float down = bump(room.y[n] - y);
            for (int i = 0; i < FINE; i++) {
                const float here = down * bump(room.x[n] - (x + i * pixel));
                ab[0][i] += room.heights[0][n] * here;
                ab[1][i] += room.heights[1][n] * here;
            }
        }
    }
}

KERNEL(FINE_THREADS, touch_fine, const Hint* hints, const int* count, const float* up, const float* coarse,
       const TouchWork* work, float* ab, int h, int w) {
    SHARED(FineRoom, room);
    find_bumps(hints, hints_in(count), *work, h, w, room);
    __syncthreads();
    const int x = blockIdx.x * FINE_CELLS + threadIdx.x, y = blockIdx.y, row = threadIdx.y;
    if (x >= w) return;
    float four[2][FINE];
    for (int channel = 0; channel < 2; channel++)
        for (int i = 0; i < FINE; i++) four[channel][i] = convex({up, coarse, h, w}, channel, x, y, row * FINE + i);
    const float pixel = 1.0f / float(FINE * w);
    add_bumps(room, (FINE * x + 0.5f) * pixel, (FINE * y + row + 0.5f) / float(FINE * h), pixel, four);
    const size_t plane = size_t(SUBPIXELS) * h * w, at = size_t(FINE * y + row) * (FINE * w) + FINE * x;
    put4(ab + at, four[0]);
    put4(ab + plane + at, four[1]);
}
