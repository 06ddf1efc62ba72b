// Hint attention over all cells, in one pass over the hints.
//
// touch_attention: coarse ab/110 [2, h·w] = automatic colour + Σ over hints of share · value. For each head:
//   w = exp(logit); the null token's is 1, because queries contain minus its logit. No running maximum is needed,
//   because logits are clamped at MAX_LOGIT.
//   focused gate = gate · exp(Σ w·focus / (1 + Σ w)), divided by its sum over the heads. The kernel divides at the end,
//   so that one barrier is enough.
//   The part of surprising hints is summed separately; `gain_of_surprise` multiplies it after the sum over the heads.
//   plain  one thread per cell and head, keys straight from memory
//   fast   a block of 32 cells and 4 heads, a warp per head: the query stays in registers; keys pass through shared
//          memory 32 hints at a time, in 16-byte accesses that broadcast to all lanes of a warp
#include "touch.cuh"

constexpr int ATTENTION_CELLS = 32, ATTENTION_HINTS = 32, ATTENTION_THREADS = ATTENTION_CELLS * HEADS;

// One head's part of a cell, multiplied by the focused gate: Σ w · value of unsurprising and of surprising hints (each
// split by 1 − surprise and surprise), the share of surprising hints, the null token's share, and the gate itself.
enum Part { EXPECTED_A, EXPECTED_B, SURPRISING_A, SURPRISING_B, SURPRISING_SHARE, NULL_SHARE, GATE, PARTS };

struct AttentionShared {
    alignas(16) float keys[ATTENTION_HINTS][HEADS][KEY_CHANNELS];
    float values[4][ATTENTION_HINTS], surprises[ATTENTION_HINTS], focus[HEADS][ATTENTION_HINTS];
    float parts[PARTS][HEADS][ATTENTION_CELLS], moods[2][HEADS][ATTENTION_CELLS];
};
static_assert(ATTENTION_THREADS == HEADS * ATTENTION_HINTS, "a thread loads one hint's focus in one head");
static_assert(HEADS == 4, "a row of threads loads one of the four values");

DEVICE void load_hints(const TouchWork& work, int first, int hints, AttentionShared& shared) {
    const float* from = work.keys[first][0];
    float* to = shared.keys[0][0];
    const int thread = thread_in_block(), row = thread / ATTENTION_HINTS, n = thread % ATTENTION_HINTS;
    for (int i = thread * 4; i < hints * HEADS * KEY_CHANNELS; i += ATTENTION_THREADS * 4)
        wide_store(to + i, wide_load<float4>(from + i));
    if (n >= hints) return;
    const float surprise = work.surprises[first + n];
    shared.focus[row][n] = work.focus[row][first + n];
    shared.values[row][n] = work.values[row % 2][first + n] * (row < SURPRISING_A ? 1.0f - surprise : surprise);
    if (row == 0) shared.surprises[n] = surprise;
}

// Sums over the hints of the weight, and of the weight times focus, surprise and the four values.
struct AttentionSums {
    float weight = 0.0f, focus = 0.0f, surprise = 0.0f, values[4] = {};
};

// Adds the hints in shared memory to the sums of one head in one cell.
DEVICE void attend(const AttentionShared& shared, int hints, int head, const float* query, AttentionSums& sums) {
    for (int n = 0; n < hints; n++) {
        const float weight = weight_of(dot(shared.keys[n][head], query) + query[KEY_CHANNELS]);
        sums.weight += weight;
        sums.focus += weight * shared.focus[head][n];
        sums.surprise += weight * shared.surprises[n];
        for (int i = 0; i < 4; i++) sums.values[i] += weight * shared.values[i][n];
    }
}

// Part number `part` of one head, whose focused gate is `gate`.
DEVICE float part_of(const AttentionSums& sums, float gate, int part) {
    if (part == GATE) return gate;
    const float null = gate / (1.0f + sums.weight);
    return part == NULL_SHARE ? null : null * (part == SURPRISING_SHARE ? sums.surprise : sums.values[part]);
}

// A quarter of mood · mood map in one channel of a cell: each of the four warps computes one.
DEVICE float mood_part(const float* mood, const TouchWork& work, int channel, int head, int cells, int cell) {
    float sum = 0.0f;
    for (int i = head * (MOOD / HEADS); i < (head + 1) * (MOOD / HEADS); i++)
        sum += work.mood[i] * mood[size_t(channel * MOOD + i) * cells + cell];
    return sum;
}

DEVICE float sum_over_heads(const float (*parts)[ATTENTION_CELLS], int lane) {
    float sum = 0.0f;
    for (int head = 0; head < HEADS; head++) sum += parts[head][lane];
    return sum;
}

// One channel of a cell, from the parts of its heads.
DEVICE float mix_heads(const AttentionShared& shared, const TouchWeights& weights, int channel, int lane, float base) {
    const float gates = sum_over_heads(shared.parts[GATE], lane);
    const float share = sum_over_heads(shared.parts[SURPRISING_SHARE], lane) / gates;
    const float gain = gain_of_surprise(share, sum_over_heads(shared.parts[NULL_SHARE], lane) / gates, weights);
    const float expected = sum_over_heads(shared.parts[EXPECTED_A + channel], lane);
    const float surprising = sum_over_heads(shared.parts[SURPRISING_A + channel], lane);
    return base + sum_over_heads(shared.moods[channel], lane) + (expected + surprising * gain) / gates;
}

KERNEL(ATTENTION_THREADS, touch_attention, const int* count, const float* query, const float* gate, const float* base,
       const float* mood, const TouchWeights* weights, const TouchWork* work, float* coarse, int h, int w) {
    SHARED(AttentionShared, shared);
    const int cells = h * w, lane = threadIdx.x, head = threadIdx.y, hints = hints_in(count);
    const int at = blockIdx.x * ATTENTION_CELLS + lane, cell = min(at, cells - 1);
    float own_query[QUERY_CHANNELS];
    for (int c = 0; c < QUERY_CHANNELS; c++) own_query[c] = query[size_t(head * QUERY_CHANNELS + c) * cells + cell];
    AttentionSums sums;
    for (int first = 0; first < hints; first += ATTENTION_HINTS) {
        const int loaded = min(ATTENTION_HINTS, hints - first);
        load_hints(*work, first, loaded, shared);
        __syncthreads();
        attend(shared, loaded, head, own_query, sums);
        __syncthreads();
    }
    const float focused = focused_gate(gate[size_t(head) * cells + cell], sums.weight, sums.focus);
    for (int part = 0; part < PARTS; part++) shared.parts[part][head][lane] = part_of(sums, focused, part);
    for (int channel = 0; channel < 2; channel++)
        shared.moods[channel][head][lane] = mood_part(mood, *work, channel, head, cells, cell);
    __syncthreads();
    if (head >= 2 || at >= cells) return;
    const size_t channel_at = size_t(head) * cells + cell;  // warps 0 and 1 write a and b
    coarse[channel_at] = mix_heads(shared, *weights, head, lane, base[channel_at]);
}
