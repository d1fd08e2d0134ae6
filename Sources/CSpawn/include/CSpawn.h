#pragma once

#include <sys/types.h>

#include "Waiting.h"

/// Starts `file` (looked for in PATH when it has no slash) in a session and process group of its own, in `folder` (NULL: the caller's),
/// with these three descriptors as its standard ones and no other open, no signal blocked and all at their default. Returns 0 or an
/// errno. These parts of posix_spawn are GNU extensions, which Swift's Glibc module does not show.
int muster_spawn(
    pid_t *pid, const char *file, char *const arguments[], char *const environment[], const char *folder, int input, int output,
    int errors);

/// A pipe whose ends close on exec and are above the standard descriptors. Returns 0 or an errno.
int muster_pipe(int *read_end, int *write_end);

/// What a trainer's process may use. 0 stands for no limit, except for `nice` and `oom_score`, which are set as they are.
struct muster_limits {
  /// Private memory of one process, bytes (RLIMIT_DATA: mapped files and shared libraries do not count).
  unsigned long long memory;
  /// One file, bytes.
  unsigned long long file;
  /// Processor time of one process, seconds.
  unsigned long long cpu;
  /// Processes and threads of the user. Does not bind root.
  unsigned long long processes;
  /// Open files of one process.
  unsigned long long files;
  /// 0 to 19.
  int nice;
  /// 0 to 1000: how much sooner the kernel ends it when memory runs out.
  int oom_score;
};

/// Puts the calling process under these limits, without core dumps, and lets it end with its parent if that is `parent`, and with it its process group
/// and what has its variable MUSTER_TRAINER; then becomes `user` if it is not NULL (a name or a number, with its groups). Returns 0, or an errno and in
/// `step` what failed. Cannot be undone.
int muster_confine(const struct muster_limits *limits, pid_t parent, const char *user, const char **step);

/// The user's number and home folder (`length` bytes at most). Returns 0 or an errno.
int muster_user(const char *user, uid_t *uid, gid_t *gid, char *home, size_t length);

/// Replaces the calling process. Returns an errno only if it could not.
int muster_execute(char *const arguments[]);

/// Lets another process use so many more seconds of processor time than it has used, then SIGXCPU. Returns 0 or an errno.
int muster_grant_cpu(pid_t pid, unsigned long long seconds);

/// Copies a file from where both stand to its end, or `most` bytes of one that is longer (another process may still write to it). Returns 0
/// or an errno.
int muster_copy(int from, int to, unsigned long long most);

/// Removes a file, or a folder with everything in it, whoever else changes it meanwhile: follows no link and leaves no other file system's
/// files. A path that does not exist is fine. Returns 0 or the errno of the first entry that stays.
int muster_remove(const char *path);

/// Bytes that the files below a folder take up. Follows no link; counts at most a million entries and 32 levels.
unsigned long long muster_usage(const char *path);

/// SIGKILL to every process but this one whose environment began with this variable, `NAME=value`. One that hides its environment stays hidden.
void muster_end_marked(const char *variable);
