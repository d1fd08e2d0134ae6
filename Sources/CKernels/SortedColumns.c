#include <string.h>

#include "CKernels.h"
#include "Dispatch.h"

// 64 columns at a time lie side by side in `scratch`, one line per row. Comparing two lines does one step of the sort for all 64.
enum { COLUMNS = 64 };

#define SORTED_COLUMNS(TYPE, SUFFIX)                                                                                                   \
  MUSTER_INLINE void sort_columns_##SUFFIX(                                                                                            \
      const void *const *rows, size_t n, size_t start, size_t width, const uint32_t *pairs, size_t pair_count, TYPE *scratch) {        \
    for (size_t r = 0; r < n; r++) {                                                                                                   \
      const char *row = (const char *)rows[r] + start * sizeof(TYPE);                                                                  \
      TYPE *to = scratch + r * COLUMNS;                                                                                                \
      if (width == COLUMNS) memcpy(to, row, COLUMNS * sizeof(TYPE));                                                                   \
      else {                                                                                                                           \
        memset(to, 0, COLUMNS * sizeof(TYPE));                                                                                         \
        memcpy(to, row, width * sizeof(TYPE));                                                                                         \
      }                                                                                                                                \
    }                                                                                                                                  \
    for (size_t p = 0; p < pair_count; p++) {                                                                                          \
      TYPE *restrict low = scratch + (size_t)pairs[2 * p] * COLUMNS;                                                                   \
      TYPE *restrict high = scratch + (size_t)pairs[2 * p + 1] * COLUMNS;                                                              \
      for (size_t c = 0; c < COLUMNS; c++) {                                                                                           \
        TYPE x = low[c], y = high[c];                                                                                                  \
        low[c] = x < y ? x : y;                                                                                                        \
        high[c] = x < y ? y : x;                                                                                                       \
      }                                                                                                                                \
    }                                                                                                                                  \
  }                                                                                                                                    \
                                                                                                                                       \
  MUSTER_DISPATCHED void muster_trimmed_mean_##SUFFIX(                                                                                 \
      const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t drop, void *scratch,           \
      double *out) {                                                                                                                   \
    TYPE *sorted = scratch;                                                                                                            \
    double kept = (double)(n - 2 * drop);                                                                                              \
    for (size_t start = 0; start < count; start += COLUMNS) {                                                                          \
      size_t width = count - start < COLUMNS ? count - start : COLUMNS;                                                                \
      sort_columns_##SUFFIX(rows, n, start, width, pairs, pair_count, sorted);                                                         \
      double sums[COLUMNS] = {0};                                                                                                      \
      for (size_t r = drop; r < n - drop; r++) {                                                                                       \
        for (size_t c = 0; c < COLUMNS; c++) sums[c] += (double)sorted[r * COLUMNS + c];                                               \
      }                                                                                                                                \
      for (size_t c = 0; c < COLUMNS; c++) sums[c] /= kept;                                                                            \
      memcpy(out + start, sums, width * sizeof(double));                                                                               \
    }                                                                                                                                  \
  }                                                                                                                                    \
                                                                                                                                       \
  MUSTER_DISPATCHED void muster_middle_mean_##SUFFIX(                                                                                  \
      const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t keep, void *scratch,           \
      double *out) {                                                                                                                   \
    TYPE *sorted = scratch;                                                                                                            \
    for (size_t start = 0; start < count; start += COLUMNS) {                                                                          \
      size_t width = count - start < COLUMNS ? count - start : COLUMNS;                                                                \
      sort_columns_##SUFFIX(rows, n, start, width, pairs, pair_count, sorted);                                                         \
      double medians[COLUMNS], first[COLUMNS] = {0}, sums[COLUMNS] = {0};                                                              \
      for (size_t c = 0; c < COLUMNS; c++) {                                                                                           \
        medians[c] = ((double)sorted[(n - 1) / 2 * COLUMNS + c] + (double)sorted[n / 2 * COLUMNS + c]) / 2;                            \
      }                                                                                                                                \
      /* The nearest values are adjacent: a window of them moves up while the value above it is nearer than its lowest. */             \
      for (size_t s = 0; s < n - keep; s++) {                                                                                          \
        for (size_t c = 0; c < COLUMNS; c++) {                                                                                         \
          double below = medians[c] - (double)sorted[s * COLUMNS + c];                                                                 \
          double above = (double)sorted[(s + keep) * COLUMNS + c] - medians[c];                                                        \
          first[c] += above < below ? 1.0 : 0.0;                                                                                       \
        }                                                                                                                              \
      }                                                                                                                                \
      for (size_t r = 0; r < n; r++) {                                                                                                 \
        double place = (double)r, past = (double)r - (double)keep;                                                                     \
        for (size_t c = 0; c < COLUMNS; c++) {                                                                                         \
          sums[c] += ((place >= first[c]) & (past < first[c])) ? (double)sorted[r * COLUMNS + c] : 0.0;                                \
        }                                                                                                                              \
      }                                                                                                                                \
      for (size_t c = 0; c < COLUMNS; c++) sums[c] /= (double)keep;                                                                    \
      memcpy(out + start, sums, width * sizeof(double));                                                                               \
    }                                                                                                                                  \
  }

SORTED_COLUMNS(float, f32)
SORTED_COLUMNS(double, f64)
