// The lab's harness: every kernel is compared with its CPU reference, and only then timed.
//
// On a GPU it prints the median time of RUNS launches, measured by events with the L2 cache flushed before each, and
// the bandwidth reached, also in percent of the memory's peak. Built for the CPU, it compares under several schedules
// and times nothing, because times of the emulation say nothing about a GPU.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../device.cuh"

namespace lab {

constexpr int RUNS = 100, WARM_UP = 5, SHOWN_MISMATCHES = 10;

// The allowed difference, and its reason, which is printed with a mismatch.
struct Tolerance {
    double relative, absolute;
    const char* reason;
};

#ifdef __CUDACC__
inline void must(cudaError_t error, const char* file, int line) {
    if (error == cudaSuccess) return;
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, cudaGetErrorName(error), cudaGetErrorString(error));
    exit(1);
}
#define MUST(call) lab::must(call, __FILE__, __LINE__)
#define LAUNCH(kernel, grid, block, ...) [=] { kernel<<<grid, block>>>(__VA_ARGS__); }
#else
#define LAUNCH(kernel, grid, block, ...)                                                                \
    [=] {                                                                                               \
        const int status = emu::launch([=] { kernel(__VA_ARGS__); }, grid, block, emu::MAX_THREADS, 0); \
        if (status != emu::fine) {                                                                      \
            fprintf(stderr, "%s: the launch returned status %d\n", #kernel, status);                    \
            exit(1);                                                                                    \
        }                                                                                               \
    }
#endif

// An array on the host and, on a GPU, its copy on the device.
template <class T>
class Array {
   public:
    explicit Array(size_t count) : host(count) {
#ifdef __CUDACC__
        MUST(cudaMalloc(&device_, std::max<size_t>(1, count) * sizeof(T)));
#endif
    }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
#ifdef __CUDACC__
    ~Array() { cudaFree(device_); }
    T* device() { return device_; }
    void upload() { MUST(cudaMemcpy(device_, host.data(), bytes(), cudaMemcpyHostToDevice)); }
    void download() { MUST(cudaMemcpy(host.data(), device_, bytes(), cudaMemcpyDeviceToHost)); }
#else
    T* device() { return host.data(); }
    void upload() {}
    void download() {}
#endif
    size_t bytes() const { return host.size() * sizeof(T); }
    // Fills the array with bytes 0xFF, which are NaN as floats.
    void poison() {
        memset(static_cast<void*>(host.data()), 0xFF, bytes());
        upload();
    }

    std::vector<T> host;

   private:
#ifdef __CUDACC__
    T* device_ = nullptr;
#endif
};

inline double number(float value) { return value; }
inline double number(int value) { return value; }
inline double number(unsigned char value) { return value; }
inline double number(__half value) { return __half2float(value); }

// Compares element by element and prints the first mismatches; true if there are none.
template <class T>
bool same(const char* what, const std::vector<T>& got, const std::vector<double>& expected, Tolerance tolerance) {
    size_t mismatches = 0;
    for (size_t i = 0; i < expected.size(); i++) {
        const double difference = std::fabs(number(got[i]) - expected[i]);
        if (difference <= tolerance.absolute + tolerance.relative * std::fabs(expected[i])) continue;
        if (mismatches++ < SHOWN_MISMATCHES)
            fprintf(stderr, "  %s[%zu] is %.9g, expected %.9g\n", what, i, number(got[i]), expected[i]);
    }
    if (mismatches)
        fprintf(stderr, "  %zu of %zu differ (allowed: %s)\n", mismatches, expected.size(), tolerance.reason);
    return mismatches == 0;
}

class Lab {
   public:
    explicit Lab(std::string only) : only_(std::move(only)) {
#ifdef __CUDACC__
        int kilohertz = 0, bits = 0;
        cudaDeviceProp properties;
        MUST(cudaGetDeviceProperties(&properties, 0));
        MUST(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, 0));
        MUST(cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, 0));
        MUST(cudaEventCreate(&start_));
        MUST(cudaEventCreate(&stop_));
        flush_bytes_ = std::max<size_t>(64 << 20, 2 * size_t(properties.l2CacheSize));
        MUST(cudaMalloc(&flush_, flush_bytes_));
        peak_gb_s_ = 2.0 * kilohertz * 1e3 * bits / 8 / 1e9;
        printf("%s, %.0f GB/s\n", properties.name, peak_gb_s_);
#else
        printf("CPU build: kernels are compared under several schedules and not timed\n");
#endif
    }

    bool wants(const std::string& family) const { return only_.empty() || only_ == family; }

    // `poison` overwrites the outputs, `launch` runs the kernel once, `check` compares the outputs with the reference.
    // `bytes`: what the kernel must read and write at least.
    void run(const std::string& name, size_t bytes, const std::function<void()>& poison,
             const std::function<void()>& launch, const std::function<bool()>& check) {
        count_++;
#ifdef __CUDACC__
        const bool right = once(poison, launch, check);
        const double us = right ? median_us(launch) : 0.0, gb_s = right ? bytes / us / 1e3 : 0.0;
        if (right) printf("%-58s %9.1f us %8.1f GB/s %5.1f %%\n", name.c_str(), us, gb_s, 100 * gb_s / peak_gb_s_);
#else
        bool right = true;
        for (unsigned seed : {0u, 1u, 2u, 7u}) {
            emu_schedule(seed);
            right = right && once(poison, launch, check);
        }
        if (right) printf("%-58s right, moves %zu bytes\n", name.c_str(), bytes);
#endif
        if (right) return;
        printf("%-58s WRONG\n", name.c_str());
        wrong_++;
    }

    // Prints the result; 0 if every launch was right.
    int verdict() const {
        printf("%d of %d launches are right\n", count_ - wrong_, count_);
        return wrong_ == 0 && count_ > 0 ? 0 : 1;
    }

   private:
    bool once(const std::function<void()>& poison, const std::function<void()>& launch,
              const std::function<bool()>& check) {
        poison();
        launch();
#ifdef __CUDACC__
        MUST(cudaGetLastError());
        MUST(cudaDeviceSynchronize());
#endif
        return check();
    }

