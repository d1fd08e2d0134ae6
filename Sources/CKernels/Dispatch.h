#pragma once

// Compiles a function for several processor generations; the best one is chosen when the program is loaded.
#if defined(__x86_64__) && defined(__linux__)
#define MUSTER_DISPATCHED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MUSTER_DISPATCHED
#endif

#define MUSTER_INLINE static inline __attribute__((always_inline))

// A fused multiply-add rounds once where two instructions round twice. Two instructions give the same bits on all processors.
#pragma STDC FP_CONTRACT OFF
