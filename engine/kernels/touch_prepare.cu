// What the hints of a touch say before any pixel is asked.
//
// touch_tokens   one block a hint: the maps under its patch, its token, key, weight and focus, and its share
//                of the mood
// touch_share    one block a hint m: how much every hint counts in the colour at m, and how far their anchors reach m;
//                one block more: the mood vector, pooled over the hints and moved by the global hints
// touch_values   one block: what each hint must send so that together they give the asked colours at the hints
//                (Richardson's iteration)
#include "touch.cuh"

constexpr int PREPARE_THREADS = 128, PREPARE_WARPS = PREPARE_THREADS / WARP_LANES;

struct TouchMaps {
    const float *query, *key, *gate, *base, *mood;
    int h, w;
};

// The maps under one hint.
struct Sampled {
    float key[HEADS * KEY], query[HEADS][QUERY], mood[2 * MOOD], gate[HEADS], base[2];
};
constexpr int SAMPLED = sizeof(Sampled) / sizeof(float);

struct TokenRoom {
    Sampled sampled;
    float token[TOKEN], hidden[HIDDEN], out[OUT], surprise, focus[HEADS], narrowing[HEADS];
};

// The plane that fills float number `index` of Sampled.
DEVICE const float* plane_of(const TouchMaps& maps, int index) {
    const int cells = maps.h * maps.w;
    if (index < HEADS * KEY) return maps.key + size_t(index) * cells;
    index -= HEADS * KEY;
    if (index < HEADS * QUERY) return maps.query + size_t(index) * cells;
    index -= HEADS * QUERY;
    if (index < 2 * MOOD) return maps.mood + size_t(index) * cells;
    index -= 2 * MOOD;
    if (index < HEADS) return maps.gate + size_t(index) * cells;
    return maps.base + size_t(index - HEADS) * cells;
}

// Means over the hint's patch, by the midpoints of its four quarters.
DEVICE void sample_patch(const TouchMaps& maps, const Hint& hint, Sampled& sampled) {
    const float x = float(hint.x), y = float(hint.y), step = hint.size / (4.0f * WORKING_PX);
    const Between left = between_place(x - step, maps.w), right = between_place(x + step, maps.w);
    const Between upper = between_place(y - step, maps.h), lower = between_place(y + step, maps.h);
    float* means = reinterpret_cast<float*>(&sampled);
    for (int index = threadIdx.x; index < SAMPLED; index += PREPARE_THREADS) {
        const float* plane = plane_of(maps, index);
        const float above = bilinear(plane, maps.w, upper, left) + bilinear(plane, maps.w, upper, right);
        const float below = bilinear(plane, maps.w, lower, left) + bilinear(plane, maps.w, lower, right);
        means[index] = (above + below) * 0.25f;
    }
}

DEVICE float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

// Element `index` of the hint's token: keys, colour against the automatic one, colour, size, what is known already.
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

// matrix [ROWS, HIDDEN] times a vector [HIDDEN] in shared memory: a warp a row.
template <int ROWS>
DEVICE void project(const float (*matrix)[HIDDEN], const float* vector, float* out) {
    const int lane = threadIdx.x % WARP_LANES;
    for (int row = threadIdx.x / WARP_LANES; row < ROWS; row += PREPARE_WARPS) {
        float sum = 0.0f;
        for (int i = lane; i < HIDDEN; i += WARP_LANES) sum += matrix[row][i] * vector[i];
        sum = warp_sum(sum);
        if (lane == 0) out[row] = sum;
    }
}

// How much of a surprise the hint is, 0 to 1, by its distance from the automatic colour.
DEVICE float surprise_of(const Sampled& sampled, const Hint& hint, const TouchWeights& weights) {
    const float a = hint.a / AB_SCALE - sampled.base[0], b = hint.b / AB_SCALE - sampled.base[1];
    const float far = sqrtf(a * a + b * b + MIN_SURPRISE);
    return 1.0f / (1.0f + expf((weights.surprise[0] - far) * weights.surprise[1]));
}

// Row `row` of what the token says, brought to ± largest and silent where the hint surprises nobody.
DEVICE float bounded(const TokenRoom& room, const TouchWeights& weights, int row, float largest, float surprise) {
    return largest * tanhf(FOCUS_SLOPE * (room.out[row] + weights.out_bias[row])) * surprise;
}

