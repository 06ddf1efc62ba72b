// Hints and the maps of a photograph → coarse colours and distributions, at every touch.
#include "state.h"

static const float MIN_SHARE = 1e-4f, MAX_FOCUS = 6, MAX_NARROWING = 3, FOCUS_SLOPE = 8;

double hints[MAX_HINTS * 5];  // x, y in 0…1, a, b in CIELAB units, size in working pixels; in their order
static int slots[MAX_HINTS], fresh[MAX_HINTS];  // where the token of each hint is kept; which hints are new, rising
static float global_hints[GLOBAL];
static struct token tokens[MAX_HINTS];
static float rows[BLOCKS * MAX_HINTS * HEADS * BLOCK];      // [block][slot][head][cell]
static v4 pairs[MAX_HINTS][MAX_HINTS];                      // at slot m, the weight of slot n in each head
static float shares[MAX_HINTS][MAX_HINTS];                  // at hint m, the share of hint n; in their order
static float whole_mood[MOOD], coarse[2 * CELLS], probabilities[BINS];

API double *hints_start(void) { return hints; }
API int *slots_start(void) { return slots; }
API int *fresh_start(void) { return fresh; }
API float *global_hints_start(void) { return global_hints; }
API float *probabilities_start(void) { return probabilities; }

// The four cells around a point, weighted bilinearly by `share`; borders are repeated.
static void add_taps(struct taps *taps, float px, float py, float share) {
  float x = clamp(px * SIDE - 0.5f, 0, SIDE - 1), y = clamp(py * SIDE - 0.5f, 0, SIDE - 1);
  int left = x < SIDE - 2 ? (int)x : SIDE - 2, top = y < SIDE - 2 ? (int)y : SIDE - 2;
  float right = x - left, bottom = y - top;
  float found[4] = {(1 - right) * (1 - bottom), right * (1 - bottom), (1 - right) * bottom, right * bottom};
  for (int i = 0; i < 4; i++) {
    taps->cells[taps->count] = (top + i / 2) * SIDE + left + i % 2;
    taps->weights[taps->count++] = found[i] * share;
  }
}

static struct taps point_taps(float x, float y) {
  struct taps taps = {.count = 0};
  add_taps(&taps, x, y, 1);
  return taps;
}

// A hint's patch is read at the midpoints of its four quarters.
static struct taps patch_taps(float x, float y, float size) {
  struct taps taps = {.count = 0};
  float step = size / (4 * PLANE);
  add_taps(&taps, x - step, y - step, 0.25f);
  add_taps(&taps, x + step, y - step, 0.25f);
  add_taps(&taps, x - step, y + step, 0.25f);
  add_taps(&taps, x + step, y + step, 0.25f);
  return taps;
}

// A layer of HEADS outputs limited to ± largest, times the surprise.
static v4 bounded(const float *w, const float *bias, const float *in, float largest, float surprise) {
  v4 x;
  for (int h = 0; h < HEADS; h++) x[h] = bias[h] + dot(w + h * TOKEN, in, TOKEN);
  return largest * tanh4(FOCUS_SLOPE * x) * surprise;
}

// The hidden layer of a token, after GELU.
static void token_hidden(const struct token *token, const float *key_here, const float *base_here, float size, float *out) {
  float in[TOKEN_INPUTS + 1] = {0}, *rest = in + HEADS * KEY;
  for (int c = 0; c < HEADS * KEY; c++) in[c] = key_here[c];
  for (int c = 0; c < 2; c++) {
    rest[c] = (token->ab[c] - base_here[c]) * 4;
    rest[2 + c] = token->ab[c] * 4;
    rest[5 + c] = global_hints[c ? GLOBAL - 1 : GLOBAL - 3];
  }
  rest[4] = (size - 5) / 4;
  for (int o = 0; o < TOKEN; o++) {
    const float *w = weights.token + o * TOKEN_INPUTS;
    float sum = weights.token_bias[o] + dot(w, in, HEADS * KEY);
    for (int i = HEADS * KEY; i < TOKEN_INPUTS; i++) sum += w[i] * in[i];
    out[o] = sum;
  }
  for (int o = 0; o < TOKEN; o += 4) store(out + o, gelu4(load(out + o)));
}

