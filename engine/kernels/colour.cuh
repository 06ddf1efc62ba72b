// CIELAB and sRGB in fp32: the CUDA definition of engine/colour/cielab.py (D65, scikit-image's constants).
#pragma once
#include "device.cuh"

// CIELAB → linear sRGB, not clipped. The rows of the matrix give R, G, B of X/Xn, Y/Yn, Z/Zn.
DEVICE void linear_from_lab(float L, float a, float b, float* rgb) {
    const float fy = (L + 16.0f) * (1.0f / 116.0f), fx = fy + a * (1.0f / 500.0f);
    const float fz = fmaxf(fy - b * (1.0f / 200.0f), 0.0f);
    float xyz[3] = {fx, fy, fz};
    for (float& f : xyz) f = f > 0.2068966f ? f * f * f : (f - 16.0f / 116.0f) * (1.0f / 7.787f);
    rgb[0] = 3.079980302f * xyz[0] - 1.537151516f * xyz[1] - 0.542821308f * xyz[2];
    rgb[1] = -0.921247752f * xyz[0] + 1.875990001f * xyz[1] + 0.04524734f * xyz[2];
    rgb[2] = 0.052890461f * xyz[0] - 0.204041338f * xyz[1] + 1.151232012f * xyz[2];
}

// One channel of linear sRGB, clipped to 0…1 → its 8-bit level.
DEVICE unsigned level_of(float linear) {
    const float clipped = fminf(fmaxf(linear, 0.0f), 1.0f);
    const float curved = 1.055f * exp2f(log2f(fmaxf(clipped, 0.0031308f)) * (1.0f / 2.4f)) - 0.055f;
    return unsigned(__float2int_rn(255.0f * (clipped > 0.0031308f ? curved : 12.92f * clipped)));
}

// CIELAB → 8-bit sRGB: R in the lowest byte, then G and B; the highest byte is 0.
DEVICE unsigned pixel_from_lab(float L, float a, float b) {
    float linear[3];
    linear_from_lab(L, a, b, linear);
    return level_of(linear[0]) | level_of(linear[1]) << 8 | level_of(linear[2]) << 16;
}
