// Composing the picture: references and plain versions of ../compose.cu.
#pragma once
#include "../compose.cu"
#include "lab.cuh"

namespace lab {

inline double level_reference(double linear) {
    const double clipped = std::min(std::max(linear, 0.0), 1.0);
    return 255 * (clipped > 0.0031308 ? 1.055 * std::pow(clipped, 1 / 2.4) - 0.055 : 12.92 * clipped);
}

struct Ab {
    double a, b;
};

// Joint bilateral upsampling (engine/image/guided.py) at a pixel with this lightness.
inline Ab guided_reference(const std::vector<float>& ab, const std::vector<float>& cell_lightness, int w,
                           ExactNeighbours row, ExactNeighbours column, double lightness) {
    double total = 0, a = 0, b = 0;
    for (int lower = 0; lower < 2; lower++)
        for (int right = 0; right < 2; right++) {
            const size_t cell = size_t(lower ? row.second : row.first) * w + (right ? column.second : column.first);
            const double difference = lightness - cell_lightness[cell];
            const double weight = (lower ? row.fraction : 1 - row.fraction) *
                                  (right ? column.fraction : 1 - column.fraction) *
                                  (std::exp(-difference * difference / (2 * 20.0 * 20.0)) + 1e-3);
            total += weight, a += weight * ab[cell], b += weight * ab[cell + cell_lightness.size()];
        }
    return {a / total, b / total};
}

// Levels [H, W, 3], not rounded. Bilinear upsampling if `cell_lightness` is empty.
inline std::vector<double> compose_reference(const std::vector<float>& lightness, const std::vector<float>& ab,
                                             const std::vector<float>& cell_lightness, int h, int w, int height,
                                             int width) {
    std::vector<double> levels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const ExactNeighbours row = exact_neighbours((y + 0.5) * h / height - 0.5, h);
            const ExactNeighbours column = exact_neighbours((x + 0.5) * w / width - 0.5, w);
            const double L = lightness[size_t(y) * width + x], fy = (L + 16.0) / 116;
            const Ab colour = cell_lightness.empty() ? Ab{exact_bilinear(ab.data(), w, row, column),
                                                          exact_bilinear(ab.data() + size_t(h) * w, w, row, column)}
                                                     : guided_reference(ab, cell_lightness, w, row, column, L);
            double f[3] = {fy + colour.a / 500, fy, std::max(fy - colour.b / 200, 0.0)};
            for (double& t : f) t = t > 0.2068966 ? t * t * t : (t - 16.0 / 116) / 7.787;
            levels.push_back(level_reference(3.079980302 * f[0] - 1.537151516 * f[1] - 0.542821308 * f[2]));
            levels.push_back(level_reference(-0.921247752 * f[0] + 1.875990001 * f[1] + 0.04524734 * f[2]));
            levels.push_back(level_reference(0.052890461 * f[0] - 0.204041338 * f[1] + 1.151232012 * f[2]));
        }
    return levels;
}

}  // namespace lab

KERNEL(1024, compose_rgb_plain, const float* lightness, const float* ab, int h, int w, unsigned char* pixels,
       int height, int width) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Neighbours row = neighbours_of_pixel(y, height, h), column = neighbours_of_pixel(x, width, w);
    const size_t at = size_t(y) * width + x;
    const unsigned pixel =
        pixel_from_lab(lightness[at], bilinear(ab, w, row, column), bilinear(ab + size_t(h) * w, w, row, column));
    for (int byte = 0; byte < 3; byte++) pixels[3 * at + byte] = (unsigned char)(pixel >> 8 * byte);
}

KERNEL(1024, compose_guided_rgb_plain, const float* lightness, const float* ab, const float* cell_lightness, int h,
       int w, unsigned char* pixels, int height, int width) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const size_t at = size_t(y) * width + x;
    const float2 colour = GuidedRow(ab, cell_lightness, neighbours_of_pixel(y, height, h), h, w)
                              .at(lightness[at], neighbours_of_pixel(x, width, w));
    const unsigned pixel = pixel_from_lab(lightness[at], colour.x, colour.y);
    for (int byte = 0; byte < 3; byte++) pixels[3 * at + byte] = (unsigned char)(pixel >> 8 * byte);
}

namespace lab {

// The arrays of all launches over one picture.
struct Picture {
    Array<float> lightness, ab, cell_lightness;
    Array<unsigned char> rgb;
    int h, w, height, width;
    std::string size;

