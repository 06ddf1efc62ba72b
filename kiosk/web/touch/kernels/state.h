// What the kernels share: sizes, the weights, the maps of one photograph, and the hints.
//
// A map of C channels is stored in blocks of BLOCK cells, [CELLS / BLOCK][C][BLOCK], so that a loop over channels or
// hints reads memory in order. Names and formulae are those of build_engine/networks/hint_attention.py.
#ifndef STATE_H
#define STATE_H

#include "vectors.h"

#define API __attribute__((visibility("default")))

enum {
  SIDE = 64, CELLS = SIDE * SIDE, BLOCK = 32, BLOCKS = CELLS / BLOCK,
  WIDTH = 96, HEADS = 4, KEY = 32, ROW = KEY + 5, MOOD = 32, BINS = 313, KINDS = 7, GUARDED = 4,
  TOKEN = 128, TOKEN_INPUTS = HEADS * KEY + 7, GLOBAL = BINS + 3, GLOBAL_HIDDEN = 128, BINS_HIDDEN = 256,
  KINDS_HIDDEN = 64, NINE = 9, FINE = 4, UP = NINE * FINE * FINE, PLANE = SIDE * FINE,
  MAX_HINTS = 128, TAPS = 16, ROUNDS = 3,
};
static const float MAX_LOGIT = 30, AB_SCALE = 110, REACH_SLOPE = 5;

// In the order of TENSORS in kiosk/site/heads.py, which are followed by the bin centres.
struct weights {
  float base[2 * WIDTH], base_bias[2];
  float gate[HEADS * WIDTH], gate_bias[HEADS];
  float query[HEADS * KEY * WIDTH], query_bias[HEADS * KEY];
  float key[HEADS * KEY * WIDTH], key_bias[HEADS * KEY];
  float null[HEADS * WIDTH], null_bias[HEADS];
  float mood[2 * MOOD * WIDTH], mood_bias[2 * MOOD];
  float reach[HEADS];
  float kinds_hidden[KINDS_HIDDEN * WIDTH], kinds_hidden_bias[KINDS_HIDDEN];
  float kinds[KINDS * KINDS_HIDDEN], kinds_bias[KINDS];
  float guard[HEADS * GUARDED];
  float up_hidden[WIDTH * WIDTH * NINE], up_hidden_bias[WIDTH];
  float up[UP * WIDTH], up_bias[UP];
  float token[TOKEN * TOKEN_INPUTS], token_bias[TOKEN];
  float token_mood[MOOD * TOKEN], token_mood_bias[MOOD];
  float token_weight[HEADS * TOKEN], token_weight_bias[HEADS];
  float token_focus[HEADS * TOKEN], token_focus_bias[HEADS];
  float token_narrowing[HEADS * TOKEN], token_narrowing_bias[HEADS];
  float surprise[2], contrast[2];
  float global_hidden[GLOBAL_HIDDEN * GLOBAL], global_mood[MOOD * GLOBAL_HIDDEN];
  float bins_hidden[BINS_HIDDEN * WIDTH], bins_hidden_bias[BINS_HIDDEN];
  float bins[BINS * BINS_HIDDEN], bins_bias[BINS];
  float bins_mood[BINS * MOOD];
  float centres[BINS * 2];
};

// The cells around a place and their weights, which sum to 1.
struct taps {
  int cells[TAPS];
  float weights[TAPS];
  int count;
};

// What a hint says, whatever the others do. Its row holds the exponentials of its logits in all cells.
struct token {
  struct taps here;
  float ab[2], surprise, focus[HEADS], mood[MOOD];
  float keys[HEADS * ROW], query[HEADS * ROW], gate[HEADS];
};

extern struct weights weights;
extern float features[WIDTH * CELLS];
extern float query[HEADS * ROW * CELLS], key[HEADS * KEY * CELLS], gate[HEADS * CELLS], base[2 * CELLS];
extern float mood[2 * MOOD * CELLS], up[UP * CELLS], blocked[WIDTH * CELLS];
extern float ab[2 * PLANE * PLANE];
extern double hints[MAX_HINTS * 5];

void enlarge(float *coarse);
void anchor(int count);

// Channel `channel` of a map at a cell.
static inline float *at(float *map, int channels, int channel, int cell) {
  return map + ((cell / BLOCK) * channels + channel) * BLOCK + cell % BLOCK;
}

// The first channel of a map at a place; the next one is BLOCK further in each cell.
static inline float sample(float *map, int channels, int channel, const struct taps *taps) {
  float sum = 0;
  for (int i = 0; i < taps->count; i++) sum += taps->weights[i] * *at(map, channels, channel, taps->cells[i]);
  return sum;
}
#endif
