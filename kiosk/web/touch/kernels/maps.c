// Features → the maps of a photograph, once.
#include "state.h"

struct weights weights;
float features[WIDTH * CELLS];  // [96, 64, 64], written by the caller of `open_photograph`
float query[HEADS * ROW * CELLS], key[HEADS * KEY * CELLS], gate[HEADS * CELLS], base[2 * CELLS];
float mood[2 * MOOD * CELLS], up[UP * CELLS], blocked[WIDTH * CELLS];
static float hidden[WIDTH * CELLS], kinds[KINDS * CELLS], null_logits[HEADS * CELLS];

API float *weights_start(void) { return (float *)&weights; }
API int weights_count(void) { return sizeof weights / sizeof(float); }
API float *features_start(void) { return features; }

// Four outputs of a 1 x 1 convolution in 8 cells of a block. w: weights of the first output, [4][ci].
static inline void mix_four(const float *in, const float *w, const float *bias, float *out, int ci) {
  v4 sums[4][2];
  for (int k = 0; k < 4; k++) sums[k][0] = sums[k][1] = splat(bias[k]);
  for (int i = 0; i < ci; i++) {
    v4 a = load(in + i * BLOCK), b = load(in + i * BLOCK + 4);
    for (int k = 0; k < 4; k++) {
      v4 weight = splat(w[k * ci + i]);
      sums[k][0] += weight * a;
      sums[k][1] += weight * b;
    }
  }
  for (int k = 0; k < 4; k++) {
    store(out + k * BLOCK, sums[k][0]);
    store(out + k * BLOCK + 4, sums[k][1]);
  }
}

static inline void mix_one(const float *in, const float *w, float bias, float *out, int ci) {
  v4 a = splat(bias), b = a;
  for (int i = 0; i < ci; i++) {
    a += w[i] * load(in + i * BLOCK);
    b += w[i] * load(in + i * BLOCK + 4);
  }
  store(out, a);
  store(out + 4, b);
}

// A 1 x 1 convolution of a map of `ci` channels → `co` channels of a map of `channels`, from the channel `first`.
static void mix(const float *in, int ci, const float *w, const float *bias, float *out, int co, int channels, int first) {
  for (int block = 0; block < BLOCKS; block++) {
    const float *from = in + block * ci * BLOCK;
    float *to = out + (block * channels + first) * BLOCK;
    for (int o = 0; o < co; o += o + 4 <= co ? 4 : 1) {
      for (int p = 0; p < BLOCK; p += 8) {
        if (o + 4 <= co) mix_four(from + p, w + o * ci, bias + o, to + o * BLOCK + p, ci);
        else mix_one(from + p, w + o * ci, bias[o], to + o * BLOCK + p, ci);
      }
    }
  }
}

// Rows y - 1…y + 1 of the features around 16 cells, with zeros beyond the border: [96][3][24].
static void gather(int y, int x, float *near) {
  for (int i = 0; i < WIDTH; i++) {
    for (int row = 0; row < 3; row++) {
      float *to = near + (i * 3 + row) * 24;
      const float *from = features + i * CELLS + (y + row - 1) * SIDE + x - 1;
      for (int j = 0; j < 18; j++) {
        int inside = y + row >= 1 && y + row <= SIDE && x + j >= 1 && x + j <= SIDE;
        to[j] = inside ? from[j] : 0;
      }
    }
  }
}

// The hidden layer of `up`: a 3 x 3 convolution and a leaky ReLU.
static void convolve(void) {
  static float near[WIDTH * 3 * 24];
  for (int y = 0; y < SIDE; y++) for (int x = 0; x < SIDE; x += 16) {
    gather(y, x, near);
    for (int o = 0; o < WIDTH; o += 4) for (int p = 0; p < 16; p += 8) {
      v4 sums[4][2];
      for (int k = 0; k < 4; k++) sums[k][0] = sums[k][1] = splat(weights.up_hidden_bias[o + k]);
      for (int i = 0; i < WIDTH; i++) {
        const float *w = weights.up_hidden + (o * WIDTH + i) * NINE;
        for (int t = 0; t < NINE; t++) {
          const float *row = near + (i * 3 + t / 3) * 24 + t % 3 + p;
          v4 a = load(row), b = load(row + 4);
          for (int k = 0; k < 4; k++) {
            v4 weight = splat(w[k * WIDTH * NINE + t]);
            sums[k][0] += weight * a;
            sums[k][1] += weight * b;
          }
        }
      }
      for (int k = 0; k < 4; k++) {
        float *to = at(hidden, WIDTH, o + k, y * SIDE + x + p);
        store(to, leaky4(sums[k][0]));
        store(to + 4, leaky4(sums[k][1]));
      }
    }
  }
}

