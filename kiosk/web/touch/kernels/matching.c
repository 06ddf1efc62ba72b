// Make the colours under the hints those of the hints: engine/match_hints.py and match_geometry.py, on ab itself.
#include "state.h"

enum { WINDOW = 19, LINE = 20, MEASURES = 3, GAUSSIANS = 2, MAX_ROUNDS = 8 };
static const float TOLERANCE_AB = 0.7f, MIN_RESIDUAL_AB = 0.2f, NEAR_PX = 5, APART_PX = 9;
static const double RIDGE = 1e-3;

// A hint along one axis: where its window begins, its centre in pixels, the weights of its measurements in the window
// (point, pixel, patch), and their lines: the weights blurred by the wide and by the narrow Gaussian.
struct axis {
  int start;
  float centre, weights[MEASURES][LINE], lines[GAUSSIANS][MEASURES][LINE];
};

struct mark {
  struct axis rows, columns;
  float ab[2], priority;
  double solver[MEASURES][MEASURES];  // its numbers are large and nearly cancel where measurements are nearly the same
};

static struct mark marks[MAX_HINTS];
static float blurs[GAUSSIANS][LINE][LINE];

static void make_blurs(void) {
  static const float variances[GAUSSIANS] = {9, 1}, heights[GAUSSIANS] = {1, 0.547722558f};  // √0.3
  if (blurs[0][0][0]) return;
  for (int g = 0; g < GAUSSIANS; g++) for (int i = 0; i < WINDOW; i++) for (int j = 0; j < WINDOW; j++) {
    blurs[g][i][j] = heights[g] * exp1(-(float)((i - j) * (i - j)) / (2 * variances[g]));
  }
}

static float nearest_even(float x) { return (x + 12582912.0f) - 12582912.0f; }

static void place(struct axis *axis, double place, int size) {
  float centre = axis->centre = (float)place * PLANE, point = clamp(centre - 0.5f, 0, PLANE - 1);
  int start = axis->start = (int)clamp(nearest_even(centre - WINDOW / 2.0f), 0, PLANE - WINDOW);
  int before = (int)point, pixel = (int)clamp(centre, 0, PLANE - 1);
  int first = (int)__builtin_floor(place * PLANE - size / 2.0 + 0.5);
  int from = first < 0 ? 0 : first, to = first + size > PLANE ? PLANE : first + size;
  if (to <= from) {
    from = from > PLANE - 1 ? PLANE - 1 : from;
    to = from + 1;
  }
  for (int m = 0; m < MEASURES; m++) for (int i = 0; i < LINE; i++) axis->weights[m][i] = 0;
  if (before + 1 - start < LINE) axis->weights[0][before + 1 - start] = point - before;
  axis->weights[0][before - start] = 1 - (point - before);
  axis->weights[1][pixel - start] = 1;
  for (int i = from; i < to; i++) axis->weights[2][i - start] = 1.0f / (to - from);
  for (int g = 0; g < GAUSSIANS; g++) for (int m = 0; m < MEASURES; m++) {
    float *line = axis->lines[g][m];
    for (int i = 0; i < LINE; i++) line[i] = 0;
    for (int i = 0; i < WINDOW; i++) {
      float weight = axis->weights[m][i];
      if (weight) for (int j = 0; j < LINE; j += 4) store(line + j, load(line + j) + weight * load(blurs[g][i] + j));
    }
  }
}

// What a line adds to a measurement along an axis.
static double along(const float *line, const float *weights) {
  double sum = 0;
  for (int i = 0; i < WINDOW; i++) sum += (double)line[i] * weights[i];
  return sum;
}

// The inverse of what the fields of a hint add to its own measurements. These may be the same, so it takes doubles.
static void solve(struct mark *mark) {
  double m[3][3], cofactors[3][3];
  for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) {
    m[i][j] = i == j ? RIDGE : 0;
    for (int g = 0; g < GAUSSIANS; g++) {
      m[i][j] += along(mark->rows.lines[g][i], mark->rows.weights[j]) *
                 along(mark->columns.lines[g][i], mark->columns.weights[j]);
    }
  }
  for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) {
    int a = (i + 1) % 3, b = (i + 2) % 3, c = (j + 1) % 3, d = (j + 2) % 3;
    cofactors[i][j] = m[a][c] * m[b][d] - m[a][d] * m[b][c];
  }
  double determinant = m[0][0] * cofactors[0][0] + m[0][1] * cofactors[0][1] + m[0][2] * cofactors[0][2];
  for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) mark->solver[i][j] = cofactors[j][i] / determinant;
}