static void make_token(struct token *token, const double *hint) {
  float x = (float)hint[0], y = (float)hint[1], size = (float)hint[4], key_here[HEADS * KEY], base_here[2], inner[TOKEN];
  struct taps *here = &token->here;
  *here = patch_taps(x, y, size);
  for (int c = 0; c < 2; c++) {
    token->ab[c] = (float)hint[2 + c] / AB_SCALE;
    base_here[c] = sample(base, 2, c, here);
  }
  for (int c = 0; c < HEADS * KEY; c++) key_here[c] = sample(key, HEADS * KEY, c, here);
  for (int c = 0; c < HEADS * ROW; c++) token->query[c] = sample(query, HEADS * ROW, c, here);
  for (int h = 0; h < HEADS; h++) token->gate[h] = sample(gate, HEADS, h, here);
  token_hidden(token, key_here, base_here, size, inner);
  float da = token->ab[0] - base_here[0], db = token->ab[1] - base_here[1];
  float distance = __builtin_sqrtf(da * da + db * db + 1e-6f);
  float surprise = token->surprise = sigmoid4(splat((distance - weights.surprise[0]) * weights.surprise[1]))[0];
  v4 focus = bounded(weights.token_focus, weights.token_focus_bias, inner, MAX_FOCUS, surprise);
  v4 narrowing = exp4(bounded(weights.token_narrowing, weights.token_narrowing_bias, inner, MAX_NARROWING, surprise));
  store(token->focus, focus);
  for (int k = 0; k < MOOD; k++) {
    float own = weights.token_mood_bias[k] + dot(weights.token_mood + k * TOKEN, inner, TOKEN);
    token->mood[k] = own * (1 - surprise);
  }
  float px = x - 0.5f, py = y - 0.5f;
  for (int h = 0; h < HEADS; h++) {
    float *keys = token->keys + h * ROW, t = narrowing[h], reach = exp1(REACH_SLOPE * weights.reach[h]);
    float weight = weights.token_weight_bias[h] + dot(weights.token_weight + h * TOKEN, inner, TOKEN);
    for (int k = 0; k < KEY; k++) keys[k] = key_here[h * KEY + k];
    keys[KEY] = px * t;
    keys[KEY + 1] = py * t;
    keys[KEY + 2] = t;
    keys[KEY + 3] = -t * reach * (px * px + py * py) + weight + (focus[h] > 0 ? focus[h] : 0);
    keys[KEY + 4] = 1;
  }
}

static inline v4 weight_of_logit(v4 logit) { return exp4(min4(logit, splat(MAX_LOGIT))); }

// The rows of one or two slots in one head and 16 cells.
static inline void fill_row(int block, int h, int p, const int *of, int count) {
  const float *from = query + (block * HEADS * ROW + h * ROW) * BLOCK + p;
  v4 sums[2][4] = {{splat(0)}};
  for (int k = 0; k < 2; k++) for (int j = 0; j < 4; j++) sums[k][j] = splat(0);
  const float *first = tokens[of[0]].keys + h * ROW, *second = tokens[of[count - 1]].keys + h * ROW;
  for (int c = 0; c < ROW; c++) {
    v4 a = splat(first[c]), b = splat(second[c]);
    for (int j = 0; j < 4; j++) {
      v4 q = load(from + c * BLOCK + 4 * j);
      sums[0][j] += a * q;
      sums[1][j] += b * q;
    }
  }
  for (int k = 0; k < count; k++) {
    float *to = rows + ((block * MAX_HINTS + of[k]) * HEADS + h) * BLOCK + p;
    for (int j = 0; j < 4; j++) store(to + 4 * j, weight_of_logit(sums[k][j]));
  }
}

