#include <string.h>

#include "CKernels.h"
#include "Dispatch.h"

// Number of elements processed at a time over all rows, so that their sums stay in the nearest cache.
enum { STEP = 512 };

// A double of this size has no bits for fractions: adding and subtracting it rounds to nearest, ties to even.
static const double ROUNDER = 0x1.8p52;

MUSTER_INLINE uint32_t magnitude_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits & 0x7fffffff;
}

MUSTER_INLINE float single_at(const char *row, size_t index) {
  float value;
  memcpy(&value, row + 4 * index, sizeof value);
  return value;
}

MUSTER_DISPATCHED uint32_t muster_magnitude_f32(const void *row, size_t count) {
  uint32_t most = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t own = magnitude_of(single_at(row, i));
    most = own > most ? own : most;
  }
  return most;
}

MUSTER_DISPATCHED double muster_magnitude_f64(const double *row, size_t count) {
  uint64_t most = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t bits;
    memcpy(&bits, row + i, sizeof bits);
    bits &= 0x7fffffffffffffff;
    most = bits > most ? bits : most;
  }
  double value;
  memcpy(&value, &most, sizeof value);
  return value;
}

MUSTER_DISPATCHED void muster_int8_from_float(const float *in, double inverse, void *out, size_t count) {
  int8_t *to = out;
  for (size_t i = 0; i < count; i++) to[i] = (int8_t)(int32_t)(((double)in[i] * inverse + ROUNDER) - ROUNDER);
}

MUSTER_DISPATCHED void muster_float_from_int8(const void *in, float scale, float *out, size_t count) {
  const int8_t *from = in;
  for (size_t i = 0; i < count; i++) out[i] = (float)from[i] * scale;
}

// Adds rows one after the other, element by element; taking four of them at once changes no bit of the result. `scales` holds `stride`
// scales for each row, and `place` is the index of the current one.
MUSTER_INLINE void add_rows(
    const void *const *rows, const float *scales, size_t stride, const double *factors, size_t n, size_t place, size_t start,
    double *restrict sum, size_t width) {
  size_t r = 0;
  for (; r + 4 <= n; r += 4) {
    const int8_t *a = (const int8_t *)rows[r] + start, *b = (const int8_t *)rows[r + 1] + start;
    const int8_t *c = (const int8_t *)rows[r + 2] + start, *d = (const int8_t *)rows[r + 3] + start;
    const float *scale = scales + r * stride + place;
    double fa = factors[r] * (double)scale[0], fb = factors[r + 1] * (double)scale[stride];
    double fc = factors[r + 2] * (double)scale[2 * stride], fd = factors[r + 3] * (double)scale[3 * stride];
    for (size_t i = 0; i < width; i++) {
      sum[i] = (((sum[i] + fa * (double)a[i]) + fb * (double)b[i]) + fc * (double)c[i]) + fd * (double)d[i];
    }
  }
  for (; r < n; r++) {
    const int8_t *a = (const int8_t *)rows[r] + start;
    double factor = factors[r] * (double)scales[r * stride + place];
    for (size_t i = 0; i < width; i++) sum[i] += factor * (double)a[i];
  }
}

// Number of elements from `start` on, at most STEP, that share their scales.
MUSTER_INLINE size_t run_length(size_t first, size_t channel, size_t start, size_t count) {
  size_t width = count - start < STEP ? count - start : STEP;
  size_t left = channel - (first + start) % channel;
  return left < width ? left : width;
}

MUSTER_DISPATCHED void muster_add_int8(
    const void *const *rows, const float *scales, const double *factors, size_t n, size_t first, size_t channel, double *sum,
    size_t count) {
  size_t origin = first / channel, stride = (first + count - 1) / channel - origin + 1;
  for (size_t start = 0, width; start < count; start += width) {
    width = run_length(first, channel, start, count);
    add_rows(rows, scales, stride, factors, n, (first + start) / channel - origin, start, sum + start, width);
  }
}

MUSTER_DISPATCHED int muster_step_int8(
    const void *const *rows, const float *scales, const double *factors, size_t n, size_t first, size_t channel, const void *base,
    void *out, size_t count) {
  double from[STEP], sum[STEP];
  size_t origin = first / channel, stride = (first + count - 1) / channel - origin + 1;
  int outside = 0;
  for (size_t start = 0, width; start < count; start += width) {
    width = run_length(first, channel, start, count);
    size_t place = (first + start) / channel - origin;
    const char *here = (const char *)base + 4 * start;
    uint32_t most = 0;
    for (size_t i = 0; i < width; i++) {
      float value = single_at(here, i);
      uint32_t own = magnitude_of(value);
      most = own > most ? own : most;
      from[i] = (double)value;
      sum[i] = 0;
    }
    float reach, largest = 0;
    memcpy(&reach, &most, sizeof reach);
    for (size_t r = 0; r < n; r++) {
      float scale = scales[r * stride + place];
      largest = scale > largest ? scale : largest;
    }
    outside |= !((double)reach + 128 * (double)largest <= 0x1.fffffep127);
    add_rows(rows, scales, stride, factors, n, place, start, sum, width);
    char *to = (char *)out + 4 * start;
    for (size_t i = 0; i < width; i++) {
      float next = (float)(from[i] + sum[i]);
      outside |= !(__builtin_fabsf(next) <= 0x1.fffffep127f);
      memcpy(to + 4 * i, &next, sizeof next);
    }
  }
  return outside;
}
