// Hints and lightness as the input planes of a network.
//
// hint_planes: the planes a, b and mask [3, H, W] in one pass, normalised as the bundle says, later hints on top.
//   plain  every pixel asks every hint, from the last to the first, until one covers it
//   fast   a block asks each hint once whether it touches the block's tile (one ballot a warp) and its pixels look at
//          those alone; four pixels a thread, so that stores are 16 bytes wide
// L_plane: (L − offset) / scale.
#include "hints.cuh"

constexpr int TILE_THREADS = 256, TILE_COLUMNS = 128, TILE_ROWS = 8;

struct HintTile {
    Span rows[TILE_THREADS], columns[TILE_THREADS];
    float a[TILE_THREADS], b[TILE_THREADS];
    unsigned touching[TILE_THREADS / WARP_LANES];
};

struct FourHints {
    float a[4] = {0, 0, 0, 0}, b[4] = {0, 0, 0, 0};
    bool found[4] = {false, false, false, false};
};

// Lets each thread of the block place one hint of `first`…`last` and tell whether it touches the block's tile.
DEVICE void place_hints(const Hint* hints, int first, int last, int height, int width, HintTile& tile) {
    const int thread = thread_in_block(), index = first + thread;
    const int left = blockIdx.x * TILE_COLUMNS, top = blockIdx.y * TILE_ROWS;
    bool touches = false;
    if (index < last) {
        const Hint hint = hints[index];
        const Span rows = span_of(hint.y, hint.size, height), columns = span_of(hint.x, hint.size, width);
        tile.rows[thread] = rows;
        tile.columns[thread] = columns;
        tile.a[thread] = hint.a;
        tile.b[thread] = hint.b;
        touches = rows.start < top + TILE_ROWS && rows.stop > top && columns.start < left + TILE_COLUMNS &&
                  columns.stop > left;
    }
    const unsigned votes = __ballot_sync(EVERY_LANE, touches);
    if (thread % WARP_LANES == 0) tile.touching[thread / WARP_LANES] = votes;
}

// From the last hint of the tile to the first: a pixel keeps the first it finds.
DEVICE void look_up(const HintTile& tile, int x, int y, FourHints& four) {
    for (int word = TILE_THREADS / WARP_LANES - 1; word >= 0; word--) {
        for (unsigned left = tile.touching[word]; left;) {
            const int bit = 31 - __clz(left), hint = word * WARP_LANES + bit;
            left ^= 1u << bit;
            if (y < tile.rows[hint].start || y >= tile.rows[hint].stop) continue;
            for (int i = 0; i < 4; i++) {
                if (four.found[i] || x + i < tile.columns[hint].start || x + i >= tile.columns[hint].stop) continue;
                four.found[i] = true;
                four.a[i] = tile.a[hint];
                four.b[i] = tile.b[hint];
            }
        }
    }
}

template <class T>
DEVICE void hint_planes(const Hint* hints, const int* count, T* planes, int height, int width, float ab_scale,
                        float mask_without, float mask_with) {
    SHARED(HintTile, tile);
    const int x = blockIdx.x * TILE_COLUMNS + threadIdx.x * 4, y = blockIdx.y * TILE_ROWS + threadIdx.y;
    FourHints four;
    for (int last = *count; last > 0; last -= TILE_THREADS) {
        place_hints(hints, max(last - TILE_THREADS, 0), last, height, width, tile);
        __syncthreads();
        look_up(tile, x, y, four);
        __syncthreads();
    }
    if (x >= width || y >= height) return;
    float a[4], b[4], mask[4];
    for (int i = 0; i < 4; i++) {
        a[i] = __fdiv_rn(four.a[i], ab_scale);
        b[i] = __fdiv_rn(four.b[i], ab_scale);
        mask[i] = four.found[i] ? mask_with : mask_without;
    }
    const size_t plane = size_t(height) * width, at = size_t(y) * width + x;
    put_up_to_4(planes + at, a, width - x);
    put_up_to_4(planes + plane + at, b, width - x);
    put_up_to_4(planes + 2 * plane + at, mask, width - x);
}

KERNEL(TILE_THREADS, hint_planes_f32, const Hint* hints, const int* count, float* planes, int height, int width,
       float ab_scale, float mask_without, float mask_with) {
    hint_planes(hints, count, planes, height, width, ab_scale, mask_without, mask_with);
}

KERNEL(TILE_THREADS, hint_planes_f16, const Hint* hints, const int* count, __half* planes, int height, int width,
       float ab_scale, float mask_without, float mask_with) {
    hint_planes(hints, count, planes, height, width, ab_scale, mask_without, mask_with);
}

template <class T>
DEVICE void L_plane(const float* lightness, T* plane, int count, float offset, float scale) {
    const int first = (blockIdx.x * TILE_THREADS + threadIdx.x) * 4;
    if (first >= count) return;
    float four[4];
    take_up_to_4(lightness + first, four, count - first);
    for (int i = 0; i < 4; i++) four[i] = __fdiv_rn(__fsub_rn(four[i], offset), scale);
    put_up_to_4(plane + first, four, count - first);
}

KERNEL(TILE_THREADS, L_plane_f32, const float* lightness, float* plane, int count, float offset, float scale) {
    L_plane(lightness, plane, count, offset, scale);
}

KERNEL(TILE_THREADS, L_plane_f16, const float* lightness, __half* plane, int count, float offset, float scale) {
    L_plane(lightness, plane, count, offset, scale);
}
