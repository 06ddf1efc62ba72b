// A hint in memory (table.HINT), the patch that it covers, and the scale of ab in a network's input.
#pragma once
#include "device.cuh"

constexpr float AB_SCALE = 110.0f;  // networks take and give ab / AB_SCALE

struct alignas(16) Hint {
    double x, y;  // centre in the photograph, 0…1
    float a, b;   // CIELAB units
    float size;   // side of the patch in working pixels
    float unused;
};
static_assert(sizeof(Hint) == 32, "table.HINT must be as large");

struct Span {
    int start, stop;
};

// The rows or columns of a patch, computed as in hints.py: in doubles, without fused multiply-adds.
DEVICE Span span_of(double centre, float size, int length) {
    const double edge = __dadd_rn(__dadd_rn(__dmul_rn(centre, double(length)), -0.5 * double(size)), 0.5);
    const int first = int(floor(edge));
    const int start = max(first, 0), stop = min(first + int(size), length);
    if (stop > start) return {start, stop};
    const int nearest = min(start, length - 1);
    return {nearest, nearest + 1};
}
