#include <string.h>

#include "CKernels.h"
#include "Dispatch.h"

// Sums run in a fixed number of lanes, so that the order of additions does not depend on the width of a vector.
enum { DOUBLES = 8 };

MUSTER_INLINE uint32_t bits_at(const char *row, size_t index) {
  uint32_t bits;
  memcpy(&bits, row + 4 * index, sizeof bits);
  return bits;
}

MUSTER_INLINE float float_at(const char *row, size_t index) {
  float value;
  memcpy(&value, row + 4 * index, sizeof value);
  return value;
}

MUSTER_INLINE double double_at(const char *row, size_t index) {
  double value;
  memcpy(&value, row + 8 * index, sizeof value);
  return value;
}

// Adding one to the exponent sets the sign bit exactly if the exponent is all ones, that is, for an infinity or a NaN.
MUSTER_INLINE uint32_t carry(uint32_t bits) { return (bits & 0x7fffffff) + 0x00800000; }

MUSTER_DISPATCHED int muster_has_nonfinite_f32(const void *row, size_t count) {
  uint32_t all = 0;
  for (size_t i = 0; i < count; i++) all |= carry(bits_at(row, i));
  return (int)(all >> 31);
}

MUSTER_DISPATCHED int muster_add_difference_f32(
    const void *row, const double *restrict base, double factor, double *restrict sum, size_t count) {
  uint32_t all = 0;
  for (size_t i = 0; i < count; i++) {
    all |= carry(bits_at(row, i));
    sum[i] += factor * ((double)float_at(row, i) - base[i]);
  }
  return (int)(all >> 31);
}

