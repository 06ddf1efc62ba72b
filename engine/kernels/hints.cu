// The input planes of a network, from hints and from lightness.
//
// hint_planes: the planes a, b and mask [3, H, W], normalised as in the bundle's model.toml; later hints on top.
//   plain  every pixel tests every hint, from the last to the first, until one covers it
//   fast   a block first finds the hints whose patch overlaps its tile (one ballot per warp), and its pixels test only
//          those; four pixels per thread, so that stores are 16 bytes wide
// L_plane: (L − offset) / scale.
#include "hints.cuh"

constexpr int TILE_THREADS = 256, TILE_COLUMNS = 128, TILE_ROWS = 8;

struct HintTile {
    Span rows[TILE_THREADS], columns[TILE_THREADS];
    float a[TILE_THREADS], b[TILE_THREADS];
    unsigned overlapping[TILE_THREADS / WARP_LANES];  // a bit per hint
};

struct FourHints {
    float a[4] = {0, 0, 0, 0}, b[4] = {0, 0, 0, 0};
    bool found[4] = {false, false, false, false};
};

// Each thread computes the patch of one hint of `first`…`last` and whether it overlaps the block's tile.
DEVICE void find_hints(const Hint* hints, int first, int last, int height, int width, HintTile& tile) {
    const int thread = thread_in_block(), index = first + thread;
    const int left = blockIdx.x * TILE_COLUMNS, top = blockIdx.y * TILE_ROWS;
    bool overlaps = false;
    if (index < last) {
        const Hint hint = hints[index];
        const Span rows = span_of(hint.y, hint.size, height), columns = span_of(hint.x, hint.size, width);
        tile.rows[thread] = rows;
        tile.columns[thread] = columns;
        tile.a[thread] = hint.a;
        tile.b[thread] = hint.b;
        overlaps = rows.start < top + TILE_ROWS && rows.stop > top && columns.start < left + TILE_COLUMNS &&
                   columns.stop > left;
    }
    const unsigned votes = __ballot_sync(ALL_LANES, overlaps);
    if (thread % WARP_LANES == 0) tile.overlapping[thread / WARP_LANES] = votes;
}

// Gives each of four pixels the last hint of the tile that covers it, unless it has a later one already.
DEVICE void look_up(const HintTile& tile, int x, int y, FourHints& four) {
    for (int word = TILE_THREADS / WARP_LANES - 1; word >= 0; word--) {
        for (unsigned bits = tile.overlapping[word]; bits;) {
            const int bit = 31 - __clz(bits), hint = word * WARP_LANES + bit;
            bits ^= 1u << bit;
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
        find_hints(hints, max(last - TILE_THREADS, 0), last, height, width, tile);
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
    store_up_to_4(planes + at, a, width - x);
    store_up_to_4(planes + plane + at, b, width - x);
    store_up_to_4(planes + 2 * plane + at, mask, width - x);
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
    load_up_to_4(lightness + first, four, count - first);
    for (int i = 0; i < 4; i++) four[i] = __fdiv_rn(__fsub_rn(four[i], offset), scale);
    store_up_to_4(plane + first, four, count - first);
}

KERNEL(TILE_THREADS, L_plane_f32, const float* lightness, float* plane, int count, float offset, float scale) {
    L_plane(lightness, plane, count, offset, scale);
}

KERNEL(TILE_THREADS, L_plane_f16, const float* lightness, __half* plane, int count, float offset, float scale) {
    L_plane(lightness, plane, count, offset, scale);
}