// How much of slot n arrives at a place with these queries [HEADS * ROW], in each head.
static v4 weight_at(const float *queries, const struct token *of) {
  v4 logit;
  for (int h = 0; h < HEADS; h++) {
    const float *q = queries + h * ROW, *k = of->keys + h * ROW;
    float sum = dot(q, k, ROW - 1);
    logit[h] = sum + q[ROW - 1] * k[ROW - 1];
  }
  return weight_of_logit(logit);
}

// Compute tokens and rows of the hints at `fresh_start`, which are new in their slots. All hints, `count` of them, lie at
// `hints_start`, and their slots at `slots_start`.
API void add_hints(int fresh_count, int count) {
  int of[MAX_HINTS];
  for (int i = 0; i < fresh_count; i++) {
    of[i] = slots[fresh[i]];
    make_token(&tokens[of[i]], hints + fresh[i] * 5);
  }
  for (int block = 0; block < BLOCKS; block++) {
    for (int h = 0; h < HEADS; h++) for (int i = 0; i < fresh_count; i += 2) for (int p = 0; p < BLOCK; p += 16) {
      fill_row(block, h, p, of + i, fresh_count - i < 2 ? 1 : 2);
    }
  }
  for (int i = 0; i < fresh_count; i++) for (int n = 0; n < count; n++) {
    pairs[of[i]][slots[n]] = weight_at(tokens[of[i]].query, &tokens[slots[n]]);
    pairs[slots[n]][of[i]] = weight_at(tokens[slots[n]].query, &tokens[of[i]]);
  }
}

// Take over the global hints at `global_hints_start`; zeros ask for nothing. All hints are new then.
API void use_global_hints(void) {
  float inner[GLOBAL_HIDDEN];
  for (int o = 0; o < GLOBAL_HIDDEN; o++) inner[o] = dot(weights.global_hidden + o * GLOBAL, global_hints, GLOBAL);
  for (int o = 0; o < GLOBAL_HIDDEN; o += 4) store(inner + o, gelu4(load(inner + o)));
  for (int k = 0; k < MOOD; k++) whole_mood[k] = dot(weights.global_mood + k * GLOBAL_HIDDEN, inner, GLOBAL_HIDDEN);
}

// The mood of the picture, pooled over its hints and what is asked of it as a whole.
static void pool_mood(int count, float *out) {
  for (int k = 0; k < MOOD; k++) {
    float sum = 0;
    for (int n = 0; n < count; n++) sum += tokens[slots[n]].mood[k];
    out[k] = whole_mood[k] + sum / (1 + count);
  }
}

// Factor of the shares of surprising hints, from their sum and the share of the automatic colour.
static inline v4 gain_of_surprise(v4 surprising, v4 null) {
  v4 odds = log4((surprising + MIN_SHARE) / (null + MIN_SHARE));
  v4 part = sigmoid4((odds - weights.contrast[0]) * weights.contrast[1]);
  return part * (surprising + null) / (surprising + MIN_SHARE);
}

// Shares of the hints at a place, from their weights there and its gates. Returns that of the automatic colour.
static float shares_at(const v4 *weights_here, const float *gates, int count, float *out) {
  v4 total = splat(1), moved = splat(0);
  for (int n = 0; n < count; n++) {
    total += weights_here[n];
    moved += weights_here[n] * load(tokens[slots[n]].focus);
  }
  v4 open = load(gates) * exp4(moved / total);
  open = open / sum4(open) / total;
  float null = sum4(open), surprising = 0;
  for (int n = 0; n < count; n++) {
    out[n] = sum4(weights_here[n] * open);
    surprising += tokens[slots[n]].surprise * out[n];
  }
  float more = gain_of_surprise(splat(surprising), splat(null))[0] - 1;
  for (int n = 0; n < count; n++) out[n] *= 1 + tokens[slots[n]].surprise * more;
  return null - surprising * more;
}

