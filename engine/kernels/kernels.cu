// All kernels in one translation unit: one fatbin for a GPU, one library for the CPU tests.
#include "hints.cu"
#include "compose.cu"
#include "distribution.cu"
#include "touch_fine.cu"
#include "touch_flow.cu"
#include "touch_prepare.cu"
