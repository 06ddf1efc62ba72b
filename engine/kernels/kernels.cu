// All kernels in one translation unit: the fatbin for GPUs and the library of the CPU tests are compiled from it.
#include "hints.cu"
#include "compose.cu"
#include "distribution.cu"
#include "touch_hints.cu"
#include "touch_attention.cu"
#include "touch_upsample.cu"
#include "match_hints.cu"