// By how much a hint removes its residuals beside the nearest later one.
static float priority_of(int i, int count) {
  float nearest = APART_PX;
  for (int j = i + 1; j < count; j++) {
    float down = marks[i].rows.centre - marks[j].rows.centre, across = marks[i].columns.centre - marks[j].columns.centre;
    float distance = __builtin_sqrtf(down * down + across * across);
    nearest = distance < nearest ? distance : nearest;
  }
  return clamp((nearest - NEAR_PX) / (APART_PX - NEAR_PX), 0, 1);
}

// A measurement of ab[c] under a hint.
static float measure(const struct mark *mark, int c, int m) {
  v4 sum = splat(0);
  const float *across = mark->columns.weights[m];
  for (int y = 0; y < WINDOW; y++) {
    float down = mark->rows.weights[m][y];
    if (!down) continue;
    const float *row = ab + (c * PLANE + mark->rows.start + y) * PLANE + mark->columns.start;
    for (int x = 0; x < LINE - 4; x += 4) sum += down * load(row + x) * load(across + x);
    const float *end = row + LINE - 4;
    v4 last = {end[0], end[1], end[2], 0};
    sum += down * last * load(across + LINE - 4);
  }
  return sum4(sum);
}

// The parts of the residuals of a hint to remove now, [measurement][channel]. Returns the largest.
static float residuals(const struct mark *mark, float (*found)[2]) {
  float largest = 0;
  for (int m = 0; m < MEASURES; m++) {
    float a = mark->ab[0] - measure(mark, 0, m), b = mark->ab[1] - measure(mark, 1, m);
    float size = __builtin_sqrtf(a * a + b * b);
    float share = mark->priority * (1 - TOLERANCE_AB / (size > TOLERANCE_AB ? size : TOLERANCE_AB));
    found[m][0] = a * share;
    found[m][1] = b * share;
    largest = size * share > largest ? size * share : largest;
  }
  return largest;
}

// Add the fields that remove residuals of a hint.
static void change(const struct mark *mark, float (*removed)[2]) {
  for (int c = 0; c < 2; c++) {
    float heights[MEASURES];
    for (int m = 0; m < MEASURES; m++) {
      double height = 0;
      for (int i = 0; i < MEASURES; i++) height += mark->solver[m][i] * removed[i][c];
      heights[m] = (float)height;
    }
    for (int y = 0; y < WINDOW; y++) {
      v4 line[LINE / 4];
      for (int x = 0; x < LINE / 4; x++) line[x] = splat(0);
      for (int g = 0; g < GAUSSIANS; g++) for (int m = 0; m < MEASURES; m++) {
        float height = heights[m] * mark->rows.lines[g][m][y];
        for (int x = 0; x < LINE / 4; x++) line[x] += height * load(mark->columns.lines[g][m] + 4 * x);
      }
      float *row = ab + (c * PLANE + mark->rows.start + y) * PLANE + mark->columns.start;
      for (int x = 0; x < LINE / 4 - 1; x++) store(row + 4 * x, load(row + 4 * x) + line[x]);
      for (int x = 0; x < 3; x++) row[LINE - 4 + x] += line[LINE / 4 - 1][x];
    }
  }
}

// Change ab to the colours of the hints at `hints_start` under them.
API void match_hints(int count) {
  static float removed[MAX_HINTS][MEASURES][2], largest[MAX_HINTS];
  make_blurs();
  for (int i = 0; i < count; i++) {
    const double *hint = hints + i * 5;
    place(&marks[i].rows, hint[1], (int)hint[4]);
    place(&marks[i].columns, hint[0], (int)hint[4]);
    marks[i].ab[0] = (float)hint[2];
    marks[i].ab[1] = (float)hint[3];
    solve(&marks[i]);
  }
  for (int i = 0; i < count; i++) marks[i].priority = priority_of(i, count);
  for (int round = 0; round < MAX_ROUNDS; round++) {
    int left = 0;
    for (int i = 0; i < count; i++) {
      largest[i] = residuals(&marks[i], removed[i]);
      left += largest[i] >= MIN_RESIDUAL_AB;
    }
    if (!left) return;
    for (int i = 0; i < count; i++) if (largest[i] >= MIN_RESIDUAL_AB) change(&marks[i], removed[i]);
  }
}
