// Makes the colours under the hints those of the hints: the CUDA definition of engine/match_hints.py, whose terms it
// uses (measurement, field, line, coupling, response). Four kernels, in this order:
//
// match_measure  block n: the measurements of ab under hint n, and what follows from its place: edges, lines, its
//                solver, its priority beside later hints
// match_couple   block n, thread k: how the measurements of hint n change when residuals at hint k are removed
// match_solve    one block, thread n: the rounds, on measurements → heights of the fields
// match_add      one thread per pixel: the fields added to ab
//   plain  (lab)   match_add without the list of hints near a tile
//
// Two measurements of a hint may be nearly the same. Then the solver multiplies rounding by up to a thousand, so it and
// its products are computed in doubles.
#include "touch.cuh"

constexpr int WINDOW_PX = 19, EDGES = 7, MEASUREMENTS = 3, LINES = 6, MATCH_THREADS = MAX_HINTS, MATCH_WARPS = 4;
constexpr int ADD_THREADS = 256, ADD_COLUMNS = 32, ADD_ROWS = 8, MAX_ROUNDS = 8;
constexpr float WIDE_PX = 3.0f, NARROW_PX = 1.0f, NARROW_WEIGHT = 0.3f, RIDGE = 1e-3f;
constexpr float TOLERANCE_AB = 0.7f, MIN_RESIDUAL_AB = 0.2f, NEAR_PX = 5.0f, APART_PX = 9.0f;

// Scratch memory of the four kernels; touch.MATCH_WORK_BYTES is its size.
struct MatchWork {
    double solvers[MEASUREMENTS * MEASUREMENTS][MAX_HINTS];
    // Of measurement j of hint n to a residual at measurement i of hint k: [k][3 i + j][n].
    float responses[MAX_HINTS][MEASUREMENTS * MEASUREMENTS][MAX_HINTS];
    unsigned coupled[MAX_HINTS][MATCH_WARPS];  // of hint n: bit k where hint k reaches it
    float measured[2][MEASUREMENTS][MAX_HINTS];
    float priorities[MAX_HINTS];
    float lines[MAX_HINTS][2][LINES][WINDOW_PX];  // of rows, with the amplitudes, then of columns
    int starts[2][MAX_HINTS], edges[2][EDGES][MAX_HINTS];
    float seconds[2][MAX_HINTS], shares[2][MAX_HINTS];
    float heights[2][MEASUREMENTS][MAX_HINTS];
};
static_assert(sizeof(MatchWork) == 734720, "touch.MATCH_WORK_BYTES must be the same number");

// A hint along one axis: its window's first position, the edges of its measurements, the weight of the second of the
// two pixels around the point, and that of a pixel of the patch.
struct Axis {
    int start, edges[EDGES];
    float second, share;
};

// The product is rounded on its own: fused with the subtraction, a window at a tie would begin elsewhere.
DEVICE float centre_of(double coordinate, int length) { return __fmul_rn(float(coordinate), float(length)); }

DEVICE Axis axis_of(double coordinate, float size, int length) {
    const float centre = centre_of(coordinate, length), last = float(length - 1);
    const float point = fminf(fmaxf(centre - 0.5f, 0.0f), last);
    const int before = int(point), pixel = int(fminf(centre, last));
    const Span patch = span_of(coordinate, size, length);
    const float start = fminf(fmaxf(rintf(centre - 0.5f * WINDOW_PX), 0.0f), float(length - WINDOW_PX));
    return {int(start),
            {before, before + 1, before + 2, pixel, pixel + 1, patch.start, patch.stop},
            point - float(before),
            1.0f / float(patch.stop - patch.start)};
}

// The weight of a position in a measurement.
DEVICE float weight_at(const Axis& axis, int measurement, int position) {
    const int* edges = axis.edges;
    if (measurement == 0) return position == edges[0] ? 1.0f - axis.second : position == edges[1] ? axis.second : 0.0f;
    if (measurement == 1) return position == edges[3] ? 1.0f : 0.0f;
    return position >= edges[5] && position < edges[6] ? axis.share : 0.0f;
}

