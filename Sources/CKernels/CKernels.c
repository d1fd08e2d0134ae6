#include "CKernels.h"

#include <string.h>

static inline uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint16_t load16(const void *base, size_t index) {
  uint16_t value;
  memcpy(&value, (const char *)base + 2 * index, sizeof value);
  return value;
}

static inline void store16(void *base, size_t index, uint16_t value) {
  memcpy((char *)base + 2 * index, &value, sizeof value);
}

static inline float float_from_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 0x1f;
  uint32_t fraction = half & 0x3ff;
  if (exponent == 0x1f) {
    return float_of(sign | 0x7f800000 | (fraction << 13) | (fraction ? 0x400000 : 0));
  }
  if (exponent == 0) {
    // Zero and subnormals are exact, because 2^-24 is a normal float.
    float magnitude = (float)fraction * 0x1p-24f;
    return float_of(sign | bits_of(magnitude));
  }
  return float_of(sign | ((exponent + 112) << 23) | (fraction << 13));
}

static inline uint16_t half_from_float(float value) {
  uint32_t bits = bits_of(value);
  uint16_t sign = (uint16_t)((bits >> 16) & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | (uint16_t)((magnitude >> 13) & 0x3ff);
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal halves: adding 0.5 makes the float addition round at 2^-24.
    float shifted = float_of(magnitude) + 0.5f;
    return sign | (uint16_t)(bits_of(shifted) - 0x3f000000);
  }
  uint32_t odd = (magnitude >> 13) & 1;
  return sign | (uint16_t)((magnitude - 0x38000000 + 0xfff + odd) >> 13);
}

void muster_float_from_half_portable(const void *half, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = float_from_half(load16(half, i));
}

void muster_half_from_float_portable(const float *in, void *half, size_t count) {
  for (size_t i = 0; i < count; i++) store16(half, i, half_from_float(in[i]));
}

void muster_float_from_brain(const void *brain, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = float_of((uint32_t)load16(brain, i) << 16);
}

void muster_brain_from_float(const float *in, void *brain, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = bits_of(in[i]);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    uint32_t quiet = (bits >> 16) | 0x40;
    store16(brain, i, (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded));
  }
}

#if defined(__x86_64__)

#include <immintrin.h>

__attribute__((target("avx,f16c"))) static void float_from_half_f16c(const void *half, float *out, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m128i eight = _mm_loadu_si128((const __m128i *)((const char *)half + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(eight));
  }
  muster_float_from_half_portable((const char *)half + 2 * i, out + i, count - i);
}

__attribute__((target("avx,f16c"))) static void half_from_float_f16c(const float *in, void *half, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m128i eight = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128((__m128i *)((char *)half + 2 * i), eight);
  }
  muster_half_from_float_portable(in + i, (char *)half + 2 * i, count - i);
}

static int has_f16c(void) { return __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c"); }

void muster_float_from_half(const void *half, float *out, size_t count) {
  if (has_f16c()) float_from_half_f16c(half, out, count);
  else muster_float_from_half_portable(half, out, count);
}

void muster_half_from_float(const float *in, void *half, size_t count) {
  if (has_f16c()) half_from_float_f16c(in, half, count);
  else muster_half_from_float_portable(in, half, count);
}

#elif defined(__aarch64__)

// All 64-bit Arm processors convert in hardware, so no dispatch is needed.

void muster_float_from_half(const void *half, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    __fp16 value;
    memcpy(&value, (const char *)half + 2 * i, sizeof value);
    out[i] = (float)value;
  }
}

void muster_half_from_float(const float *in, void *half, size_t count) {
  for (size_t i = 0; i < count; i++) {
    __fp16 value = (__fp16)in[i];
    memcpy((char *)half + 2 * i, &value, sizeof value);
  }
}

#else

void muster_float_from_half(const void *half, float *out, size_t count) { muster_float_from_half_portable(half, out, count); }
void muster_half_from_float(const float *in, void *half, size_t count) { muster_half_from_float_portable(in, half, count); }

#endif
