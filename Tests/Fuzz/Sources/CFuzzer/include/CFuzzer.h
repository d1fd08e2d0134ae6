#pragma once

#include <stddef.h>
#include <stdint.h>

// libFuzzer without a main function of its own, as the toolchain brings it: compiler-rt's libclang_rt.fuzzer_no_main.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*target)(const uint8_t *bytes, size_t count));
