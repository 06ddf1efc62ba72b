// The hints of a touch: everything that does not depend on single cells.
//
// touch_tokens  one block per hint: the maps under its patch, its token, and from that its key, focus, surprise and
//               part of the mood
// touch_shares  one block per hint m: every hint's share at m, and the value of every hint's Gaussian at m;
//               one more block: the mood, pooled over the hints, plus what the global hints add
// touch_values  one block: values whose mixture by shares is, at every hint, its difference from the automatic colour
//               (Richardson iteration)
#include "touch.cuh"

constexpr int HINT_THREADS = 128, HINT_WARPS = HINT_THREADS / WARP_LANES;

struct TouchMaps {
    const float *query, *key, *gate, *base, *mood;
    int h, w;
};

// The maps under one hint.
struct Sampled {
    float key[HEADS * KEY], query[HEADS][QUERY_CHANNELS], mood[2 * MOOD], gate[HEADS], base[2];
};
constexpr int SAMPLED_FLOATS = sizeof(Sampled) / sizeof(float);

struct TokenShared {
    Sampled sampled;
    float token[TOKEN], hidden[HIDDEN], out[OUT], surprise, focus[HEADS], narrowing[HEADS];
};

// The plane that number `index` of Sampled is taken from.
DEVICE const float* plane_of(const TouchMaps& maps, int index) {
    const int cells = maps.h * maps.w;
    if (index < HEADS * KEY) return maps.key + size_t(index) * cells;
    index -= HEADS * KEY;
    if (index < HEADS * QUERY_CHANNELS) return maps.query + size_t(index) * cells;
    index -= HEADS * QUERY_CHANNELS;
    if (index < 2 * MOOD) return maps.mood + size_t(index) * cells;
    index -= 2 * MOOD;
    if (index < HEADS) return maps.gate + size_t(index) * cells;
    return maps.base + size_t(index - HEADS) * cells;
}

// Means over the hint's patch, by the midpoints of its four quarters.
DEVICE void sample_patch(const TouchMaps& maps, const Hint& hint, Sampled& sampled) {
    const float x = float(hint.x), y = float(hint.y), step = hint.size / (4.0f * WORKING_PX);
    const Neighbours left = neighbours_at(x - step, maps.w), right = neighbours_at(x + step, maps.w);
    const Neighbours upper = neighbours_at(y - step, maps.h), lower = neighbours_at(y + step, maps.h);
    float* means = reinterpret_cast<float*>(&sampled);
    for (int index = threadIdx.x; index < SAMPLED_FLOATS; index += HINT_THREADS) {
        const float* plane = plane_of(maps, index);
        const float above = bilinear(plane, maps.w, upper, left) + bilinear(plane, maps.w, upper, right);
        const float below = bilinear(plane, maps.w, lower, left) + bilinear(plane, maps.w, lower, right);
        means[index] = (above + below) * 0.25f;
    }
}

DEVICE float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

// Element `index` of the hint's token: keys, difference from the automatic colour, colour, size, global hints' flags.
DEVICE float token_element(const Sampled& sampled, const Hint& hint, const float* global_hints, int index) {
    if (index < HEADS * KEY) return sampled.key[index];
    const float a = hint.a / AB_SCALE, b = hint.b / AB_SCALE;
    switch (index - HEADS * KEY) {
        case 0: return (a - sampled.base[0]) * 4.0f;
        case 1: return (b - sampled.base[1]) * 4.0f;
        case 2: return a * 4.0f;
        case 3: return b * 4.0f;
        case 4: return (hint.size - DEFAULT_SIZE_PX) / 4.0f;
        case 5: return global_hints[HISTOGRAM_FLAG];
        default: return global_hints[SATURATION_FLAG];
    }
}

// matrix [ROWS, HIDDEN] times a vector [HIDDEN] in shared memory: a warp per row.
template <int ROWS>
DEVICE void project(const float (*matrix)[HIDDEN], const float* vector, float* out) {
    const int lane = threadIdx.x % WARP_LANES;
    for (int row = threadIdx.x / WARP_LANES; row < ROWS; row += HINT_WARPS) {
        float sum = 0.0f;
        for (int i = lane; i < HIDDEN; i += WARP_LANES) sum += matrix[row][i] * vector[i];
        sum = warp_sum(sum);
        if (lane == 0) out[row] = sum;
    }
}

// The hint's surprise, 0…1.
DEVICE float surprise_of(const Sampled& sampled, const Hint& hint, const TouchWeights& weights) {
    const float a = hint.a / AB_SCALE - sampled.base[0], b = hint.b / AB_SCALE - sampled.base[1];
    const float distance = sqrtf(a * a + b * b + MIN_SURPRISE);
    return 1.0f / (1.0f + expf((weights.surprise[0] - distance) * weights.surprise[1]));
}

