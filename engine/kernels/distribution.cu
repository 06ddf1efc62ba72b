// The distribution of colours: at points, as probabilities and their K largest; over the picture, as one colour and
// its uncertainty.
//
// distribution_points: logits [bins, h, w] are mixed bilinearly at a point, then softmax(scale · logits).
//   plain  one thread a point, everything again for each of the K largest
//   fast   one block a point; bins stay in registers; value and index travel as one 64-bit number, so that a maximum
//          is also the lowest index among equals
// probabilities_points: the same from probabilities: p^scale renormalised.
// distribution_map: at every pixel the annealed mean ab of softmax(scale · logits), which is the mean of
//   softmax(scale · annealing · logits), and the entropy in nats. No plane of any bin is ever stored.
//   plain  two passes over the bins, four gathers each
//   fast   one pass, eight bins at a time: the block mixes its few rows of cells across columns into shared memory,
//          a pixel mixes two of them; sums are kept relative to the largest logit so far and rescaled once in eight
#include "device.cuh"

constexpr int POINT_THREADS = 128, POINT_WARPS = POINT_THREADS / WARP_LANES;
constexpr int MAX_BINS = 529, BINS_A_THREAD = (MAX_BINS + POINT_THREADS - 1) / POINT_THREADS;
constexpr float LOWEST = -1e30f;

struct PointRoom {
    float partial[POINT_WARPS];
    unsigned long long best[POINT_WARPS];
};

// One thread's share of the bins: bin = i · POINT_THREADS + thread.
struct BinsOfThread {
    float value[BINS_A_THREAD];
};

DEVICE int bin_of(int i) { return i * POINT_THREADS + int(threadIdx.x); }

// Values → softmax(scale · value) over the block's bins.
DEVICE void softmax_of_block(BinsOfThread& mine, float scale, int bins, PointRoom& room) {
    float most = LOWEST, sum = 0.0f;
    for (int i = 0; i < BINS_A_THREAD; i++)
        if (bin_of(i) < bins) most = fmaxf(most, mine.value[i]);
    most = block_max<POINT_WARPS>(most, room.partial);
    for (int i = 0; i < BINS_A_THREAD; i++) {
        mine.value[i] = bin_of(i) < bins ? expf(scale * (mine.value[i] - most)) : 0.0f;
        sum += mine.value[i];
    }
    sum = block_sum<POINT_WARPS>(sum, room.partial);
    for (float& value : mine.value) value /= sum;
}

// Probabilities are not negative, so their bits are ordered as they are; the complement lets low indices win.
DEVICE unsigned long long ranked(float probability, int bin) {
    return (unsigned long long)__float_as_uint(probability) << 32 | (0xFFFFFFFFu - unsigned(bin));
}

DEVICE void largest(const BinsOfThread& mine, int bins, int K, PointRoom& room, int* indices, float* top) {
    unsigned long long ranks[BINS_A_THREAD];
    for (int i = 0; i < BINS_A_THREAD; i++) ranks[i] = bin_of(i) < bins ? ranked(mine.value[i], bin_of(i)) : 0;
    for (int k = 0; k < K; k++) {
        unsigned long long best = 0;
        for (const unsigned long long rank : ranks) best = rank > best ? rank : best;
        best = warp_max(best);
        if (threadIdx.x % WARP_LANES == 0) room.best[threadIdx.x / WARP_LANES] = best;
        __syncthreads();
        for (const unsigned long long rank : room.best) best = rank > best ? rank : best;
        __syncthreads();
        for (unsigned long long& rank : ranks) rank = rank == best ? 0 : rank;
        if (threadIdx.x != 0) continue;
        if (indices) indices[k] = int(0xFFFFFFFFu - unsigned(best));
        if (top) top[k] = __uint_as_float(unsigned(best >> 32));
    }
}

DEVICE void answer(BinsOfThread& mine, float scale, int bins, int K, float* probabilities, int* indices, float* top) {
    SHARED(PointRoom, room);
    const size_t point = blockIdx.x;
    softmax_of_block(mine, scale, bins, room);
    if (probabilities)
        for (int i = 0; i < BINS_A_THREAD; i++)
            if (bin_of(i) < bins) probabilities[point * bins + bin_of(i)] = mine.value[i];
    if (indices || top)
        largest(mine, bins, K, room, indices ? indices + point * K : nullptr, top ? top + point * K : nullptr);
}

