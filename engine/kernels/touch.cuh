// The touch stage of form "hint-attention-3" (build_engine/networks/hint_attention.py): sizes, weights and scratch
// memory.
//
// Whoever changes the form changes these files, table.py, touch.py, the reference and the tests in the same commit.
#pragma once
#include "hints.cuh"

constexpr int MAX_HINTS = 128, HEADS = 4, KEY = 32, MOOD = 32, HIDDEN = 128, GLOBALS = 316;
// A key's channels, and the planes of the query map a head: one more, the null token's logit, whose key is 1.
constexpr int CHANNELS = KEY + 4, QUERY = CHANNELS + 1;
constexpr int TOKEN = HEADS * KEY + 7, OUT = MOOD + 3 * HEADS, HISTOGRAM_FLAG = 313, SATURATION_FLAG = 315, ROUNDS = 3;
constexpr float MAX_LOGIT = 30.0f, AB_SCALE = 110.0f, DEFAULT_SIZE_PX = 5.0f, WORKING_PX = 256.0f;
constexpr float MIDDLE = 0.5f;  // where the places of the distance penalty count from, in x and in y
constexpr float MAX_FOCUS = 6.0f, MAX_NARROWING = 3.0f, FOCUS_SLOPE = 8.0f;
constexpr float MIN_SURPRISE = 1e-6f, MIN_SHARE = 1e-4f;
constexpr float ANCHOR = 7.0f / WORKING_PX;  // standard deviation of an anchor's bump

// touch.pack_weights writes this.
struct TouchWeights {
    float reach[HEADS];  // distance penalty of every head
    float surprise[2];   // where surprise begins, in ab / 110, and how steeply
    float contrast[2];   // the odds of surprising hints that become even, as a logarithm, and the power of odds
    float token[TOKEN][HIDDEN], token_bias[HIDDEN];
    float out[OUT][HIDDEN], out_bias[OUT];  // rows: mood, the heads' weights, focus and narrowing
    float global_hidden[GLOBALS][HIDDEN], global_mood[MOOD][HIDDEN];
};

// What the six kernels hand on to one another; touch.WORK_BYTES is its size.
struct TouchWork {
    float keys[MAX_HINTS][HEADS][CHANNELS];     // touch_tokens → touch_share, touch_flow
    float queries[MAX_HINTS][HEADS][CHANNELS];  // the query map under each hint
    float nulls[MAX_HINTS][HEADS];              // the last plane of that map
    float gates[MAX_HINTS][HEADS];
    float focus[HEADS][MAX_HINTS];  // touch_tokens → touch_share, touch_flow
    float surprises[MAX_HINTS];     // the same
    float mood_maps[MAX_HINTS][2 * MOOD];
    float bases[MAX_HINTS][2];
    float moods[MAX_HINTS][MOOD];
    float mood[MOOD];                      // touch_share → touch_values, touch_flow
    float shares[MAX_HINTS][MAX_HINTS];  // of hint n (row) in the colour at hint m
    float bumps[MAX_HINTS][MAX_HINTS];   // of hint n's anchor at hint m; symmetric
    float values[2][MAX_HINTS];           // touch_values → touch_flow: what each hint sends, ab / 110
    float heights[2][MAX_HINTS];          // touch_heights → touch_fine: of the anchors, CIELAB units
};
static_assert(sizeof(TouchWork) == 337536, "touch.WORK_BYTES must say the same");

DEVICE int hints_in(const int* count) { return min(max(*count, 0), MAX_HINTS); }

DEVICE float weight_of(float logit) { return expf(fminf(logit, MAX_LOGIT)); }

// A head's gate at a place, moved by the focus of the hints it hears there: `weight` and `focus` are the sums over the
// hints of w and of w·focus. Whoever mixes heads divides by the sum of their moved gates.
DEVICE float moved_gate(float gate, float weight, float focus) { return gate * expf(focus / (1.0f + weight)); }

// A key (16-byte aligned) times a query (in registers or shared memory).
DEVICE float product(const float* key, const float* query) {
    float sum = 0.0f;
    for (int c = 0; c < CHANNELS; c += 4) {
        const float4 k = wide_load<float4>(key + c);
        sum += k.x * query[c] + k.y * query[c + 1] + k.z * query[c + 2] + k.w * query[c + 3];
    }
    return sum;
}

// What the shares of surprising hints are multiplied by, from their sum and the automatic colour's share: the odds
// between the two are raised to a power, what the two have together stays.
DEVICE float gain_of_surprise(float surprising, float null, const TouchWeights& weights) {
    const float odds = logf((surprising + MIN_SHARE) / (null + MIN_SHARE));
    const float wanted = 1.0f / (1.0f + expf((weights.contrast[0] - odds) * weights.contrast[1]));
    return wanted * (surprising + null) / (surprising + MIN_SHARE);
}

DEVICE float bump(float distance) { return expf(distance * distance * (-0.5f / (ANCHOR * ANCHOR))); }