// exp(−distance² / (2 px²)).
DEVICE float gaussian_px(int distance, float px) {
    return expf(float(distance * distance) * (-0.5f / (px * px)));
}

struct MeasureShared {
    double couplings[MEASUREMENTS][MEASUREMENTS];
    Axis axes[2];
    float blurs[2][WINDOW_PX], lines[2][LINES][WINDOW_PX], partial[MATCH_WARPS];
};

// A hint's lines: the weights of its measurements in the window, blurred by both Gaussians.
DEVICE void blur(MeasureShared& shared) {
    for (int index = threadIdx.x; index < 2 * LINES * WINDOW_PX; index += MATCH_THREADS) {
        const int axis = index / (LINES * WINDOW_PX), line = index / WINDOW_PX % LINES, at = index % WINDOW_PX;
        const Axis& along = shared.axes[axis];
        float sum = 0.0f;
        for (int i = 0; i < WINDOW_PX; i++)
            sum += weight_at(along, line % MEASUREMENTS, along.start + i) * shared.blurs[line / MEASUREMENTS][abs(at - i)];
        shared.lines[axis][line][at] = axis == 0 && line >= MEASUREMENTS ? NARROW_WEIGHT * sum : sum;
    }
}

// The measurements of one plane of ab, for every thread. Pixels outside the plane have weight 0 and are not read.
DEVICE void measure(const float* plane, int height, int width, MeasureShared& shared, float* measured) {
    const Axis &rows = shared.axes[0], &columns = shared.axes[1];
    const int side = rows.edges[6] - rows.edges[5], across = columns.edges[6] - columns.edges[5];
    float sum = 0.0f;
    for (int i = threadIdx.x; i < side * across; i += MATCH_THREADS)
        sum += plane[(rows.edges[5] + i / across) * width + columns.edges[5] + i % across];
    measured[2] = block_sum<MATCH_WARPS>(sum, shared.partial) * (rows.share * columns.share);
    measured[1] = plane[rows.edges[3] * width + columns.edges[3]];
    const Neighbours row = {rows.edges[0], min(rows.edges[1], height - 1), rows.second};
    measured[0] = bilinear(plane, width, row, {columns.edges[0], min(columns.edges[1], width - 1), columns.second});
}

// What field j adds to measurement i of the same hint, and the ridge where they are one; both in the window.
DEVICE double own_coupling(const MeasureShared& shared, int i, int j) {
    double coupling = i == j ? double(RIDGE) : 0.0;
    for (int line = j; line < LINES; line += MEASUREMENTS) {
        double product = 1.0;
        for (int axis = 0; axis < 2; axis++) {
            double sum = 0.0;
            for (int at = 0; at < WINDOW_PX; at++)
                sum += double(weight_at(shared.axes[axis], i, shared.axes[axis].start + at)) * shared.lines[axis][line][at];
            product *= sum;
        }
        coupling += product;
    }
    return coupling;
}

// The solver of a hint: the inverse of its 3 × 3 couplings.
DEVICE void invert(const double (&m)[MEASUREMENTS][MEASUREMENTS], MatchWork& work, int n) {
    double minors[MEASUREMENTS][MEASUREMENTS];
    for (int i = 0; i < MEASUREMENTS; i++)
        for (int j = 0; j < MEASUREMENTS; j++) {
            const int r = (i + 1) % 3, s = (i + 2) % 3, c = (j + 1) % 3, d = (j + 2) % 3;
            minors[i][j] = m[r][c] * m[s][d] - m[r][d] * m[s][c];
        }
    const double scale = 1.0 / (m[0][0] * minors[0][0] + m[0][1] * minors[0][1] + m[0][2] * minors[0][2]);
    for (int i = 0; i < MEASUREMENTS; i++)
        for (int j = 0; j < MEASUREMENTS; j++) work.solvers[MEASUREMENTS * i + j][n] = minors[j][i] * scale;
}

