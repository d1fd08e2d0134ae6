#pragma once

#include <stddef.h>
#include <stdint.h>

// Rows of numbers may lie at any address, little-endian. No answer depends on the processor: what a newer one does in wider steps, an
// older one does in narrower ones with the same roundings.

// Float16 and bfloat16 against float32. `half` and `brain` point to 16-bit values.
// To 16 bits rounds to nearest, ties to even; a NaN stays a (quiet) NaN.

void muster_float_from_half(const void *half, float *out, size_t count);
void muster_half_from_float(const float *in, void *half, size_t count);

void muster_float_from_brain(const void *brain, float *out, size_t count);
void muster_brain_from_float(const float *in, void *brain, size_t count);

// The same without help from the processor: what others are compared with.
void muster_float_from_half_portable(const void *half, float *out, size_t count);
void muster_half_from_float_portable(const float *in, void *half, size_t count);

// Whether a row holds an infinity or a NaN.
int muster_has_nonfinite_f32(const void *row, size_t count);

// sum += factor (row − base). Not 0: the row holds an infinity or a NaN, and the sum is of no use.
int muster_add_difference_f32(const void *row, const double *base, double factor, double *sum, size_t count);

// What a row of a weighted sum holds.
enum { MUSTER_FLOAT, MUSTER_HALF, MUSTER_BRAIN };

// Whether this processor adds rows of halves as they are; if not, they are to be widened first.
int muster_adds_halves(void);

// sum = Σ weight_i (row_i − base), or with `deltas` Σ weight_i row_i, one row after the other. Not 0: a sum is not finite, or with `deltas`
// some base + row leaves the range of float.
int muster_weighted_sum(
    const void *const *rows, size_t n, size_t count, int element, const double *weights, int deltas, const double *base, double *sum);
// The same with a base of float, and out = base + sum rounded once. Not 0 also where that is not finite.
int muster_weighted_step(
    const void *const *rows, size_t n, size_t count, int element, const double *weights, int deltas, const void *base, void *out);

// Σ (row − base)².
double muster_squared_distance_f32(const void *row, const double *base, size_t count);
// Σ row².
double muster_squares_f64(const void *row, size_t count);

// Adds ‖row i − row j‖² to distances[i · n + j], for all i < j. The first sums in float32 where that is safe, in blocks of 256.
void muster_distances_f32(const void *const *rows, size_t n, size_t count, double *distances);
void muster_distances_f64(const void *const *rows, size_t n, size_t count, double *distances);

// Adds (row i − row r)·(row j − row r) to products[i · n + j], for all i ≤ j; r is `reference`.
void muster_products_f64(const void *const *rows, size_t n, size_t reference, size_t count, double *products);

// Rules on the sorted column. The columns are sorted by a network: `pairs` holds 2 · pair_count positions, the lower value goes to the
// first of two. `scratch` has room for 64 · n elements of the rows' type.

// The mean of what is left of each column without its `drop` lowest and its `drop` highest values; 2 · drop < n.
void muster_trimmed_mean_f32(
    const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t drop, void *scratch, double *out);
void muster_trimmed_mean_f64(
    const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t drop, void *scratch, double *out);

// The mean of the `keep` values of each column that are nearest to its median; of two equally near ones the lower; 0 < keep ≤ n.
void muster_middle_mean_f32(
    const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t keep, void *scratch, double *out);
void muster_middle_mean_f64(
    const void *const *rows, size_t n, size_t count, const uint32_t *pairs, size_t pair_count, size_t keep, void *scratch, double *out);

// Numbers that travel in fewer bits.

// The bits of the largest magnitude in a row: 0x7f800000 and more when it holds an infinity or a NaN.
uint32_t muster_magnitude_f32(const void *row, size_t count);
// The largest magnitude itself.
double muster_magnitude_f64(const double *row, size_t count);

// Rounds in[i] · inverse to nearest, ties to even: the products must lie between -128.5 and 127.5. The other way: out[i] = in[i] · scale.
void muster_int8_from_float(const float *in, double inverse, void *out, size_t count);
void muster_float_from_int8(const void *in, float scale, float *out, size_t count);

// sum += factors[r] scale row r, for all n rows. The first element is number `first` of its tensor, each scale is for `channel` elements;
// `scales` holds those that are met, row by row.
void muster_add_int8(
    const void *const *rows, const float *scales, const double *factors, size_t n, size_t first, size_t channel, double *sum,
    size_t count);
// out = base + that sum, both of float, rounded once. Not 0: some base + row could leave the range of float, or the result does.
int muster_step_int8(
    const void *const *rows, const float *scales, const double *factors, size_t n, size_t first, size_t channel, const void *base,
    void *out, size_t count);