template <class T>
DEVICE void distribution_points(const T* logits, const float* points, float scale, int bins, int h, int w, int K,
                                float* probabilities, int* indices, float* top) {
    const Between column = between_place(points[2 * blockIdx.x], w), row = between_place(points[2 * blockIdx.x + 1], h);
    BinsOfThread mine;
    for (int i = 0; i < BINS_A_THREAD; i++)
        mine.value[i] = bin_of(i) < bins ? bilinear(logits + size_t(bin_of(i)) * h * w, w, row, column) : LOWEST;
    answer(mine, scale, bins, K, probabilities, indices, top);
}

KERNEL(POINT_THREADS, distribution_points_f32, const float* logits, const float* points, float scale, int bins, int h,
       int w, int K, float* probabilities, int* indices, float* top) {
    distribution_points(logits, points, scale, bins, h, w, K, probabilities, indices, top);
}

KERNEL(POINT_THREADS, distribution_points_f16, const __half* logits, const float* points, float scale, int bins, int h,
       int w, int K, float* probabilities, int* indices, float* top) {
    distribution_points(logits, points, scale, bins, h, w, K, probabilities, indices, top);
}

KERNEL(POINT_THREADS, probabilities_points, const float* given, float scale, int bins, int K, float* probabilities,
       int* indices, float* top) {
    BinsOfThread mine;
    for (int i = 0; i < BINS_A_THREAD; i++) {
        const float p = bin_of(i) < bins ? given[size_t(blockIdx.x) * bins + bin_of(i)] : 0.0f;
        mine.value[i] = p > 0.0f ? logf(p) : LOWEST;
    }
    answer(mine, scale, bins, K, probabilities, indices, top);
}

// ---- over the picture ------------------------------------------------------------------------------------------

constexpr int MAP_THREADS = 256, MAP_COLUMNS = 32, MAP_ROWS = 8, MAP_BINS = 8;
// Rows of cells that a block may need: a tile of 8 rows lies over at most 10 cells where the map is enlarged.
constexpr int MAP_CELL_ROWS = MAP_ROWS + 2;

struct MapRoom {
    float mixed[MAP_BINS][MAP_CELL_ROWS][MAP_COLUMNS];
};

// How sharp the distribution is, for exponentials of base 2: softmax(scale · logits) and its annealed form.
struct Sharpness {
    float plain, annealed;
};

DEVICE Sharpness sharpness(float scale, float annealing) { return {scale * LOG2_E, scale * annealing * LOG2_E}; }

// Sums over the bins so far, relative to the largest logit so far.
struct Gathered {
    float most = LOWEST, sum = 0.0f, weighted = 0.0f, annealed = 0.0f, a = 0.0f, b = 0.0f;

    DEVICE void raise(float to, Sharpness sharp) {
        if (to <= most) return;
        const float step = to - most, shrink = exp2f(-sharp.plain * step), shrink_more = exp2f(-sharp.annealed * step);
        weighted = shrink * (weighted - step * sum);
        sum *= shrink;
        annealed *= shrink_more;
        a *= shrink_more;
        b *= shrink_more;
        most = to;
    }

    DEVICE void add(float logit, const float* centre, Sharpness sharp) {
        const float below = logit - most, weight = exp2f(sharp.plain * below), narrow = exp2f(sharp.annealed * below);
        sum += weight;
        weighted += weight * below;
        annealed += narrow;
        a += narrow * centre[0];
        b += narrow * centre[1];
    }

    // In nats.
    DEVICE float entropy(float scale) const { return logf(sum) - scale * weighted / sum; }
};

// Where a pixel lies among the cells, and the block's first row of cells.
struct MapPlace {
    Between row, column;
    int first_row, rows;
};

DEVICE MapPlace map_place(int h, int w, int height, int width) {
    const int x = blockIdx.x * MAP_COLUMNS + threadIdx.x, y = blockIdx.y * MAP_ROWS + threadIdx.y;
    const int bottom = min(int(blockIdx.y) * MAP_ROWS + MAP_ROWS, height) - 1;
    const int first = between_pixels(blockIdx.y * MAP_ROWS, height, h).first;
    return {between_pixels(min(y, height - 1), height, h), between_pixels(min(x, width - 1), width, w), first,
            between_pixels(bottom, height, h).second - first + 1};
}