// The values with which the attention gives each hint's difference from the automatic colour at the hint.
static void consistent_values(int count, float (*values)[2]) {
  static float delta[MAX_HINTS][2], next[MAX_HINTS][2];
  static v4 here[MAX_HINTS];
  for (int m = 0; m < count; m++) {
    struct token *token = &tokens[slots[m]];
    for (int c = 0; c < 2; c++) values[m][c] = delta[m][c] = token->ab[c] - sample(coarse, 2, c, &token->here);
    for (int n = 0; n < count; n++) here[n] = pairs[slots[m]][slots[n]];
    shares_at(here, token->gate, count, shares[m]);
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int m = 0; m < count; m++) for (int c = 0; c < 2; c++) {
      float sum = 0;
      for (int n = 0; n < count; n++) sum += values[n][c] * shares[m][n];
      next[m][c] = values[m][c] + delta[m][c] - sum;
    }
    for (int m = 0; m < count; m++) for (int c = 0; c < 2; c++) values[m][c] = next[m][c];
  }
}

// coarse ← the automatic colours and their shift by the mood.
static void shift_base(int count) {
  float pooled[MOOD];
  pool_mood(count, pooled);
  for (int block = 0; block < BLOCKS; block++) for (int c = 0; c < 2; c++) for (int p = 0; p < BLOCK; p += 8) {
    const float *from = mood + (block * 2 * MOOD + c * MOOD) * BLOCK + p;
    v4 a = splat(0), b = splat(0);
    for (int k = 0; k < MOOD; k++) {
      a += pooled[k] * load(from + k * BLOCK);
      b += pooled[k] * load(from + k * BLOCK + 4);
    }
    int to = (block * 2 + c) * BLOCK + p;
    store(coarse + to, load(base + to) + a);
    store(coarse + to + 4, load(base + to + 4) + b);
  }
}

// Weighted sums over the hints in one head and four cells: values of the unsurprising and of the surprising ones,
// surprise, the weights (and the automatic colour's 1), focus.
static inline void weighted_sums(const float *row, float (*said)[6], const float *focus, int count, v4 *sums) {
  v4 a = splat(0), b = a, c = a, d = a, e = a, f = splat(1), g = a;
  for (int n = 0; n < count; n++) {
    v4 w = load(row + slots[n] * HEADS * BLOCK);
    a += said[n][0] * w;
    b += said[n][1] * w;
    c += said[n][2] * w;
    d += said[n][3] * w;
    e += said[n][4] * w;
    f += w;
    g += focus[n * HEADS] * w;
  }
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d, sums[4] = e, sums[5] = f, sums[6] = g;
}

// coarse += what the hints say.
static void attend(int count, float (*values)[2]) {
  static float said[MAX_HINTS][6], focus[MAX_HINTS * HEADS];
  for (int n = 0; n < count; n++) {
    struct token *token = &tokens[slots[n]];
    float s = said[n][4] = token->surprise;
    for (int c = 0; c < 2; c++) {
      said[n][c] = values[n][c] * (1 - s);
      said[n][2 + c] = values[n][c] * s;
    }
    store(focus + n * HEADS, load(token->focus));
  }
  for (int block = 0; block < BLOCKS; block++) for (int p = 0; p < BLOCK; p += 4) {
    v4 sums[HEADS][7], open[HEADS], all = splat(0), mixed[5] = {splat(0), splat(0), splat(0), splat(0), splat(0)};
    for (int h = 0; h < HEADS; h++) {
      weighted_sums(rows + (block * MAX_HINTS * HEADS + h) * BLOCK + p, said, focus + h, count, sums[h]);
      open[h] = load(gate + (block * HEADS + h) * BLOCK + p) * exp4(sums[h][6] / sums[h][5]);
      all += open[h];
    }
    v4 null = splat(0);
    for (int h = 0; h < HEADS; h++) {
      v4 share = open[h] / (all * sums[h][5]);
      null += share;
      for (int k = 0; k < 5; k++) mixed[k] += share * sums[h][k];
    }
    v4 gain = gain_of_surprise(mixed[4], null);
    for (int c = 0; c < 2; c++) {
      float *to = coarse + (block * 2 + c) * BLOCK + p;
      store(to, load(to) + mixed[c] + mixed[2 + c] * gain);
    }
  }
}