MUSTER_INLINE double total(const double *lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

MUSTER_DISPATCHED double muster_squared_distance_f32(const void *row, const double *base, size_t count) {
  double lanes[DOUBLES] = {0};
  size_t i = 0;
  for (; i + DOUBLES <= count; i += DOUBLES) {
    for (size_t lane = 0; lane < DOUBLES; lane++) {
      double difference = (double)float_at(row, i + lane) - base[i + lane];
      lanes[lane] += difference * difference;
    }
  }
  for (; i < count; i++) {
    double difference = (double)float_at(row, i) - base[i];
    lanes[i % DOUBLES] += difference * difference;
  }
  return total(lanes);
}

MUSTER_DISPATCHED double muster_squares_f64(const void *row, size_t count) {
  double lanes[DOUBLES] = {0};
  size_t i = 0;
  for (; i + DOUBLES <= count; i += DOUBLES) {
    for (size_t lane = 0; lane < DOUBLES; lane++) {
      double value = double_at(row, i + lane);
      lanes[lane] += value * value;
    }
  }
  for (; i < count; i++) {
    double value = double_at(row, i);
    lanes[i % DOUBLES] += value * value;
  }
  return total(lanes);
}

// Distances of a row to four others at a time, in blocks that stay in the nearest cache.

enum { BLOCK = 256 };
typedef float floats __attribute__((vector_size(64), aligned(1), may_alias));
typedef double doubles __attribute__((vector_size(64), aligned(1), may_alias));

// One block of a pair in double, for blocks whose squares would leave the range of float.
MUSTER_INLINE double careful(const char *a, const char *b, size_t count) {
  double sum = 0;
  for (size_t k = 0; k < count; k++) {
    double difference = (double)float_at(a, k) - (double)float_at(b, k);
    sum += difference * difference;
  }
  return sum;
}

MUSTER_INLINE double summed_f32(const float *lanes, const char *a, const char *b) {
  double sums[DOUBLES];
  for (size_t lane = 0; lane < DOUBLES; lane++) sums[lane] = (double)lanes[lane] + (double)lanes[lane + DOUBLES];
  double sum = total(sums);
  return sum >= 1e-25 && sum <= 1e38 ? sum : careful(a, b, BLOCK);
}

MUSTER_INLINE double rest_f32(const char *a, const char *b, size_t count) { return careful(a, b, count); }

MUSTER_INLINE double summed_f64(const double *lanes, const char *a, const char *b) {
  (void)a;
  (void)b;
  return total(lanes);
}

MUSTER_INLINE double rest_f64(const char *a, const char *b, size_t count) {
  double sum = 0;
  for (size_t k = 0; k < count; k++) {
    double difference = double_at(a, k) - double_at(b, k);
    sum += difference * difference;
  }
  return sum;
}

#define DISTANCES(TYPE, VECTOR, SUFFIX)                                                                                                \
  MUSTER_DISPATCHED void muster_distances_##SUFFIX(const void *const *rows, size_t n, size_t count, double *distances) {               \
    size_t start = 0;                                                                                                                  \
    for (; start + BLOCK <= count; start += BLOCK) {                                                                                   \
      for (size_t i = 0; i + 1 < n; i++) {                                                                                             \
        const char *a = (const char *)rows[i] + start * sizeof(TYPE);                                                                  \
        for (size_t j = i + 1; j < n; j += 4) {                                                                                        \
          /* Beyond the last row, b0 stands in, and its result is dropped. */                                                          \
          size_t left = n - j < 4 ? n - j : 4;                                                                                         \
          const char *b0 = (const char *)rows[j] + start * sizeof(TYPE);                                                               \
          const char *b1 = left > 1 ? (const char *)rows[j + 1] + start * sizeof(TYPE) : b0;                                           \
          const char *b2 = left > 2 ? (const char *)rows[j + 2] + start * sizeof(TYPE) : b0;                                           \
          const char *b3 = left > 3 ? (const char *)rows[j + 3] + start * sizeof(TYPE) : b0;                                           \
          VECTOR s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};                                                                               \
          for (size_t k = 0; k < BLOCK * sizeof(TYPE); k += sizeof(VECTOR)) {                                                          \
            VECTOR x = *(const VECTOR *)(a + k);                                                                                       \
            VECTOR d0 = x - *(const VECTOR *)(b0 + k), d1 = x - *(const VECTOR *)(b1 + k);                                             \
            VECTOR d2 = x - *(const VECTOR *)(b2 + k), d3 = x - *(const VECTOR *)(b3 + k);                                             \
            s0 += d0 * d0;                                                                                                             \
            s1 += d1 * d1;                                                                                                             \
            s2 += d2 * d2;                                                                                                             \
            s3 += d3 * d3;                                                                                                             \
          }                                                                                                                            \
          TYPE lanes[4][sizeof(VECTOR) / sizeof(TYPE)];                                                                                \
          memcpy(lanes[0], &s0, sizeof s0);                                                                                            \
          memcpy(lanes[1], &s1, sizeof s1);                                                                                            \
          memcpy(lanes[2], &s2, sizeof s2);                                                                                            \
          memcpy(lanes[3], &s3, sizeof s3);                                                                                            \
          const char *others[4] = {b0, b1, b2, b3};                                                                                    \
          for (size_t other = 0; other < left; other++) {                                                                              \
            distances[i * n + j + other] += summed_##SUFFIX(lanes[other], a, others[other]);                                           \
          }                                                                                                                            \
        }                                                                                                                              \
      }                                                                                                                                \
    }                                                                                                                                  \
    for (size_t i = 0; start < count && i + 1 < n; i++) {                                                                              \
      const char *a = (const char *)rows[i] + start * sizeof(TYPE);                                                                    \
      for (size_t j = i + 1; j < n; j++) {                                                                                             \
        distances[i * n + j] += rest_##SUFFIX(a, (const char *)rows[j] + start * sizeof(TYPE), count - start);                         \
      }                                                                                                                                \
    }                                                                                                                                  \
  }

DISTANCES(float, floats, f32)
DISTANCES(double, doubles, f64)

MUSTER_DISPATCHED void muster_products_f64(const void *const *rows, size_t n, size_t reference, size_t count, double *products) {
  const char *zero = rows[reference];
  size_t whole = count / DOUBLES * DOUBLES;
  for (size_t i = 0; i < n; i++) {
    for (size_t j = i; j < n; j++) {
      const char *a = rows[i], *b = rows[j];
      doubles sums = {0};
      for (size_t k = 0; k < whole * sizeof(double); k += sizeof(doubles)) {
        doubles from = *(const doubles *)(zero + k);
        sums += (*(const doubles *)(a + k) - from) * (*(const doubles *)(b + k) - from);
      }
      double lanes[DOUBLES];
      memcpy(lanes, &sums, sizeof lanes);
      for (size_t k = whole; k < count; k++) {
        lanes[k % DOUBLES] += (double_at(a, k) - double_at(zero, k)) * (double_at(b, k) - double_at(zero, k));
      }
      products[i * n + j] += total(lanes);
    }
  }
}
