// A hint as it lies in memory (table.HINT) and the patch it covers.
#pragma once
#include "device.cuh"

struct alignas(16) Hint {
    double x, y;       // centre in the photograph, 0…1
    float a, b, size;  // CIELAB units; side of the patch in working pixels
    float unused;
};
static_assert(sizeof(Hint) == 32, "table.py and the sources must agree");

struct Span {
    int start, stop;
};

// The rows or columns of a patch, as hints.py computes them: in doubles, without fused multiply-adds.
DEVICE Span span_of(double centre, float size, int length) {
    const double edge = __dadd_rn(__dadd_rn(__dmul_rn(centre, double(length)), -0.5 * double(size)), 0.5);
    const int first = int(floor(edge));
    const int start = max(first, 0), stop = min(first + int(size), length);
    if (stop > start) return {start, stop};
    const int nearest = min(start, length - 1);
    return {nearest, nearest + 1};
}