// ab [2, 256, 256] of the hints, before `match_hints`.
API void colorize(int count) {
  static float values[MAX_HINTS][2];
  shift_base(count);
  if (count) {
    consistent_values(count, values);
    attend(count, values);
  }
  enlarge(coarse);
  if (count) anchor(count);
}

// logits += share · the automatic logits of a cell.
static void add_bin_logits(int cell, float share, float *logits) {
  float in[WIDTH], inner[BINS_HIDDEN];
  for (int c = 0; c < WIDTH; c++) in[c] = *at(blocked, WIDTH, c, cell);
  for (int o = 0; o < BINS_HIDDEN; o++) inner[o] = weights.bins_hidden_bias[o] + dot(weights.bins_hidden + o * WIDTH, in, WIDTH);
  for (int o = 0; o < BINS_HIDDEN; o += 4) store(inner + o, leaky4(load(inner + o)));
  for (int o = 0; o < BINS; o++) {
    logits[o] += share * (weights.bins_bias[o] + dot(weights.bins + o * BINS_HIDDEN, inner, BINS_HIDDEN));
  }
}

// out += share · softmax of logits [BINS].
static void add_softmax(const float *logits, float share, float *out) {
  float top = logits[0], sum = 0, found[BINS + 3];
  for (int i = 1; i < BINS; i++) top = logits[i] > top ? logits[i] : top;
  for (int i = 0; i < BINS + 3; i += 4) {
    v4 x;
    for (int k = 0; k < 4; k++) x[k] = i + k < BINS ? logits[i + k] - top : -87;
    store(found + i, exp4(x));
  }
  for (int i = 0; i < BINS; i++) sum += found[i];
  for (int i = 0; i < BINS; i++) out[i] += share * found[i] / sum;
}

// The distribution over the bins at a point (x, y in 0…1), written to `probabilities_start`.
API void distribution(float x, float y, int count) {
  static v4 here[MAX_HINTS];
  float logits[BINS] = {0}, pooled[MOOD], queries[HEADS * ROW], gates[HEADS], found[MAX_HINTS];
  struct taps taps = point_taps(x, y);
  pool_mood(count, pooled);
  for (int i = 0; i < taps.count; i++) add_bin_logits(taps.cells[i], taps.weights[i], logits);
  for (int o = 0; o < BINS; o++) logits[o] += dot(weights.bins_mood + o * MOOD, pooled, MOOD);
  for (int c = 0; c < HEADS * ROW; c++) queries[c] = sample(query, HEADS * ROW, c, &taps);
  for (int h = 0; h < HEADS; h++) gates[h] = sample(gate, HEADS, h, &taps);
  for (int n = 0; n < count; n++) here[n] = weight_at(queries, &tokens[slots[n]]);
  float null = shares_at(here, gates, count, found);
  for (int o = 0; o < BINS; o++) probabilities[o] = 0;
  add_softmax(logits, null, probabilities);
  for (int n = 0; n < count; n++) {
    const float *ab = tokens[slots[n]].ab;
    for (int o = 0; o < BINS; o++) {
      float a = ab[0] * AB_SCALE - weights.centres[2 * o], b = ab[1] * AB_SCALE - weights.centres[2 * o + 1];
      logits[o] = -(a * a + b * b) / 50;  // 2 sigma^2 of the soft encoding
    }
    add_softmax(logits, found[n], probabilities);
  }
}
