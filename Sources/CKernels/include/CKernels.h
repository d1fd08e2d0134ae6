#pragma once

#include <stddef.h>
#include <stdint.h>

// Rows of numbers are little-endian and may be unaligned. No result depends on the processor: an older one works in narrower steps than a
// newer one, with the same roundings.

// Conversions between float32 and float16 or bfloat16. `half` and `brain` point to 16-bit values. Rounds to nearest, ties to even; a NaN
// becomes a quiet NaN.

void muster_float_from_half(const void *half, float *out, size_t count);
void muster_half_from_float(const float *in, void *half, size_t count);

void muster_float_from_brain(const void *brain, float *out, size_t count);
void muster_brain_from_float(const float *in, void *brain, size_t count);

// The same without special instructions, as a reference for tests and the fallback on other processors.
void muster_float_from_half_portable(const void *half, float *out, size_t count);
void muster_half_from_float_portable(const float *in, void *half, size_t count);

// Whether a row holds an infinity or a NaN.
int muster_has_nonfinite_f32(const void *row, size_t count);

// sum += factor (row − base). Returns nonzero if the row holds an infinity or a NaN; then the sum is unusable.
int muster_add_difference_f32(const void *row, const double *base, double factor, double *sum, size_t count);

// The element type of the rows of a weighted sum.
enum { MUSTER_FLOAT, MUSTER_HALF, MUSTER_BRAIN };

// Whether this processor adds rows of halves directly. If not, the caller must widen them first.
int muster_adds_halves(void);

// sum = Σ weight_i (row_i − base), or with `deltas` Σ weight_i row_i, one row after the other. Returns nonzero if a sum is not finite or,
// with `deltas`, some base + row leaves the range of float.
int muster_weighted_sum(
    const void *const *rows, size_t n, size_t count, int element, const double *weights, int deltas, const double *base, double *sum);
// The same with a base of floats: out = base + sum, rounded once. Returns nonzero also if the result is not finite.
int muster_weighted_step(
    const void *const *rows, size_t n, size_t count, int element, const double *weights, int deltas, const void *base, void *out);

// Σ (row − base)².
double muster_squared_distance_f32(const void *row, const double *base, size_t count);
// Σ row².
double muster_squares_f64(const void *row, size_t count);

// Adds ‖row i − row j‖² to distances[i · n + j], for all i < j. The f32 version sums in float32 where that is safe, in blocks of 256.
void muster_distances_f32(const void *const *rows, size_t n, size_t count, double *distances);
void muster_distances_f64(const void *const *rows, size_t n, size_t count, double *distances);

// Adds (row i − row r)·(row j − row r) to products[i · n + j], for all i ≤ j, where r is `reference`.
void muster_products_f64(const void *const *rows, size_t n, size_t reference, size_t count, double *products);

// Rules on sorted columns. A sorting network sorts the columns: `pairs` holds 2 · pair_count positions, and the lower value of a pair goes
// to its first position. `scratch` has room for 64 · n elements of the rows' type.

// The mean of each column without its `drop` lowest and `drop` highest values; 2 · drop < n.
void muster_trimmed_mean_f32(
    const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t drop, void *scratch, double *out);
void muster_trimmed_mean_f64(
    const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t drop, void *scratch, double *out);

// The mean of the `keep` values of each column nearest to its median; of two equally near values, the lower; 0 < keep ≤ n.
void muster_middle_mean_f32(
    const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t keep, void *scratch, double *out);
void muster_middle_mean_f64(
    const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t keep, void *scratch, double *out);

// Encodings in fewer bits.

// The bits of the largest magnitude in a row: 0x7f800000 or more if it holds an infinity or a NaN.
uint32_t muster_magnitude_f32(const void *row, size_t count);
// The largest magnitude in a row; meaningless if it holds a NaN.
double muster_magnitude_f64(const double *row, size_t count);

// Rounds in[i] · inverse to nearest, ties to even; the products must lie between -128.5 and 127.5. The reverse is out[i] = in[i] · scale.
void muster_int8_from_float(const float *in, double inverse, void *out, size_t count);
void muster_float_from_int8(const void *in, float scale, float *out, size_t count);

// sum += factors[r] · scale · row r, for all n rows. The rows' first element has index `first` in its tensor. Each scale is for `channel`
// elements, and `scales` holds for each row the scales that its elements need.
void muster_add_int8(
    const void *const *rows, const float *scales, const double *factors, size_t n, size_t first, size_t channel, double *sum,
    size_t count);
// The same with a base of floats: out = base + sum, rounded once. Returns nonzero if some base + row could leave the range of float or the
// result is outside it.
int muster_step_int8(
    const void *const *rows, const float *scales, const double *factors, size_t n, size_t first, size_t channel, const void *base,
    void *out, size_t count);
