// Coarse colours → ab at the working size, corrected at the hints, as half floats.
#include "state.h"

static const float ANCHOR_PX = 7;
enum { ANCHOR_REACH = 42 };  // beyond it the Gaussian is below 2e-8

float ab[2 * PLANE * PLANE];
static unsigned halves[PLANE * PLANE];

API float *ab_start(void) { return ab; }
API unsigned *halves_start(void) { return halves; }

// Four lines of four, transposed in place.
static inline void transpose(v4 *x) {
  v4 a = shuffle(x[0], x[1], 0, 4, 1, 5), b = shuffle(x[2], x[3], 0, 4, 1, 5);
  v4 c = shuffle(x[0], x[1], 2, 6, 3, 7), d = shuffle(x[2], x[3], 2, 6, 3, 7);
  x[0] = shuffle(a, b, 0, 1, 4, 5);
  x[1] = shuffle(a, b, 2, 3, 6, 7);
  x[2] = shuffle(c, d, 0, 1, 4, 5);
  x[3] = shuffle(c, d, 2, 3, 6, 7);
}

// Convex upsampling: each fine pixel is mixed of the 3 x 3 cells around it; borders are repeated. In CIELAB units.
void enlarge(float *coarse) {
  static float around[2][SIDE + 2][SIDE + 2];
  for (int c = 0; c < 2; c++) for (int y = 0; y < SIDE + 2; y++) for (int x = 0; x < SIDE + 2; x++) {
    int row = y < 1 ? 0 : y > SIDE ? SIDE - 1 : y - 1, column = x < 1 ? 0 : x > SIDE ? SIDE - 1 : x - 1;
    around[c][y][x] = *at(coarse, 2, c, row * SIDE + column) * AB_SCALE;
  }
  for (int cell = 0; cell < CELLS; cell += 4) {
    int y = cell / SIDE, x = cell % SIDE;
    for (int line = 0; line < FINE; line++) {
      v4 sums[2][FINE];
      for (int k = 0; k < FINE; k++) sums[0][k] = sums[1][k] = splat(0);
      for (int t = 0; t < NINE; t++) {
        const float *w = at(up, UP, t * FINE * FINE + line * FINE, cell);
        v4 a = load(&around[0][y + t / 3][x + t % 3]), b = load(&around[1][y + t / 3][x + t % 3]);
        for (int k = 0; k < FINE; k++) {
          v4 weight = load(w + k * BLOCK);
          sums[0][k] += a * weight;
          sums[1][k] += b * weight;
        }
      }
      for (int c = 0; c < 2; c++) {
        transpose(sums[c]);
        float *to = ab + (c * PLANE + y * FINE + line) * PLANE + x * FINE;
        for (int k = 0; k < FINE; k++) store(to + 4 * k, sums[c][k]);
      }
    }
  }
}

// ab[c] between its pixels at a point, bilinear; borders are repeated.
static float pixel_sample(int c, float px, float py) {
  float x = clamp(px * PLANE - 0.5f, 0, PLANE - 1), y = clamp(py * PLANE - 0.5f, 0, PLANE - 1);
  int left = x < PLANE - 2 ? (int)x : PLANE - 2, top = y < PLANE - 2 ? (int)y : PLANE - 2;
  float right = x - left, bottom = y - top;
  const float *p = ab + (c * PLANE + top) * PLANE + left;
  return p[0] * ((1 - right) * (1 - bottom)) + p[1] * (right * (1 - bottom)) + p[PLANE] * ((1 - right) * bottom) +
         p[PLANE + 1] * (right * bottom);
}

static float gauss(float distance_px) { return exp1(-distance_px * distance_px / (2 * ANCHOR_PX * ANCHOR_PX)); }

// The amplitudes of the Gaussians that correct ab at the hints.
static void amplitudes(int count, float (*found)[2]) {
  static float kernel[MAX_HINTS][MAX_HINTS], missing[MAX_HINTS][2], next[MAX_HINTS][2], share[MAX_HINTS];
  for (int m = 0; m < count; m++) {
    const double *hint = hints + m * 5;
    float x = (float)hint[0], y = (float)hint[1], sum = 0;
    for (int n = 0; n < count; n++) {
      float dx = (x - (float)hints[n * 5]) * PLANE, dy = (y - (float)hints[n * 5 + 1]) * PLANE;
      kernel[m][n] = gauss(__builtin_sqrtf(dx * dx + dy * dy));
      sum += kernel[m][n];
    }
    share[m] = 1 / sum;
    for (int c = 0; c < 2; c++) {
      missing[m][c] = (float)hint[2 + c] - pixel_sample(c, x, y);
      found[m][c] = missing[m][c] * share[m];
    }
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int m = 0; m < count; m++) for (int c = 0; c < 2; c++) {
      float sum = 0;
      for (int n = 0; n < count; n++) sum += found[n][c] * kernel[m][n];
      next[m][c] = found[m][c] + (missing[m][c] - sum) * share[m];
    }
    for (int m = 0; m < count; m++) for (int c = 0; c < 2; c++) found[m][c] = next[m][c];
  }
}

// Correct ab with a Gaussian around each hint, so that the pixel under a hint has the hint's colour.
void anchor(int count) {
  static float heights[MAX_HINTS][2], across[PLANE];
  amplitudes(count, heights);
  for (int n = 0; n < count; n++) {
    float x = (float)hints[n * 5] * PLANE - 0.5f, y = (float)hints[n * 5 + 1] * PLANE - 0.5f;
    int left = x < ANCHOR_REACH ? 0 : ((int)x - ANCHOR_REACH) & ~3, top = y < ANCHOR_REACH ? 0 : (int)y - ANCHOR_REACH;
    int right = x + ANCHOR_REACH > PLANE - 1 ? PLANE : ((int)x + ANCHOR_REACH + 4) & ~3;
    int bottom = y + ANCHOR_REACH > PLANE - 1 ? PLANE : (int)y + ANCHOR_REACH + 1;
    for (int column = left; column < right; column++) across[column] = gauss(column - x);
    for (int row = top; row < bottom; row++) for (int c = 0; c < 2; c++) {
      float height = heights[n][c] * gauss(row - y), *to = ab + (c * PLANE + row) * PLANE;
      for (int p = left; p < right; p += 4) store(to + p, load(to + p) + height * load(across + p));
    }
  }
}

// Half floats of four numbers below 65520 in size, rounded to nearest, ties to even.
static inline u4 to_half(v4 x) {
  u4 bits = (u4)x, sign = bits & 0x80000000u, size = bits ^ sign;
  u4 normal = (size - (112u << 23) + 0xfffu + ((size >> 13) & 1u)) >> 13;
  u4 tiny = (u4)((v4)size + 0.5f) - 0x3f000000u;  // adding ½ shifts the last places away
  u4 is_tiny = (u4)(size < (u4){113u << 23, 113u << 23, 113u << 23, 113u << 23});
  return (sign >> 16) | (is_tiny & tiny) | (~is_tiny & normal);
}

// ab → half floats [256, 256, 2] at `halves_start`, a in the low half of each word.
API void pack_halves(void) {
  for (int p = 0; p < PLANE * PLANE; p += 4) {
    u4 words = to_half(load(ab + p)) | (to_half(load(ab + PLANE * PLANE + p)) << 16);
    *(u4 *)(halves + p) = words;
  }
}