// Mixes up to eight bins of the block's rows of cells across its columns.
template <class T>
DEVICE void mix_columns(const T* logits, int count, int h, int w, const MapPlace& place, MapRoom& room) {
    for (int item = threadIdx.y; item < count * place.rows; item += MAP_ROWS) {
        const int bin = item / place.rows, row = item % place.rows;
        const T* cells = logits + (size_t(bin) * h + place.first_row + row) * w;
        room.mixed[bin][row][threadIdx.x] =
            mix(to_float(cells[place.column.first]), to_float(cells[place.column.second]), place.column.share);
    }
}

DEVICE void gather(Gathered& sums, const float* logits, int count, const float* centres, Sharpness sharp) {
    float most = logits[0];
    for (int i = 1; i < count; i++) most = fmaxf(most, logits[i]);
    sums.raise(most, sharp);
    for (int i = 0; i < count; i++) sums.add(logits[i], centres + 2 * i, sharp);
}

// The block's pixels need few rows of cells: they are mixed across columns once for all.
template <class T>
DEVICE void gather_enlarged(const T* logits, const float* centres, Sharpness sharp, int bins, int h, int w,
                            const MapPlace& place, Gathered& sums) {
    SHARED(MapRoom, room);
    const int above = place.row.first - place.first_row, below = place.row.second - place.first_row;
    for (int first = 0; first < bins; first += MAP_BINS) {
        const int count = min(MAP_BINS, bins - first);
        mix_columns(logits + size_t(first) * h * w, count, h, w, place, room);
        __syncthreads();
        float mixed[MAP_BINS];
        for (int i = 0; i < count; i++)
            mixed[i] = mix(room.mixed[i][above][threadIdx.x], room.mixed[i][below][threadIdx.x], place.row.share);
        gather(sums, mixed, count, centres + 2 * first, sharp);
        __syncthreads();
    }
}

// The map is made smaller: rows of cells are many and hardly shared.
template <class T>
DEVICE void gather_reduced(const T* logits, const float* centres, Sharpness sharp, int bins, int h, int w,
                           const MapPlace& place, Gathered& sums) {
    for (int bin = 0; bin < bins; bin++) {
        const float logit = bilinear(logits + size_t(bin) * h * w, w, place.row, place.column);
        gather(sums, &logit, 1, centres + 2 * bin, sharp);
    }
}

template <class T>
DEVICE void distribution_map(const T* logits, const float* centres, float scale, float annealing, int bins, int h,
                             int w, float* ab, float* entropy, int height, int width) {
    const MapPlace place = map_place(h, w, height, width);
    const Sharpness sharp = sharpness(scale, annealing);
    Gathered sums;
    if (place.rows <= MAP_CELL_ROWS)
        gather_enlarged(logits, centres, sharp, bins, h, w, place, sums);
    else
        gather_reduced(logits, centres, sharp, bins, h, w, place, sums);
    const int x = blockIdx.x * MAP_COLUMNS + threadIdx.x, y = blockIdx.y * MAP_ROWS + threadIdx.y;
    if (x >= width || y >= height) return;
    const size_t plane = size_t(height) * width, at = size_t(y) * width + x;
    if (ab) {
        ab[at] = sums.a / sums.annealed;
        ab[plane + at] = sums.b / sums.annealed;
    }
    if (entropy) entropy[at] = sums.entropy(scale);
}

KERNEL(MAP_THREADS, distribution_map_f32, const float* logits, const float* centres, float scale, float annealing,
       int bins, int h, int w, float* ab, float* entropy, int height, int width) {
    distribution_map(logits, centres, scale, annealing, bins, h, w, ab, entropy, height, width);
}

KERNEL(MAP_THREADS, distribution_map_f16, const __half* logits, const float* centres, float scale, float annealing,
       int bins, int h, int w, float* ab, float* entropy, int height, int width) {
    distribution_map(logits, centres, scale, annealing, bins, h, w, ab, entropy, height, width);
}