// Keys and queries of one hint, its focus, its gates and the maps that the next kernels need.
DEVICE void keep(const TokenRoom& room, const Hint& hint, const TouchWeights& weights, int n, TouchWork& work) {
    const float x = float(hint.x) - MIDDLE, y = float(hint.y) - MIDDLE;
    for (int index = threadIdx.x; index < HEADS * CHANNELS; index += PREPARE_THREADS) {
        const int head = index / CHANNELS, channel = index % CHANNELS;
        const float narrow = room.narrowing[head];
        const float weight = room.out[MOOD + head] + weights.out_bias[MOOD + head] +
                             fmaxf(room.focus[head], 0.0f);  // louder in the heads that the hint asks for
        const float place[4] = {narrow * x, narrow * y, narrow,
                                weight - narrow * weights.reach[head] * (x * x + y * y)};
        work.keys[n][head][channel] = channel < KEY ? room.sampled.key[head * KEY + channel] : place[channel - KEY];
        work.queries[n][head][channel] = room.sampled.query[head][channel];
    }
    const int thread = threadIdx.x;
    if (thread < 2 * MOOD) work.mood_maps[n][thread] = room.sampled.mood[thread];
    if (thread < MOOD) work.moods[n][thread] = (room.out[thread] + weights.out_bias[thread]) * (1.0f - room.surprise);
    if (thread < HEADS) work.gates[n][thread] = room.sampled.gate[thread];
    if (thread < HEADS) work.nulls[n][thread] = room.sampled.query[thread][CHANNELS];
    if (thread < HEADS) work.focus[thread][n] = room.focus[thread];
    if (thread < 2) work.bases[n][thread] = room.sampled.base[thread];
    if (thread == 0) work.surprises[n] = room.surprise;
}

KERNEL(PREPARE_THREADS, touch_tokens, const Hint* hints, const int* count, const float* query, const float* key,
       const float* gate, const float* base, const float* mood, const float* global_hints, const TouchWeights* weights,
       TouchWork* work, int h, int w) {
    SHARED(TokenRoom, room);
    const int n = blockIdx.x, thread = threadIdx.x;
    if (n >= hints_in(count)) return;
    const Hint hint = hints[n];
    sample_patch({query, key, gate, base, mood, h, w}, hint, room.sampled);
    __syncthreads();
    for (int index = thread; index < TOKEN; index += PREPARE_THREADS)
        room.token[index] = token_element(room.sampled, hint, global_hints, index);
    __syncthreads();
    float sum = weights->token_bias[thread];
    for (int i = 0; i < TOKEN; i++) sum += room.token[i] * weights->token[i][thread];
    room.hidden[thread] = gelu(sum);
    __syncthreads();
    project<OUT>(weights->out, room.hidden, room.out);
    __syncthreads();
    if (thread < HEADS) {
        const float surprise = surprise_of(room.sampled, hint, *weights);
        const int focus = MOOD + HEADS + thread, narrowing = focus + HEADS;
        if (thread == 0) room.surprise = surprise;
        room.focus[thread] = bounded(room, *weights, focus, MAX_FOCUS, surprise);
        room.narrowing[thread] = expf(bounded(room, *weights, narrowing, MAX_NARROWING, surprise));
    }
    __syncthreads();
    keep(room, hint, *weights, n, *work);
}

struct ShareRoom {
    alignas(16) float query[HEADS][CHANNELS];
    float hidden[HIDDEN], global_mood[MOOD], partial[3 * HEADS][PREPARE_WARPS];
};

DEVICE void pool_mood(int count, const float* global_hints, const TouchWeights& weights, TouchWork& work,
                      ShareRoom& room) {
    const int thread = threadIdx.x;
    float sum = 0.0f;
    for (int i = 0; i < GLOBALS; i++) sum += global_hints[i] * weights.global_hidden[i][thread];
    room.hidden[thread] = gelu(sum);
    __syncthreads();
    project<MOOD>(weights.global_mood, room.hidden, room.global_mood);
    __syncthreads();
    if (thread >= MOOD) return;
    float pooled = 0.0f;
    for (int n = 0; n < count; n++) pooled += work.moods[n][thread];
    work.mood[thread] = pooled / float(1 + count) + room.global_mood[thread];
}

// What all hints together are at hint m.
struct Heard {
    float weight[HEADS], focus[HEADS], surprise[HEADS];  // sums over the hints of w, of w·focus and of w·surprise
};

