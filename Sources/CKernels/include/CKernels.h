#pragma once

#include <stddef.h>
#include <stdint.h>

// Float16 and bfloat16 against float32. `half` and `brain` point to little-endian 16-bit values at any alignment.
// To 16 bits rounds to nearest, ties to even; a NaN stays a (quiet) NaN. The answers do not depend on the processor.

void muster_float_from_half(const void *half, float *out, size_t count);
void muster_half_from_float(const float *in, void *half, size_t count);

void muster_float_from_brain(const void *brain, float *out, size_t count);
void muster_brain_from_float(const float *in, void *brain, size_t count);

// The same without help from the processor: what others are compared with.
void muster_float_from_half_portable(const void *half, float *out, size_t count);
void muster_half_from_float_portable(const float *in, void *half, size_t count);
