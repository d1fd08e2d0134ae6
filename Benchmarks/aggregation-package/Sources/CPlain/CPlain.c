#define _GNU_SOURCE
#include "CPlain.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 17, SLICE = 8192, MOST = 256, THREADS = 16 };

struct work {
  const char *rows[MOST];
  const double *weights;
  size_t n, count;
  int out, mode;
  atomic_size_t next;
  atomic_ullong sum;
};

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void *add(void *argument) {
  struct work *work = argument;
  double *sum = aligned_alloc(64, SLICE * sizeof(double));
  float *out = aligned_alloc(64, PIECE * sizeof(float));
  for (;;) {
    size_t start = atomic_fetch_add(&work->next, 1) * PIECE;
    if (start >= work->count) break;
    size_t end = start + PIECE < work->count ? start + PIECE : work->count;
    for (size_t i = start; i < end; i += SLICE) {
      size_t length = end - i < SLICE ? end - i : SLICE;
      memset(sum, 0, length * sizeof(double));
      for (size_t row = 0; row < work->n; row++) {
        const float *from = (const float *)(work->rows[row] + i * sizeof(float));
        double weight = work->weights[row];
        for (size_t k = 0; k < length; k++) sum[k] += weight * (double)from[k];
      }
      for (size_t k = 0; k < length; k++) out[i - start + k] = (float)sum[k];
    }
    if (work->out >= 0 && pwrite(work->out, out, (end - start) * sizeof(float), (off_t)(start * sizeof(float))) < 0) abort();
  }
  free(sum);
  free(out);
  return NULL;
}

static void *sweep(void *argument) {
  struct work *work = argument;
  unsigned long long sum = 0;
  for (;;) {
    size_t start = atomic_fetch_add(&work->next, 1) * PIECE;
    if (start >= work->count) break;
    size_t end = start + PIECE < work->count ? start + PIECE : work->count;
    for (size_t row = 0; row < work->n; row++) {
      const uint64_t *words = (const uint64_t *)(work->rows[row]);
      for (size_t k = start / 8; k < end / 8; k++) sum += words[k];
    }
  }
  atomic_fetch_add(&work->sum, sum);
  return NULL;
}

static double run(struct work *work, void *(*body)(void *), int threads) {
  pthread_t ids[THREADS];
  double start = now();
  for (int i = 1; i < threads && i < THREADS; i++) pthread_create(&ids[i], NULL, body, work);
  body(work);
  for (int i = 1; i < threads && i < THREADS; i++) pthread_join(ids[i], NULL);
  return now() - start;
}

double plain_read(const void *memory, size_t bytes, int threads) {
  static struct work work;
  work = (struct work){.rows = {memory}, .n = 1, .count = bytes};
  return run(&work, sweep, threads);
}

static double over_files(struct work *work, const char *const *files, size_t n, size_t offset, void *(*body)(void *), int threads) {
  static void *maps[MOST];
  static size_t sizes[MOST];
  if (n > MOST) return -1;
  double start = now();
  for (size_t i = 0; i < n; i++) {
    int file = open(files[i], O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status)) return -1;
    sizes[i] = (size_t)status.st_size;
    maps[i] = mmap(NULL, sizes[i], PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (maps[i] == MAP_FAILED) return -1;
    work->rows[i] = (const char *)maps[i] + offset;
  }
  run(work, body, threads);
  for (size_t i = 0; i < n; i++) munmap(maps[i], sizes[i]);
  return now() - start;
}

double plain_mean(const char *const *files, const double *weights, size_t n, size_t offset, size_t count, const char *out, int threads) {
  static struct work work;
  work = (struct work){.weights = weights, .n = n, .count = count, .out = -1};
  if (out) work.out = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  double seconds = over_files(&work, files, n, offset, add, threads);
  if (work.out >= 0) close(work.out);
  return seconds;
}
