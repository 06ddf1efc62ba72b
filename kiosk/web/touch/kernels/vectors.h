// Four floats at a time, and the functions that libm is not there for. The same operations in the same order natively
// and in WebAssembly, so both give the same bits (compile with -ffp-contract=off, without -ffast-math).
#ifndef VECTORS_H
#define VECTORS_H

typedef float v4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int i4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef unsigned u4 __attribute__((vector_size(16), aligned(4), may_alias));

// Four of the eight numbers of a and b, by their places.
#if __has_builtin(__builtin_shufflevector)
#define shuffle(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define shuffle(a, b, i, j, k, l) __builtin_shuffle(a, b, (i4){i, j, k, l})
#endif

static inline v4 load(const float *from) { return *(const v4 *)from; }
static inline void store(float *to, v4 x) { *(v4 *)to = x; }
static inline v4 splat(float x) { return (v4){x, x, x, x}; }
// Where the mask (all bits or none) is set, a, else b.
static inline v4 select(i4 mask, v4 a, v4 b) { return (v4)((mask & (i4)a) | (~mask & (i4)b)); }
static inline v4 min4(v4 a, v4 b) { return select(a < b, a, b); }
static inline v4 max4(v4 a, v4 b) { return select(a > b, a, b); }
static inline float sum4(v4 x) { return (x[0] + x[1]) + (x[2] + x[3]); }
static inline float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

// e^x with a relative error below 1e-6 (Cephes), for x in -87…88.
static inline v4 exp4(v4 x) {
  x = max4(min4(x, splat(88)), splat(-87));
  v4 magic = splat(12582912.0f);  // adding it rounds to whole numbers
  v4 n = (x * 1.44269504f + magic) - magic, r = x - n * 0.693359375f + n * 2.12194440e-4f;
  v4 y = splat(1.9875691500e-4f);
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  return y * (v4)((__builtin_convertvector(n, i4) + 127) << 23);
}
static inline float exp1(float x) { return exp4(splat(x))[0]; }

// The natural logarithm of positive numbers (Cephes).
static inline v4 log4(v4 x) {
  i4 bits = (i4)x, e = (bits - 0x3f3504f3) >> 23;
  v4 m = (v4)(bits - (e << 23)) - 1.0f, z = m * m, y = splat(7.0376836292e-2f);
  y = y * m - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  return m + (y * m * z - 0.5f * z) + __builtin_convertvector(e, v4) * 0.693147181f;
}

static inline v4 sigmoid4(v4 x) { return 1.0f / (1.0f + exp4(-x)); }
static inline v4 tanh4(v4 x) { return 1.0f - 2.0f / (1.0f + exp4(2.0f * x)); }
// Abramowitz and Stegun 7.1.26: an error below 2e-7.
static inline v4 erf4(v4 x) {
  v4 size = max4(x, -x), t = 1.0f / (1.0f + 0.3275911f * size);
  v4 y = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  y = 1.0f - y * exp4(-size * size);
  return select(x < splat(0), -y, y);
}
static inline v4 gelu4(v4 x) { return 0.5f * x * (1.0f + erf4(x * 0.707106781f)); }
static inline v4 leaky4(v4 x) { return max4(x, 0.1f * x); }

static inline float dot(const float *a, const float *b, int n) {  // n: a multiple of 4
  v4 sum = splat(0);
  for (int i = 0; i < n; i += 4) sum += load(a + i) * load(b + i);
  return sum4(sum);
}
#endif