// Softmax over the `count` channels of a map that lie `step` apart, in place, from the channel `first`.
static void softmax(float *map, int channels, int first, int step, int count) {
  for (int cell = 0; cell < CELLS; cell += 4) {
    float *from = at(map, channels, first, cell);
    v4 top = load(from), sum = splat(0);
    for (int k = 1; k < count; k++) top = max4(top, load(from + k * step * BLOCK));
    for (int k = 0; k < count; k++) {
      v4 e = exp4(load(from + k * step * BLOCK) - top);
      store(from + k * step * BLOCK, e);
      sum += e;
    }
    for (int k = 0; k < count; k++) store(from + k * step * BLOCK, load(from + k * step * BLOCK) / sum);
  }
}

static void scale(float *map, int count, float factor) {
  for (int i = 0; i < count; i += 4) store(map + i, load(map + i) * factor);
}

// What is guarded in a cell: skin, hair, plants, and everything but the paint of a vehicle.
static float guarded_share(int c, int cell) {
  return c < GUARDED - 1 ? *at(kinds, KINDS, c + 1, cell) : 1 - *at(kinds, KINDS, KINDS - 1, cell);
}

// Queries and keys of a head, with the guards in their last channels.
static void query_head(int h) {
  int channels = HEADS * ROW, first = h * ROW;
  mix(blocked, WIDTH, weights.query + h * KEY * WIDTH, weights.query_bias + h * KEY, query, KEY, channels, first);
  float reach = exp1(REACH_SLOPE * weights.reach[h]);
  for (int cell = 0; cell < CELLS; cell++) {
    float x = (cell % SIDE + 0.5f) / SIDE - 0.5f, y = (cell / SIDE + 0.5f) / SIDE - 0.5f;
    float *q = at(query, channels, first, cell), *k = at(key, HEADS * KEY, h * KEY, cell);
    for (int i = 0; i < KEY; i++) q[i * BLOCK] *= 0.176776695f;  // 1 / sqrt(KEY)
    for (int c = 0; c < GUARDED; c++) {
      float guard = weights.guard[h * GUARDED + c], share = guarded_share(c, cell);
      q[(KEY - GUARDED + c) * BLOCK] -= guard * share;
      k[(KEY - GUARDED + c) * BLOCK] += guard * (1 - share);
    }
    q[KEY * BLOCK] = 2 * reach * x;
    q[(KEY + 1) * BLOCK] = 2 * reach * y;
    q[(KEY + 2) * BLOCK] = -reach * (x * x + y * y);
    q[(KEY + 3) * BLOCK] = 1;
    q[(KEY + 4) * BLOCK] = -*at(null_logits, HEADS, h, cell);
  }
}

// Compute the maps of the photograph whose features lie at `features_start`. vivid: factor of the automatic colours.
API void open_photograph(float vivid) {
  for (int c = 0; c < WIDTH; c++) {
    for (int cell = 0; cell < CELLS; cell += 4) store(at(blocked, WIDTH, c, cell), load(features + c * CELLS + cell));
  }
  mix(blocked, WIDTH, weights.kinds_hidden, weights.kinds_hidden_bias, hidden, KINDS_HIDDEN, KINDS_HIDDEN, 0);
  for (int i = 0; i < KINDS_HIDDEN * CELLS; i += 4) store(hidden + i, leaky4(load(hidden + i)));
  mix(hidden, KINDS_HIDDEN, weights.kinds, weights.kinds_bias, kinds, KINDS, KINDS, 0);
  softmax(kinds, KINDS, 0, 1, KINDS);
  mix(blocked, WIDTH, weights.key, weights.key_bias, key, HEADS * KEY, HEADS * KEY, 0);
  mix(blocked, WIDTH, weights.null, weights.null_bias, null_logits, HEADS, HEADS, 0);
  for (int h = 0; h < HEADS; h++) query_head(h);
  mix(blocked, WIDTH, weights.gate, weights.gate_bias, gate, HEADS, HEADS, 0);
  softmax(gate, HEADS, 0, 1, HEADS);
  mix(blocked, WIDTH, weights.base, weights.base_bias, base, 2, 2, 0);
  scale(base, 2 * CELLS, 0.1f * vivid);
  mix(blocked, WIDTH, weights.mood, weights.mood_bias, mood, 2 * MOOD, 2 * MOOD, 0);
  scale(mood, 2 * MOOD * CELLS, 0.1f * vivid);
  convolve();
  mix(hidden, WIDTH, weights.up, weights.up_bias, up, UP, UP, 0);
  for (int fine = 0; fine < FINE * FINE; fine++) softmax(up, UP, fine, FINE * FINE, NINE);
}