#ifdef __CUDACC__
    double median_us(const std::function<void()>& launch) {
        std::vector<double> times;
        for (int i = 0; i < WARM_UP + RUNS; i++) {
            float ms = 0;
            MUST(cudaMemsetAsync(flush_, i, flush_bytes_));
            MUST(cudaEventRecord(start_));
            launch();
            MUST(cudaEventRecord(stop_));
            MUST(cudaEventSynchronize(stop_));
            MUST(cudaEventElapsedTime(&ms, start_, stop_));
            if (i >= WARM_UP) times.push_back(1e3 * ms);
        }
        std::sort(times.begin(), times.end());
        return times[times.size() / 2];
    }

    cudaEvent_t start_, stop_;
    void* flush_ = nullptr;
    size_t flush_bytes_ = 0;
    double peak_gb_s_ = 0;
#endif
    std::string only_;
    int count_ = 0, wrong_ = 0;
};

inline std::mt19937& random_bits() {
    static std::mt19937 generator(20171);
    return generator;
}

inline void fill_uniform(std::vector<float>& values, float low, float high) {
    std::uniform_real_distribution<float> draw(low, high);
    for (float& value : values) value = draw(random_bits());
}

inline dim3 tiles(int width, int height, int across, int down) {
    return dim3{unsigned((width + across - 1) / across), unsigned((height + down - 1) / down), 1u};
}

// Neighbours of device.cuh in doubles, for the references.
struct ExactNeighbours {
    int first, second;
    double fraction;
};

inline ExactNeighbours exact_neighbours(double position, int length) {
    position = std::min(std::max(position, 0.0), double(length - 1));
    const int first = int(position);
    return {first, std::min(first + 1, length - 1), position - first};
}

inline double exact_bilinear(const float* plane, int width, ExactNeighbours row, ExactNeighbours column) {
    const auto at = [&](int y, int x) { return double(plane[size_t(y) * width + x]); };
    const double above =
        at(row.first, column.first) * (1 - column.fraction) + at(row.first, column.second) * column.fraction;
    const double below =
        at(row.second, column.first) * (1 - column.fraction) + at(row.second, column.second) * column.fraction;
    return above * (1 - row.fraction) + below * row.fraction;
}

}  // namespace lab
