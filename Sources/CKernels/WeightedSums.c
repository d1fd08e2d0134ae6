#include <string.h>

#include "CKernels.h"
#include "Dispatch.h"

// Processes eight columns of up to 16 rows at a time, and widens each element to double on the way, so that 16-bit elements need no pass of
// their own. The sums stay in the nearest cache from one tile of rows to the next.

enum { LANES = 8, TILE = 16, WIDTH = 1024 };
enum { DOUBLE = -1, FLOAT = MUSTER_FLOAT, BRAIN = MUSTER_BRAIN, HALF = MUSTER_HALF };

typedef double doubles __attribute__((vector_size(64)));
typedef long long flags __attribute__((vector_size(64)));
typedef float floats __attribute__((vector_size(32)));
typedef uint32_t words __attribute__((vector_size(32)));
typedef uint16_t shorts __attribute__((vector_size(16)));

static const double GREATEST_FLOAT = 0x1.fffffep127;
static const double GREATEST_DOUBLE = 0x1.fffffffffffffp1023;

MUSTER_INLINE size_t size_of(int element) { return element == DOUBLE ? 8 : element == FLOAT ? 4 : 2; }

// Loads `count` elements of a row from column k on; other lanes are zero. A constant count compiles to a single load.
MUSTER_INLINE void load(doubles *out, const char *row, size_t k, size_t count, int element) {
  const char *from = row + k * size_of(element);
  if (element == DOUBLE) {
    doubles values = {0};
    memcpy(&values, from, count * 8);
    *out = values;
  } else if (element == FLOAT) {
    floats values = {0};
    memcpy(&values, from, count * 4);
    *out = __builtin_convertvector(values, doubles);
  } else if (element == BRAIN) {
    shorts values = {0};
    memcpy(&values, from, count * 2);
    words wide = __builtin_convertvector(values, words) << 16;
    floats singles;
    memcpy(&singles, &wide, sizeof singles);
    *out = __builtin_convertvector(singles, doubles);
  } else {
#if defined(__x86_64__) || defined(__aarch64__)
    typedef _Float16 halves __attribute__((vector_size(16)));
    halves values = {0};
    memcpy(&values, from, count * 2);
    *out = __builtin_convertvector(__builtin_convertvector(values, floats), doubles);
#endif
  }
}

// Sets the lanes to all ones whose values exceed the limit, are infinite or NaN.
MUSTER_INLINE void note(flags *outside, const doubles *values, double limit) {
  flags bits;
  memcpy(&bits, values, sizeof bits);
  bits &= 0x7fffffffffffffff;
  doubles magnitudes;
  memcpy(&magnitudes, &bits, sizeof magnitudes);
  *outside |= ~(magnitudes <= limit);
}

// Adds a tile of rows to eight columns of the sum. Rows are added one after the other, so the size of a tile changes no bit of the result.
MUSTER_INLINE void add_rows(
    doubles *sum, flags *outside, const char *const *rows, const double *weights, size_t n, size_t k, size_t count, const doubles *base,
    int deltas, int element) {
  for (size_t r = 0; r < n; r++) {
    doubles row;
    load(&row, rows[r], k, count, element);
    if (deltas) {
      doubles reached = *base + row;
      note(outside, &reached, GREATEST_FLOAT);
      *sum += weights[r] * row;
    } else {
      *sum += weights[r] * (row - *base);
    }
  }
}

MUSTER_INLINE int any(const flags *outside) {
  long long all = 0;
  for (size_t lane = 0; lane < LANES; lane++) all |= (*outside)[lane];
  return all != 0;
}

// Stores base + sum as floats, or the sum itself if the base is double.
MUSTER_INLINE void store(char *out, flags *outside, const doubles *base, const doubles *sum, size_t k, size_t count, int base_element) {
  if (base_element == DOUBLE) {
    note(outside, sum, GREATEST_DOUBLE);
    memcpy(out + 8 * k, sum, count * 8);
  } else {
    floats next = __builtin_convertvector(*base + *sum, floats);
    doubles wide = __builtin_convertvector(next, doubles);
    note(outside, &wide, GREATEST_FLOAT);
    memcpy(out + 4 * k, &next, count * 4);
  }
}

