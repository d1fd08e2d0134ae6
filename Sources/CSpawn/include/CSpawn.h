#pragma once

#include <sys/types.h>

/// Starts `file` (looked for in PATH when it has no slash) in a session and process group of its own, in `folder` (NULL: the caller's),
/// with these three descriptors as its standard ones and no other open, no signal blocked and all at their default. Returns 0 or an
/// errno. These parts of posix_spawn are GNU extensions, which Swift's Glibc module does not show.
int muster_spawn(
    pid_t *pid, const char *file, char *const arguments[], char *const environment[], const char *folder, int input, int output,
    int errors);

/// A pipe whose ends close on exec and are above the standard descriptors. Returns 0 or an errno.
int muster_pipe(int *read_end, int *write_end);
