// A photograph's lightness: CIELAB lightness at full resolution and at the size the networks see.
//
// photo_L: sRGB of 8 bit (through a table that the block makes) or grey of 16 bit → L [H, W] in 0…100.
// photo_working: the encoded picture squashed bilinearly to the working size first, in OpenCV's fixed-point steps
//   (11-bit weights, rounding to the picture's own depth; 16-bit grey in floats), as engine/image/photo.py does.
#include "colour.cuh"

constexpr int PHOTO_THREADS = 256;
constexpr float RED = 0.212671f, GREEN = 0.715160f, BLUE = 0.072169f;

struct LinearTable {
    float linear[256];
};

DEVICE void fill(LinearTable& table) {
    table.linear[thread_in_block()] = linear_from_encoded(float(thread_in_block()) / 255.0f);
    __syncthreads();
}

DEVICE float lightness_of_rgb(const LinearTable& table, int red, int green, int blue) {
    return lightness_of(RED * table.linear[red] + GREEN * table.linear[green] + BLUE * table.linear[blue]);
}

DEVICE float lightness_of_grey16(float grey) { return lightness_of(linear_from_encoded(grey * (1.0f / 65535.0f))); }

KERNEL(PHOTO_THREADS, photo_L_rgb, const unsigned char* pixels, int pitch, float* lightness, int height, int width) {
    SHARED(LinearTable, table);
    fill(table);
    const int x = (blockIdx.x * 32 + threadIdx.x) * 4, y = blockIdx.y * 8 + threadIdx.y;
    if (x >= width || y >= height) return;
    const unsigned char* row = pixels + size_t(y) * pitch;
    float four[4];
    for (int i = 0; i < 4; i++) {
        const unsigned char* pixel = row + 3 * min(x + i, width - 1);
        four[i] = lightness_of_rgb(table, pixel[0], pixel[1], pixel[2]);
    }
    put_up_to_4(lightness + size_t(y) * width + x, four, width - x);
}

DEVICE const unsigned short* grey_row(const unsigned short* pixels, int pitch, int y) {
    return reinterpret_cast<const unsigned short*>(reinterpret_cast<const unsigned char*>(pixels) + size_t(y) * pitch);
}

KERNEL(PHOTO_THREADS, photo_L_grey16, const unsigned short* pixels, int pitch, float* lightness, int height,
       int width) {
    const int x = (blockIdx.x * 32 + threadIdx.x) * 4, y = blockIdx.y * 8 + threadIdx.y;
    if (x >= width || y >= height) return;
    const unsigned short* row = grey_row(pixels, pitch, y);
    float four[4];
    for (int i = 0; i < 4; i++) four[i] = lightness_of_grey16(float(row[min(x + i, width - 1)]));
    put_up_to_4(lightness + size_t(y) * width + x, four, width - x);
}

// Neighbours as cv2.resize finds them. Columns beyond the outermost centres take the border alone; rows keep their
// shares and mix the border with itself, which rounds differently.
DEVICE Between cv_between(int index, int count, int length) {
    const float position = float((double(index) + 0.5) * (double(length) / double(count)) - 0.5);
    const int first = int(floorf(position));
    return {min(max(first, 0), length - 1), min(max(first + 1, 0), length - 1), position - float(first)};
}

DEVICE Between cv_column(int index, int count, int length) {
    Between found = cv_between(index, count, length);
    if (found.first == found.second) found.share = 0.0f;
    return found;
}

struct FixedShares {
    int first, second;
};

DEVICE FixedShares in_2048ths(float share) {
    return {__float2int_rn((1.0f - share) * 2048.0f), __float2int_rn(share * 2048.0f)};
}

DEVICE int squashed(const unsigned char* upper, const unsigned char* lower, FixedShares rows, const Between& column,
                    FixedShares columns, int channel) {
    const int near = 3 * column.first + channel, far = 3 * column.second + channel;
    const int above = upper[near] * columns.first + upper[far] * columns.second;
    const int below = lower[near] * columns.first + lower[far] * columns.second;
    return ((rows.first * (above >> 4) >> 16) + (rows.second * (below >> 4) >> 16) + 2) >> 2;
}

KERNEL(PHOTO_THREADS, photo_working_rgb, const unsigned char* pixels, int pitch, int height, int width, float* lightness,
       int h, int w) {
    SHARED(LinearTable, table);
    fill(table);
    const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 8 + threadIdx.y;
    if (x >= w || y >= h) return;
    const Between row = cv_between(y, h, height), column = cv_column(x, w, width);
    const FixedShares rows = in_2048ths(row.share), columns = in_2048ths(column.share);
    const unsigned char *upper = pixels + size_t(row.first) * pitch, *lower = pixels + size_t(row.second) * pitch;
    int rgb[3];
    for (int channel = 0; channel < 3; channel++) rgb[channel] = squashed(upper, lower, rows, column, columns, channel);
    lightness[y * w + x] = lightness_of_rgb(table, rgb[0], rgb[1], rgb[2]);
}

KERNEL(PHOTO_THREADS, photo_working_grey16, const unsigned short* pixels, int pitch, int height, int width,
       float* lightness, int h, int w) {
    const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 8 + threadIdx.y;
    if (x >= w || y >= h) return;
    const Between row = cv_between(y, h, height), column = cv_column(x, w, width);
    const unsigned short *upper = grey_row(pixels, pitch, row.first), *lower = grey_row(pixels, pitch, row.second);
    const float above = mix(upper[column.first], upper[column.second], column.share);
    const float below = mix(lower[column.first], lower[column.second], column.share);
    lightness[y * w + x] = lightness_of_grey16(rintf(mix(above, below, row.share)));
}