// The block's sums of what every thread brings, all behind one barrier; every thread gets them.
DEVICE Heard heard_by_all(const Heard& mine, ShareRoom& room) {
    const int lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES;
    for (int head = 0; head < HEADS; head++) {
        const float weight = warp_sum(mine.weight[head]), focus = warp_sum(mine.focus[head]);
        const float surprise = warp_sum(mine.surprise[head]);
        if (lane == 0) {
            room.partial[head][warp] = weight;
            room.partial[HEADS + head][warp] = focus;
            room.partial[2 * HEADS + head][warp] = surprise;
        }
    }
    __syncthreads();
    Heard all = {};
    for (int head = 0; head < HEADS; head++)
        for (int part = 0; part < PREPARE_WARPS; part++) {
            all.weight[head] += room.partial[head][part];
            all.focus[head] += room.partial[HEADS + head][part];
            all.surprise[head] += room.partial[2 * HEADS + head][part];
        }
    return all;
}

// Thread n: hint n's share in the colour at hint m, summed over the heads.
DEVICE void share_in(int m, int count, const TouchWeights& weights, TouchWork& work, ShareRoom& room) {
    const int n = threadIdx.x;
    for (int index = n; index < HEADS * CHANNELS; index += PREPARE_THREADS)
        room.query[index / CHANNELS][index % CHANNELS] = work.queries[m][index / CHANNELS][index % CHANNELS];
    __syncthreads();
    Heard mine = {};
    for (int head = 0; head < HEADS && n < count; head++) {
        mine.weight[head] = weight_of(product(work.keys[n][head], room.query[head]) + work.nulls[m][head]);
        mine.focus[head] = mine.weight[head] * work.focus[head][n];
        mine.surprise[head] = mine.weight[head] * work.surprises[n];
    }
    const Heard all = heard_by_all(mine, room);
    float share = 0.0f, surprising = 0.0f, null = 0.0f, gates = 0.0f;
    for (int head = 0; head < HEADS; head++) {
        const float moved = moved_gate(work.gates[m][head], all.weight[head], all.focus[head]);
        const float gate = moved / (1.0f + all.weight[head]);
        share += mine.weight[head] * gate;
        surprising += all.surprise[head] * gate;
        null += gate;
        gates += moved;
    }
    const float gain = gain_of_surprise(surprising / gates, null / gates, weights);
    if (n < count) work.shares[n][m] = share / gates * (1.0f + work.surprises[n] * (gain - 1.0f));
}

KERNEL(PREPARE_THREADS, touch_share, const Hint* hints, const int* count, const float* global_hints,
       const TouchWeights* weights, TouchWork* work) {
    SHARED(ShareRoom, room);
    const int hint_count = hints_in(count), m = blockIdx.x, n = threadIdx.x;
    if (m == MAX_HINTS) {
        pool_mood(hint_count, global_hints, *weights, *work, room);
        return;
    }
    if (m >= hint_count) return;
    share_in(m, hint_count, *weights, *work, room);
    if (n < hint_count)
        work->bumps[m][n] = bump(float(hints[m].x) - float(hints[n].x)) * bump(float(hints[m].y) - float(hints[n].y));
}

constexpr int VALUES_THREADS = 2 * MAX_HINTS;

struct ValuesRoom {
    float values[2][MAX_HINTS];
};

KERNEL(VALUES_THREADS, touch_values, const Hint* hints, const int* count, TouchWork* work) {
    SHARED(ValuesRoom, room);
    const int hint_count = hints_in(count), channel = threadIdx.x / MAX_HINTS, m = threadIdx.x % MAX_HINTS;
    float delta = 0.0f;
    if (m < hint_count) {
        const float asked = (channel ? hints[m].b : hints[m].a) / AB_SCALE;
        float automatic = work->bases[m][channel];
        for (int i = 0; i < MOOD; i++) automatic += work->mood[i] * work->mood_maps[m][channel * MOOD + i];
        delta = asked - automatic;
    }
    float value = delta;
    for (int round = 0; round < ROUNDS; round++) {
        room.values[channel][m] = value;
        __syncthreads();
        if (m < hint_count) {
            float given = 0.0f;
            for (int n = 0; n < hint_count; n++) given += room.values[channel][n] * work->shares[n][m];
            value += delta - given;
        }
        __syncthreads();
    }
    work->values[channel][m] = value;
}
