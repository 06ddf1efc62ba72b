// All kernels in one translation unit: the fatbin for GPUs and the library of the CPU tests are compiled from it.
#include "hints.cu"
#include "compose.cu"
#include "distribution.cu"
#include "touch_fine.cu"
#include "touch_flow.cu"
#include "touch_prepare.cu"
