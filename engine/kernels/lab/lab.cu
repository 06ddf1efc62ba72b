// The kernel lab: checks every kernel and every launch configuration, then times them on a GPU.
//
//   on a GPU   nvcc -std=c++17 -O3 -arch=native -o lab lab.cu && ./lab [hints|compose|distribution|touch|match]
//   on a CPU   g++ -std=c++17 -O2 -ffp-contract=off -fno-strict-aliasing -x c++ lab.cu -o lab && ./lab
#include "lab_compose.cuh"
#include "lab_distribution.cuh"
#include "lab_hints.cuh"
#include "lab_match.cuh"
#include "lab_touch.cuh"

int main(int count, char** arguments) {
    setvbuf(stdout, nullptr, _IOLBF, 0);  // lines come out in order, and those before a crash are kept
    const std::string only = count > 1 ? arguments[1] : "";
    lab::Lab bench(only);
    if (bench.wants("hints")) lab::hints(bench);
    if (bench.wants("compose")) lab::compose(bench);
    if (bench.wants("distribution")) lab::distribution(bench);
    if (bench.wants("touch")) lab::touch(bench);
    if (bench.wants("match")) lab::match(bench);
    return bench.verdict();
}