// By how much of its residual hint n is corrected beside later ones, 0…1, for every thread.
DEVICE float priority_of(const Hint* hints, int count, int n, int height, int width, float* partial) {
    float nearest = -3.4e38f;
    const int other = threadIdx.x;
    if (other > n && other < count) {
        const float down = centre_of(hints[other].y, height) - centre_of(hints[n].y, height);
        const float across = centre_of(hints[other].x, width) - centre_of(hints[n].x, width);
        nearest = -(down * down + across * across);
    }
    const float distance = sqrtf(-block_max<MATCH_WARPS>(nearest, partial));
    return fminf(fmaxf((distance - NEAR_PX) / (APART_PX - NEAR_PX), 0.0f), 1.0f);
}

// Writes what match_couple reads of hint n.
DEVICE void write_axes(const MeasureShared& shared, int n, MatchWork& work) {
    const int thread = threadIdx.x;
    if (thread < 2) {
        const Axis& axis = shared.axes[thread];
        work.starts[thread][n] = axis.start;
        work.seconds[thread][n] = axis.second;
        work.shares[thread][n] = axis.share;
        for (int edge = 0; edge < EDGES; edge++) work.edges[thread][edge][n] = axis.edges[edge];
    }
    for (int index = thread; index < 2 * LINES * WINDOW_PX; index += MATCH_THREADS)
        (&work.lines[n][0][0][0])[index] = (&shared.lines[0][0][0])[index];
}

KERNEL(MATCH_THREADS, match_measure, const Hint* hints, const int* count, const float* ab, MatchWork* work, int height,
       int width) {
    SHARED(MeasureShared, shared);
    const int n = blockIdx.x, thread = threadIdx.x, hint_count = hints_in(count);
    if (n >= hint_count) return;
    if (thread == 0) shared.axes[0] = axis_of(hints[n].y, hints[n].size, height);
    if (thread == WARP_LANES) shared.axes[1] = axis_of(hints[n].x, hints[n].size, width);
    if (thread < 2 * WINDOW_PX)
        shared.blurs[thread / WINDOW_PX][thread % WINDOW_PX] =
            gaussian_px(thread % WINDOW_PX, thread < WINDOW_PX ? WIDE_PX : NARROW_PX);
    __syncthreads();
    blur(shared);
    float measured[2][MEASUREMENTS];
    for (int channel = 0; channel < 2; channel++)
        measure(ab + size_t(channel) * height * width, height, width, shared, measured[channel]);
    const float priority = priority_of(hints, hint_count, n, height, width, shared.partial);
    if (thread < MEASUREMENTS * MEASUREMENTS)  // block_sum and block_max had barriers
        shared.couplings[thread / MEASUREMENTS][thread % MEASUREMENTS] =
            own_coupling(shared, thread / MEASUREMENTS, thread % MEASUREMENTS);
    __syncthreads();
    write_axes(shared, n, *work);
    if (thread) return;
    invert(shared.couplings, *work, n);
    work->priorities[n] = priority;
    for (int channel = 0; channel < 2; channel++)
        for (int m = 0; m < MEASUREMENTS; m++) work->measured[channel][m][n] = measured[channel][m];
}

DEVICE bool in_window(int offset) { return offset >= 0 && offset < WINDOW_PX; }

// What one line of hint k adds to the three measurements of hint n along an axis.
DEVICE void couple_line(const MatchWork& work, int axis, int line, int k, int n, float* along) {
    const float* values = work.lines[k][axis][line];
    const int start = work.starts[axis][k];
    const auto edge = [&](int index) { return work.edges[axis][index][n] - start; };
    const auto value = [&](int offset) { return in_window(offset) ? values[offset] : 0.0f; };
    along[0] = mix(value(edge(0)), value(edge(1)), work.seconds[axis][n]);
    along[1] = value(edge(3));
    float sum = 0.0f;
    for (int offset = max(edge(5), 0); offset < min(edge(6), WINDOW_PX); offset++) sum += values[offset];
    along[2] = work.shares[axis][n] * sum;
}