// Row `row` of the token's output, bounded to ± limit; 0 for a hint without surprise.
DEVICE float bounded(const TokenShared& shared, const TouchWeights& weights, int row, float limit, float surprise) {
    return limit * tanhf(FOCUS_SLOPE * (shared.out[row] + weights.out_bias[row])) * surprise;
}

// Writes what the later kernels need of hint n.
DEVICE void write_hint(const TokenShared& shared, const Hint& hint, const TouchWeights& weights, int n,
                       TouchWork& work) {
    const Sampled& sampled = shared.sampled;
    const float x = float(hint.x) - MIDDLE, y = float(hint.y) - MIDDLE;
    for (int index = threadIdx.x; index < HEADS * KEY_CHANNELS; index += HINT_THREADS) {
        const int head = index / KEY_CHANNELS, channel = index % KEY_CHANNELS;
        const float narrowing = shared.narrowing[head];
        // Positive focus also raises the logit, so that the hint gets more of the cells that follow this head.
        const float bias = shared.out[MOOD + head] + weights.out_bias[MOOD + head] + fmaxf(shared.focus[head], 0.0f);
        const float position[4] = {narrowing * x, narrowing * y, narrowing,
                                   bias - narrowing * weights.reach[head] * (x * x + y * y)};
        work.keys[n][head][channel] = channel < KEY ? sampled.key[head * KEY + channel] : position[channel - KEY];
        work.queries[n][head][channel] = sampled.query[head][channel];
    }
    const int thread = threadIdx.x;
    if (thread < 2 * MOOD) work.mood_maps[n][thread] = sampled.mood[thread];
    if (thread < MOOD)
        work.moods[n][thread] = (shared.out[thread] + weights.out_bias[thread]) * (1.0f - shared.surprise);
    if (thread < HEADS) work.gates[n][thread] = sampled.gate[thread];
    if (thread < HEADS) work.nulls[n][thread] = sampled.query[thread][KEY_CHANNELS];
    if (thread < HEADS) work.focus[thread][n] = shared.focus[thread];
    if (thread < 2) work.bases[n][thread] = sampled.base[thread];
    if (thread == 0) work.surprises[n] = shared.surprise;
}

KERNEL(HINT_THREADS, touch_tokens, const Hint* hints, const int* count, const float* query, const float* key,
       const float* gate, const float* base, const float* mood, const float* global_hints, const TouchWeights* weights,
       TouchWork* work, int h, int w) {
    SHARED(TokenShared, shared);
    const int n = blockIdx.x, thread = threadIdx.x;
    if (n >= hints_in(count)) return;
    const Hint hint = hints[n];
    sample_patch({query, key, gate, base, mood, h, w}, hint, shared.sampled);
    __syncthreads();
    for (int index = thread; index < TOKEN; index += HINT_THREADS)
        shared.token[index] = token_element(shared.sampled, hint, global_hints, index);
    __syncthreads();
    float sum = weights->token_bias[thread];
    for (int i = 0; i < TOKEN; i++) sum += shared.token[i] * weights->token[i][thread];
    shared.hidden[thread] = gelu(sum);
    __syncthreads();
    project<OUT>(weights->out, shared.hidden, shared.out);
    __syncthreads();
    if (thread < HEADS) {
        const float surprise = surprise_of(shared.sampled, hint, *weights);
        const int focus = MOOD + HEADS + thread, narrowing = focus + HEADS;
        if (thread == 0) shared.surprise = surprise;
        shared.focus[thread] = bounded(shared, *weights, focus, MAX_FOCUS, surprise);
        shared.narrowing[thread] = expf(bounded(shared, *weights, narrowing, MAX_NARROWING, surprise));
    }
    __syncthreads();
    write_hint(shared, hint, *weights, n, *work);
}

struct SharesShared {
    alignas(16) float query[HEADS][KEY_CHANNELS];
    float hidden[HIDDEN], global_mood[MOOD], partial[3 * HEADS][HINT_WARPS];
};

DEVICE void pool_mood(int count, const float* global_hints, const TouchWeights& weights, TouchWork& work,
                      SharesShared& shared) {
    const int thread = threadIdx.x;
    float sum = 0.0f;
    for (int i = 0; i < GLOBALS; i++) sum += global_hints[i] * weights.global_hidden[i][thread];
    shared.hidden[thread] = gelu(sum);
    __syncthreads();
    project<MOOD>(weights.global_mood, shared.hidden, shared.global_mood);
    __syncthreads();
    if (thread >= MOOD) return;
    float pooled = 0.0f;
    for (int n = 0; n < count; n++) pooled += work.moods[n][thread];
    work.mood[thread] = pooled / float(1 + count) + shared.global_mood[thread];
}

