#pragma once

#include <stddef.h>

/// How fast two threads read memory that is mapped: seconds for `bytes` of it.
double plain_read(const void *memory, size_t bytes, int threads);

/// The plain loop: maps the files, adds up weight times the floats behind `offset` of each, in double, and rounds. Two threads share the
/// elements, slice by slice. `out`: a file that gets the sums, or NULL: they are dropped. Returns seconds, or less than 0.
double plain_mean(const char *const *files, const double *weights, size_t n, size_t offset, size_t count, const char *out, int threads);