    Picture(int h, int w, int height, int width)
        : lightness(size_t(height) * width),
          ab(2 * size_t(h) * w),
          cell_lightness(size_t(h) * w),
          rgb(3 * lightness.host.size()),
          h(h),
          w(w),
          height(height),
          width(width),
          size(" " + std::to_string(width) + "x" + std::to_string(height)) {
        fill_uniform(lightness.host, 0, 100);
        fill_uniform(ab.host, -70, 70);
        fill_uniform(cell_lightness.host, 0, 100);
        lightness.upload(), ab.upload(), cell_lightness.upload();
    }
};

// Runs launches and compares their pixels with `expected`, levels [H, W, 3].
class ComposeChecks {
   public:
    ComposeChecks(Lab& bench, Picture& picture, std::vector<double> expected, size_t read)
        : bench_(bench), picture_(picture), expected_(std::move(expected)), read_(read) {}

    void run(const std::string& name, const std::function<void()>& launch) {
        const auto check = [&] {
            return picture_.rgb.download(), same("rgb", picture_.rgb.host, expected_, ROUNDED);
        };
        bench_.run(name + picture_.size, read_ + picture_.rgb.bytes(), [&] { picture_.rgb.poison(); }, launch, check);
    }

   private:
    static constexpr Tolerance ROUNDED{0, 0.53, "the nearest level, or its neighbour within 0.03 of the half"};
    Lab& bench_;
    Picture& picture_;
    std::vector<double> expected_;
    size_t read_;
};

inline void compose_bilinear(Lab& bench, Picture& picture) {
    const int h = picture.h, w = picture.w, height = picture.height, width = picture.width;
    const float *L = picture.lightness.device(), *ab = picture.ab.device();
    unsigned char* to = picture.rgb.device();
    ComposeChecks checks(bench, picture,
                         compose_reference(picture.lightness.host, picture.ab.host, {}, h, w, height, width),
                         picture.lightness.bytes() + picture.ab.bytes());
    for (unsigned rows : {2u, 4u, 8u, 16u, 32u}) {
        const dim3 block{32, rows, 1}, grid = tiles(width, height, 32, int(rows));
        checks.run("compose_rgb_plain 32x" + std::to_string(rows),
                   LAUNCH(compose_rgb_plain, grid, block, L, ab, h, w, to, height, width));
    }
    const dim3 block{32, 8, 1}, grid = tiles(width, height, COMPOSE_COLUMNS, COMPOSE_ROWS);
    checks.run("compose_rgb", LAUNCH(compose_rgb, grid, block, L, ab, h, w, to, 3 * width, height, width));
}

inline void compose_guided(Lab& bench, Picture& picture) {
    const int h = picture.h, w = picture.w, height = picture.height, width = picture.width;
    const float *L = picture.lightness.device(), *ab = picture.ab.device(), *cells = picture.cell_lightness.device();
    unsigned char* to = picture.rgb.device();
    ComposeChecks checks(
        bench, picture,
        compose_reference(picture.lightness.host, picture.ab.host, picture.cell_lightness.host, h, w, height, width),
        picture.lightness.bytes() + picture.ab.bytes() + picture.cell_lightness.bytes());
    for (unsigned rows : {4u, 8u, 16u}) {
        const dim3 block{32, rows, 1}, grid = tiles(width, height, 32, int(rows));
        checks.run("compose_guided_rgb_plain 32x" + std::to_string(rows),
                   LAUNCH(compose_guided_rgb_plain, grid, block, L, ab, cells, h, w, to, height, width));
    }
    const dim3 block{32, 8, 1}, grid = tiles(width, height, COMPOSE_COLUMNS, COMPOSE_ROWS);
    checks.run("compose_guided_rgb",
               LAUNCH(compose_guided_rgb, grid, block, L, ab, cells, h, w, to, 3 * width, height, width));
}

inline void compose_of_size(Lab& bench, int h, int w, int height, int width) {
    Picture picture(h, w, height, width);
    compose_bilinear(bench, picture);
    compose_guided(bench, picture);
}

inline void compose(Lab& bench) {
    compose_of_size(bench, 31, 17, 101, 203);
#ifdef __CUDACC__
    compose_of_size(bench, 256, 256, 1080, 1920);
    compose_of_size(bench, 256, 256, 2160, 3840);
#endif
}

}  // namespace lab
