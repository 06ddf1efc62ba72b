// The touch stage of form "hint-attention-3" (build_engine/networks/hint_attention.py): terms, sizes, weights, scratch
// memory, and the formulas that several kernels use. A change of the form changes these files, table.py, touch.py, the
// references and the tests in the same commit.
//
// Each cell of the encoder's maps attends over the hints and a null token, in HEADS heads.
//   key, query   of a hint, of a cell: their product is a logit, which contains a penalty for the distance of the two
//   logit        of a hint in a cell, against the null token's
//   weight       exp(logit), not normalised; the null token's is 1
//   gate         of a head in a cell: its part in the mixture of the heads
//   share        of a hint in a cell: Σ over heads of gate · weight / (1 + Σ weights); the null token has the rest
//   automatic    colour of a cell: the one that it has without hints; the null token stands for it
//   value        of a hint: the colour that its share multiplies, as a difference from the automatic one, in ab/110
// Terms of our own:
//   surprise     of a hint, 0…1: how far its colour is from the automatic one
//   focus        of a hint in a head: moves the logarithm of the head's gate where the hint has weight
//   narrowing    of a hint in a head: multiplies the head's distance penalty
//   contrast     raises the odds of surprising hints against the null token to a power, so that these hints get nearly
//                the whole of a cell or nearly nothing
//   mood         a vector for the whole picture, pooled over the hints, that moves the automatic colours
//   correction   a Gaussian around each hint that gives the pixel there the hint's colour
#pragma once
#include "hints.cuh"

constexpr int MAX_HINTS = 128, HEADS = 4, KEY = 32, MOOD = 32, HIDDEN = 128, GLOBALS = 316;
// Channels of a key: KEY learned ones and 4 for the distance penalty. A query has one more, minus the null token's
// logit, which counts as it is.
constexpr int KEY_CHANNELS = KEY + 4, QUERY_CHANNELS = KEY_CHANNELS + 1;
constexpr int TOKEN = HEADS * KEY + 7, OUT = MOOD + 3 * HEADS, HISTOGRAM_FLAG = 313, SATURATION_FLAG = 315, ROUNDS = 3;
constexpr float MAX_LOGIT = 30.0f, DEFAULT_SIZE_PX = 5.0f, WORKING_PX = 256.0f;
constexpr float MIDDLE = 0.5f;  // origin of positions in the distance penalty, in x and in y
constexpr float MAX_FOCUS = 6.0f, MAX_NARROWING = 3.0f, FOCUS_SLOPE = 8.0f;
constexpr float MIN_SURPRISE = 1e-6f, MIN_SHARE = 1e-4f;
constexpr float SIGMA = 7.0f / WORKING_PX;  // of a correction's Gaussian, in widths of the photograph

// What touch.pack_weights writes.
struct TouchWeights {
    float reach[HEADS];  // distance penalty of each head
    float surprise[2];   // the distance in ab/110 at which surprise is ½, and its slope
    float contrast[2];   // the logarithm of the odds that become even, and the power of odds
    float token[TOKEN][HIDDEN], token_bias[HIDDEN];
    float out[OUT][HIDDEN], out_bias[OUT];  // rows: mood, then of each head the logit's bias, focus and narrowing
    float global_hidden[GLOBALS][HIDDEN], global_mood[MOOD][HIDDEN];
};

// Memory that the six kernels share; touch.WORK_BYTES is its size. First what touch_tokens writes of every hint, then
// what the later kernels write.
struct TouchWork {
    float keys[MAX_HINTS][HEADS][KEY_CHANNELS];
    float queries[MAX_HINTS][HEADS][KEY_CHANNELS];  // the query map under the hint
    float nulls[MAX_HINTS][HEADS];                  // the last channel of that map
    float gates[MAX_HINTS][HEADS];                  // the gate map under the hint
    float focus[HEADS][MAX_HINTS];
    float surprises[MAX_HINTS];
    float mood_maps[MAX_HINTS][2 * MOOD];   // the mood map under the hint
    float bases[MAX_HINTS][2];              // the base map under the hint
    float moods[MAX_HINTS][MOOD];           // its part of the mood
    float mood[MOOD];                       // touch_shares
    float shares[MAX_HINTS][MAX_HINTS];     // touch_shares: of hint n (row) at hint m
    float gaussians[MAX_HINTS][MAX_HINTS];  // touch_shares: of hint n (column) at hint m; symmetric
    float values[2][MAX_HINTS];             // touch_values
    float amplitudes[2][MAX_HINTS];         // touch_corrections: of the corrections' Gaussians, in CIELAB units
};
static_assert(sizeof(TouchWork) == 337536, "touch.WORK_BYTES must be the same number");

DEVICE int hints_in(const int* count) { return min(max(*count, 0), MAX_HINTS); }

DEVICE float weight_of(float logit) { return expf(fminf(logit, MAX_LOGIT)); }

// A head's gate after focus, not yet normalised over the heads. `weights` and `focus`: sums over the hints of the
// weight and of weight · focus.
DEVICE float focused_gate(float gate, float weights, float focus) { return gate * expf(focus / (1.0f + weights)); }

// A key (16-byte aligned) times a query (in registers or shared memory).
DEVICE float dot(const float* key, const float* query) {
    float sum = 0.0f;
    for (int c = 0; c < KEY_CHANNELS; c += 4) {
        const float4 k = wide_load<float4>(key + c);
        sum += k.x * query[c] + k.y * query[c + 1] + k.z * query[c + 2] + k.w * query[c + 3];
    }
    return sum;
}

// The factor on the shares of surprising hints, from their sum and the null token's share: the odds between the two are
// raised to a power; what the two have together stays.
DEVICE float gain_of_surprise(float surprising, float null, const TouchWeights& weights) {
    const float odds = logf((surprising + MIN_SHARE) / (null + MIN_SHARE));
    const float target = 1.0f / (1.0f + expf((weights.contrast[0] - odds) * weights.contrast[1]));
    return target * (surprising + null) / (surprising + MIN_SHARE);
}

// A correction's Gaussian along one axis; the product of both axes is its value.
DEVICE float gaussian(float distance) { return expf(distance * distance * (-0.5f / (SIGMA * SIGMA))); }