// Whether anything of hint n's measurements lies in the window of hint k.
DEVICE bool reaches(const MatchWork& work, int k, int n) {
    for (int axis = 0; axis < 2; axis++) {
        int first = work.edges[axis][0][n], last = work.edges[axis][0][n];
        for (int edge = 1; edge < EDGES; edge++) {
            first = min(first, work.edges[axis][edge][n]);
            last = max(last, work.edges[axis][edge][n]);
        }
        const int start = work.starts[axis][k];
        if (last <= start || first >= start + WINDOW_PX) return false;
    }
    return true;
}

KERNEL(MATCH_THREADS, match_couple, const int* count, MatchWork* work) {
    const int n = blockIdx.x, k = threadIdx.x, hint_count = hints_in(count);
    if (n >= hint_count) return;
    const bool coupled = k < hint_count && reaches(*work, k, n);
    const unsigned bits = __ballot_sync(ALL_LANES, coupled);
    if (k % WARP_LANES == 0) work->coupled[n][k / WARP_LANES] = bits;
    if (!coupled) return;
    double couplings[MEASUREMENTS][MEASUREMENTS] = {};
    for (int line = 0; line < LINES; line++) {
        float down[MEASUREMENTS], across[MEASUREMENTS];
        couple_line(*work, 0, line, k, n, down);
        couple_line(*work, 1, line, k, n, across);
        for (int m = 0; m < MEASUREMENTS; m++) couplings[line % MEASUREMENTS][m] += double(down[m]) * across[m];
    }
    for (int i = 0; i < MEASUREMENTS; i++)
        for (int m = 0; m < MEASUREMENTS; m++) {
            double response = 0.0;
            for (int field = 0; field < MEASUREMENTS; field++)
                response += work->solvers[MEASUREMENTS * field + i][k] * couplings[field][m];
            work->responses[k][MEASUREMENTS * i + m][n] = float(response);
        }
}

struct SolveShared {
    float removed[2][MEASUREMENTS][MAX_HINTS];
    unsigned unmatched[MATCH_WARPS];
};

// The residuals of a hint's measurements, reduced by the tolerance and the priority; returns whether one is large.
DEVICE bool residuals_of(const float (&measured)[2][MEASUREMENTS], const float* target, float priority,
                         float (&residuals)[2][MEASUREMENTS]) {
    bool large = false;
    for (int m = 0; m < MEASUREMENTS; m++) {
        const float a = target[0] - measured[0][m], b = target[1] - measured[1][m];
        const float size = sqrtf(a * a + b * b);
        const float scale = (1.0f - TOLERANCE_AB / fmaxf(size, TOLERANCE_AB)) * priority;
        residuals[0][m] = a * scale;
        residuals[1][m] = b * scale;
        large = large || size * scale >= MIN_RESIDUAL_AB;
    }
    return large;
}

// Changes the measurements of hint n by their responses to the residuals that are removed in this round.
DEVICE void respond(const MatchWork& work, const SolveShared& shared, int n, float (&measured)[2][MEASUREMENTS]) {
    for (int word = 0; word < MATCH_WARPS; word++)
        for (unsigned bits = work.coupled[n][word] & shared.unmatched[word]; bits; bits &= bits - 1) {
            const int k = WARP_LANES * word + __ffs(int(bits)) - 1;
            for (int i = 0; i < MEASUREMENTS; i++)
                for (int m = 0; m < MEASUREMENTS; m++) {
                    const float response = work.responses[k][MEASUREMENTS * i + m][n];
                    measured[0][m] += response * shared.removed[0][i][k];
                    measured[1][m] += response * shared.removed[1][i][k];
                }
        }
}

// From the residuals removed in all rounds to the heights of the fields.
DEVICE void write_heights(const float (&removed)[2][MEASUREMENTS], int n, MatchWork& work) {
    for (int channel = 0; channel < 2; channel++)
        for (int field = 0; field < MEASUREMENTS; field++) {
            double height = 0.0;
            for (int m = 0; m < MEASUREMENTS; m++)
                height += work.solvers[MEASUREMENTS * field + m][n] * removed[channel][m];
            work.heights[channel][field][n] = float(height);
        }
}