// Of each head: the weight, and the weight times focus and times surprise; of one hint, or summed over the hints.
struct HeadSums {
    float weight[HEADS], focus[HEADS], surprise[HEADS];
};

// Sums over the block's threads, behind one barrier; every thread gets them.
DEVICE HeadSums sums_of_block(const HeadSums& own, SharesShared& shared) {
    const int lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES;
    for (int head = 0; head < HEADS; head++) {
        const float weight = warp_sum(own.weight[head]), focus = warp_sum(own.focus[head]);
        const float surprise = warp_sum(own.surprise[head]);
        if (lane == 0) {
            shared.partial[head][warp] = weight;
            shared.partial[HEADS + head][warp] = focus;
            shared.partial[2 * HEADS + head][warp] = surprise;
        }
    }
    __syncthreads();
    HeadSums sums = {};
    for (int head = 0; head < HEADS; head++)
        for (int part = 0; part < HINT_WARPS; part++) {
            sums.weight[head] += shared.partial[head][part];
            sums.focus[head] += shared.partial[HEADS + head][part];
            sums.surprise[head] += shared.partial[2 * HEADS + head][part];
        }
    return sums;
}

// Thread n writes hint n's share at hint m.
DEVICE void write_shares(int m, int count, const TouchWeights& weights, TouchWork& work, SharesShared& shared) {
    const int n = threadIdx.x;
    for (int index = n; index < HEADS * KEY_CHANNELS; index += HINT_THREADS)
        shared.query[index / KEY_CHANNELS][index % KEY_CHANNELS] =
            work.queries[m][index / KEY_CHANNELS][index % KEY_CHANNELS];
    __syncthreads();
    HeadSums own = {};
    for (int head = 0; head < HEADS && n < count; head++) {
        own.weight[head] = weight_of(dot(work.keys[n][head], shared.query[head]) + work.nulls[m][head]);
        own.focus[head] = own.weight[head] * work.focus[head][n];
        own.surprise[head] = own.weight[head] * work.surprises[n];
    }
    const HeadSums sums = sums_of_block(own, shared);
    float share = 0.0f, surprising = 0.0f, null = 0.0f, gates = 0.0f;
    for (int head = 0; head < HEADS; head++) {
        const float focused = focused_gate(work.gates[m][head], sums.weight[head], sums.focus[head]);
        const float null_share = focused / (1.0f + sums.weight[head]);
        share += own.weight[head] * null_share;
        surprising += sums.surprise[head] * null_share;
        null += null_share;
        gates += focused;
    }
    const float gain = gain_of_surprise(surprising / gates, null / gates, weights);
    if (n < count) work.shares[n][m] = share / gates * (1.0f + work.surprises[n] * (gain - 1.0f));
}

KERNEL(HINT_THREADS, touch_shares, const Hint* hints, const int* count, const float* global_hints,
       const TouchWeights* weights, TouchWork* work) {
    SHARED(SharesShared, shared);
    const int hint_count = hints_in(count), m = blockIdx.x, n = threadIdx.x;
    if (m == MAX_HINTS) {
        pool_mood(hint_count, global_hints, *weights, *work, shared);
        return;
    }
    if (m >= hint_count) return;
    write_shares(m, hint_count, *weights, *work, shared);
    if (n < hint_count)
        work->gaussians[m][n] =
            gaussian(float(hints[m].x) - float(hints[n].x)) * gaussian(float(hints[m].y) - float(hints[n].y));
}

constexpr int VALUES_THREADS = 2 * MAX_HINTS;

struct ValuesShared {
    float values[2][MAX_HINTS];
};

KERNEL(VALUES_THREADS, touch_values, const Hint* hints, const int* count, TouchWork* work) {
    SHARED(ValuesShared, shared);
    const int hint_count = hints_in(count), channel = threadIdx.x / MAX_HINTS, m = threadIdx.x % MAX_HINTS;
    float difference = 0.0f;
    if (m < hint_count) {
        const float colour = (channel ? hints[m].b : hints[m].a) / AB_SCALE;
        float automatic = work->bases[m][channel];
        for (int i = 0; i < MOOD; i++) automatic += work->mood[i] * work->mood_maps[m][channel * MOOD + i];
        difference = colour - automatic;
    }
    float value = difference;
    for (int round = 0; round < ROUNDS; round++) {
        shared.values[channel][m] = value;
        __syncthreads();
        if (m < hint_count) {
            float mixture = 0.0f;
            for (int n = 0; n < hint_count; n++) mixture += shared.values[channel][n] * work->shares[n][m];
            value += difference - mixture;
        }
        __syncthreads();
    }
    work->values[channel][m] = value;
}
