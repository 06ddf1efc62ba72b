// Hint attention: every cell attends over the hints and the null token, in one pass.
//
// touch_flow: coarse ab/110 [2, h·w] = automatic colour + mood + Σ over heads of gate' · Σ w·value / (1 + Σ w), with
//   w = exp(logit), where what surprising hints give is multiplied by `gain_of_surprise` after the sum over the heads.
//   The null token's weight is 1 because the query carries minus its logit, and no maximum has to be kept because
//   logits are clamped at MAX_LOGIT. The distance penalty is part of the product (see hint_attention.py).
//   gate' is the cell's gate, moved by the focus of the hints it hears: gate · exp(Σ w·focus / (1 + Σ w)), divided by
//   the sum of that over the heads. That sum divides the mixture at its end, so that one barrier serves both.
//   plain  one thread a cell and head, keys straight from memory
//   fast   a block of 32 cells and 4 heads, a warp a head: the query stays in registers, keys pass through shared
//          memory 32 hints at a time, in 16-byte accesses that all lanes of a warp share
#include "touch.cuh"

constexpr int FLOW_CELLS = 32, FLOW_HINTS = 32, FLOW_THREADS = FLOW_CELLS * HEADS;

// What a head leaves of a cell, by its moved gate: a and b of what surprises nobody, a and b of what surprises, the
// share of the hints that surprise, the null token's share, and the gate itself, by which the others' sums are divided.
enum Part { CALM_A, CALM_B, FRONT_A, FRONT_B, SURPRISING, NULL_TOKEN, GATE, PARTS };

struct FlowRoom {
    alignas(16) float keys[FLOW_HINTS][HEADS][CHANNELS];
    float values[4][FLOW_HINTS], surprises[FLOW_HINTS], focus[HEADS][FLOW_HINTS];
    float parts[PARTS][HEADS][FLOW_CELLS], moods[2][HEADS][FLOW_CELLS];
};
static_assert(FLOW_THREADS == HEADS * FLOW_HINTS, "a thread loads one hint's focus of one head");
static_assert(HEADS == 4, "a row of threads loads one of the four values");

DEVICE void load_hints(const TouchWork& work, int first, int hints, FlowRoom& room) {
    const float* from = work.keys[first][0];
    float* to = room.keys[0][0];
    const int thread = thread_in_block(), row = thread / FLOW_HINTS, n = thread % FLOW_HINTS;
    for (int i = thread * 4; i < hints * HEADS * CHANNELS; i += FLOW_THREADS * 4)
        wide_store(to + i, wide_load<float4>(from + i));
    if (n >= hints) return;
    const float surprise = work.surprises[first + n];
    room.focus[row][n] = work.focus[row][first + n];
    room.values[row][n] = work.values[row % 2][first + n] * (row < FRONT_A ? 1.0f - surprise : surprise);
    if (row == 0) room.surprises[n] = surprise;
}

// Sums over the hints of w times 1, its focus, its surprise and its four values.
struct Flow {
    float weight = 0.0f, focus = 0.0f, surprise = 0.0f, values[4] = {};
};

// One head of one cell over the hints in shared memory.
DEVICE void attend(const FlowRoom& room, int hints, int head, const float* query, Flow& flow) {
    for (int n = 0; n < hints; n++) {
        const float weight = weight_of(product(room.keys[n][head], query) + query[CHANNELS]);
        flow.weight += weight;
        flow.focus += weight * room.focus[head][n];
        flow.surprise += weight * room.surprises[n];
        for (int i = 0; i < 4; i++) flow.values[i] += weight * room.values[i][n];
    }
}

// One head's part number `part` of a cell.
DEVICE float part_of(const Flow& flow, float moved, int part) {
    if (part == GATE) return moved;
    const float gain = moved / (1.0f + flow.weight);
    return part == NULL_TOKEN ? gain : gain * (part == SURPRISING ? flow.surprise : flow.values[part]);
}

// This head's quarter of what the mood adds to one channel of a cell.
DEVICE float mood_part(const float* mood, const TouchWork& work, int channel, int head, int cells, int cell) {
    float sum = 0.0f;
    for (int i = head * (MOOD / HEADS); i < (head + 1) * (MOOD / HEADS); i++)
        sum += work.mood[i] * mood[size_t(channel * MOOD + i) * cells + cell];
    return sum;
}

DEVICE float over_heads(const float (*parts)[FLOW_CELLS], int lane) {
    float sum = 0.0f;
    for (int head = 0; head < HEADS; head++) sum += parts[head][lane];
    return sum;
}

// One channel of a cell, from what its heads left in shared memory: the automatic colour, the mood and the hints.
DEVICE float mixed_heads(const FlowRoom& room, const TouchWeights& weights, int channel, int lane, float automatic) {
    const float gates = over_heads(room.parts[GATE], lane);
    const float surprising = over_heads(room.parts[SURPRISING], lane) / gates;
    const float gain = gain_of_surprise(surprising, over_heads(room.parts[NULL_TOKEN], lane) / gates, weights);
    const float calm = over_heads(room.parts[CALM_A + channel], lane);
    const float front = over_heads(room.parts[FRONT_A + channel], lane);
    return automatic + over_heads(room.moods[channel], lane) + (calm + front * gain) / gates;
}

KERNEL(FLOW_THREADS, touch_flow, const int* count, const float* query, const float* gate, const float* base,
       const float* mood, const TouchWeights* weights, const TouchWork* work, float* coarse, int h, int w) {
    SHARED(FlowRoom, room);
    const int cells = h * w, lane = threadIdx.x, head = threadIdx.y, hints = hints_in(count);
    const int at = blockIdx.x * FLOW_CELLS + lane, cell = min(at, cells - 1);
    float mine[QUERY];
    for (int c = 0; c < QUERY; c++) mine[c] = query[size_t(head * QUERY + c) * cells + cell];
    Flow flow;
    for (int first = 0; first < hints; first += FLOW_HINTS) {
        const int some = min(FLOW_HINTS, hints - first);
        load_hints(*work, first, some, room);
        __syncthreads();
        attend(room, some, head, mine, flow);
        __syncthreads();
    }
    const float moved = moved_gate(gate[size_t(head) * cells + cell], flow.weight, flow.focus);
    for (int part = 0; part < PARTS; part++) room.parts[part][head][lane] = part_of(flow, moved, part);
    for (int channel = 0; channel < 2; channel++)
        room.moods[channel][head][lane] = mood_part(mood, *work, channel, head, cells, cell);
    __syncthreads();
    if (head >= 2 || at >= cells) return;
    const size_t channel_at = size_t(head) * cells + cell;
    coarse[channel_at] = mixed_heads(room, *weights, head, lane, base[channel_at]);
}