MUSTER_INLINE int weighted(
    const void *const *rows, size_t n, size_t count, const double *weights, int deltas, const char *base, char *out, int element,
    int base_element) {
  doubles sums[WIDTH / LANES];
  flags outside = {0};
  for (size_t start = 0; start < count; start += WIDTH) {
    size_t width = count - start < WIDTH ? count - start : WIDTH, whole = width / LANES * LANES, rest = width - whole;
    memset(sums, 0, sizeof sums);
    for (size_t r = 0; r < n; r += TILE) {
      size_t tile = n - r < TILE ? n - r : TILE;
      const char *at[TILE];
      for (size_t i = 0; i < tile; i++) at[i] = (const char *)rows[r + i] + start * size_of(element);
      doubles from;
      for (size_t k = 0; k < whole; k += LANES) {
        load(&from, base, start + k, LANES, base_element);
        add_rows(&sums[k / LANES], &outside, at, weights + r, tile, k, LANES, &from, deltas, element);
      }
      if (rest) {
        load(&from, base, start + whole, rest, base_element);
        add_rows(&sums[whole / LANES], &outside, at, weights + r, tile, whole, rest, &from, deltas, element);
      }
    }
    doubles from;
    for (size_t k = 0; k < whole; k += LANES) {
      load(&from, base, start + k, LANES, base_element);
      store(out, &outside, &from, &sums[k / LANES], start + k, LANES, base_element);
    }
    if (rest) {
      load(&from, base, start + whole, rest, base_element);
      store(out, &outside, &from, &sums[whole / LANES], start + whole, rest, base_element);
    }
  }
  return any(&outside);
}

#define WEIGHTED(SUFFIX, ATTRIBUTES, ELEMENT)                                                                                          \
  ATTRIBUTES static int sum_##SUFFIX(                                                                                                  \
      const void *const *rows, size_t n, size_t count, const double *weights, int deltas, const double *base, double *sum) {           \
    const char *from = (const char *)base;                                                                                             \
    return deltas ? weighted(rows, n, count, weights, 1, from, (char *)sum, ELEMENT, DOUBLE)                                           \
                  : weighted(rows, n, count, weights, 0, from, (char *)sum, ELEMENT, DOUBLE);                                          \
  }                                                                                                                                    \
  ATTRIBUTES static int step_##SUFFIX(                                                                                                 \
      const void *const *rows, size_t n, size_t count, const double *weights, int deltas, const void *base, void *out) {               \
    return deltas ? weighted(rows, n, count, weights, 1, base, out, ELEMENT, FLOAT)                                                    \
                  : weighted(rows, n, count, weights, 0, base, out, ELEMENT, FLOAT);                                                   \
  }

WEIGHTED(float, MUSTER_DISPATCHED, FLOAT)
WEIGHTED(brain, MUSTER_DISPATCHED, BRAIN)

// Halves are compiled for named targets, which have an instruction that widens them. Otherwise each element would be a library call.
#if defined(__x86_64__)

WEIGHTED(half_v4, __attribute__((target("arch=x86-64-v4"))), HALF)
WEIGHTED(half_v3, __attribute__((target("arch=x86-64-v3"))), HALF)

static int has_v4(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

int muster_adds_halves(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }

static int sum_half(
    const void *const *rows, size_t n, size_t count, const double *weights, int deltas, const double *base, double *sum) {
  return has_v4() ? sum_half_v4(rows, n, count, weights, deltas, base, sum) : sum_half_v3(rows, n, count, weights, deltas, base, sum);
}

static int step_half(
    const void *const *rows, size_t n, size_t count, const double *weights, int deltas, const void *base, void *out) {
  return has_v4() ? step_half_v4(rows, n, count, weights, deltas, base, out) : step_half_v3(rows, n, count, weights, deltas, base, out);
}

#elif defined(__aarch64__)

int muster_adds_halves(void) { return 1; }

WEIGHTED(half, , HALF)

#else

int muster_adds_halves(void) { return 0; }

static int sum_half(
    const void *const *rows, size_t n, size_t count, const double *weights, int deltas, const double *base, double *sum) {
  return 1;
}

static int step_half(
    const void *const *rows, size_t n, size_t count, const double *weights, int deltas, const void *base, void *out) {
  return 1;
}

#endif

int muster_weighted_sum(
    const void *const *rows, size_t n, size_t count, int element, const double *weights, int deltas, const double *base, double *sum) {
  switch (element) {
  case HALF: return sum_half(rows, n, count, weights, deltas, base, sum);
  case BRAIN: return sum_brain(rows, n, count, weights, deltas, base, sum);
  default: return sum_float(rows, n, count, weights, deltas, base, sum);
  }
}

int muster_weighted_step(
    const void *const *rows, size_t n, size_t count, int element, const double *weights, int deltas, const void *base, void *out) {
  switch (element) {
  case HALF: return step_half(rows, n, count, weights, deltas, base, out);
  case BRAIN: return step_brain(rows, n, count, weights, deltas, base, out);
  default: return step_float(rows, n, count, weights, deltas, base, out);
  }
}