KERNEL(MATCH_THREADS, match_solve, const Hint* hints, const int* count, MatchWork* work) {
    SHARED(SolveShared, shared);
    const int n = threadIdx.x;
    const bool present = n < hints_in(count);
    float measured[2][MEASUREMENTS] = {}, removed[2][MEASUREMENTS] = {}, target[2] = {}, priority = 0.0f;
    if (present) {
        target[0] = hints[n].a, target[1] = hints[n].b, priority = work->priorities[n];
        for (int i = 0; i < 2 * MEASUREMENTS; i++) measured[i / 3][i % 3] = work->measured[i / 3][i % 3][n];
    }
    for (int round = 0; round < MAX_ROUNDS; round++) {
        float residuals[2][MEASUREMENTS];
        const bool unmatched = residuals_of(measured, target, priority, residuals) && present;
        const unsigned bits = __ballot_sync(ALL_LANES, unmatched);
        if (n % WARP_LANES == 0) shared.unmatched[n / WARP_LANES] = bits;
        for (int i = 0; i < 2 * MEASUREMENTS && unmatched; i++) {
            shared.removed[i / 3][i % 3][n] = residuals[i / 3][i % 3];
            removed[i / 3][i % 3] += residuals[i / 3][i % 3];
        }
        __syncthreads();
        unsigned any = 0;
        for (int word = 0; word < MATCH_WARPS; word++) any |= shared.unmatched[word];
        if (!any) break;
        if (present) respond(*work, shared, n, measured);
        __syncthreads();
    }
    if (present) write_heights(removed, n, *work);
}

// What the fields of hint n add at a pixel.
DEVICE float2 field_at(const MatchWork& work, int n, int row, int column) {
    float2 sum = {0.0f, 0.0f};
    for (int line = 0; line < LINES; line++) {
        const float value = work.lines[n][0][line][row] * work.lines[n][1][line][column];
        sum.x += work.heights[0][line % MEASUREMENTS][n] * value;
        sum.y += work.heights[1][line % MEASUREMENTS][n] * value;
    }
    return sum;
}

struct AddShared {
    unsigned near[MATCH_WARPS];
};

KERNEL(ADD_THREADS, match_add, const int* count, const MatchWork* work, float* ab, int height, int width) {
    SHARED(AddShared, shared);
    const int left = blockIdx.x * ADD_COLUMNS, top = blockIdx.y * ADD_ROWS, thread = thread_in_block();
    bool is_near = false;
    if (thread < hints_in(count)) {
        const int down = work->starts[0][thread] - top, across = work->starts[1][thread] - left;
        is_near = down < ADD_ROWS && down > -WINDOW_PX && across < ADD_COLUMNS && across > -WINDOW_PX;
        bool flat = true;
        for (int i = 0; i < 2 * MEASUREMENTS; i++) flat = flat && work->heights[i / 3][i % 3][thread] == 0.0f;
        is_near = is_near && !flat;
    }
    const unsigned bits = __ballot_sync(ALL_LANES, is_near);
    if (thread < MAX_HINTS && thread % WARP_LANES == 0) shared.near[thread / WARP_LANES] = bits;
    __syncthreads();
    const int x = left + int(threadIdx.x), y = top + int(threadIdx.y);
    if (x >= width || y >= height) return;
    float2 change = {0.0f, 0.0f};
    for (int word = 0; word < MATCH_WARPS; word++)
        for (unsigned left_over = shared.near[word]; left_over; left_over &= left_over - 1) {
            const int n = WARP_LANES * word + __ffs(int(left_over)) - 1;
            const int row = y - work->starts[0][n], column = x - work->starts[1][n];
            if (!in_window(row) || !in_window(column)) continue;
            const float2 field = field_at(*work, n, row, column);
            change.x += field.x;
            change.y += field.y;
        }
    const size_t at = size_t(y) * width + x, plane = size_t(height) * width;
    if (change.x != 0.0f) ab[at] += change.x;
    if (change.y != 0.0f) ab[at + plane] += change.y;
}
