#pragma once

#include <sys/types.h>

#include "Waiting.h"

/// Starts `file` (looked up in PATH if it has no slash) in its own session and process group, in `folder` (NULL keeps the caller's). The
/// three descriptors become its standard ones; it has no other open, blocks no signal, and has all signals at their default. Returns 0 or
/// an errno. Uses GNU extensions of posix_spawn, which Swift's Glibc module does not show.
int muster_spawn(
    pid_t *pid, const char *file, char *const arguments[], char *const environment[], const char *folder, int input, int output,
    int errors);

/// Makes a pipe whose ends close on exec and lie above the standard descriptors. Returns 0 or an errno.
int muster_pipe(int *read_end, int *write_end);

/// The limits of a trainer's process. 0 means no limit, and leaves `nice` and `oom_score` unchanged.
struct muster_limits {
  /// Private memory of one process, in bytes (RLIMIT_DATA: mapped files and shared libraries do not count).
  unsigned long long memory;
  /// Size of one file, in bytes.
  unsigned long long file;
  /// Processor time of one process, in seconds.
  unsigned long long cpu;
  /// Processes and threads of the user. Not enforced for root.
  unsigned long long processes;
  /// Open files of one process.
  unsigned long long files;
  /// Niceness, 0 to 19.
  int nice;
  /// 0 to 1000: the higher, the sooner the kernel ends the process when memory runs out.
  int oom_score;
};

/// Puts the calling process under these limits, without core dumps, and lets it end with its parent. If `parent` is not 0, it must be the
/// process's parent (else ESRCH); from 2 on, the process group, and all processes with this process's variable MUSTER_TRAINER, end with it
/// too. Then becomes `user` (a name or number, with its groups) unless that is NULL. Returns 0, or an errno with the failed action in
/// `step`. Cannot be undone.
int muster_confine(const struct muster_limits *limits, pid_t parent, const char *user, const char **step);

/// Looks up a user's ids and home folder (at most `length` bytes). Returns 0 or an errno.
int muster_user(const char *user, uid_t *uid, gid_t *gid, char *home, size_t length);

/// Replaces the calling process by a program. Returns only if that failed, with an errno.
int muster_execute(char *const arguments[]);

/// Lets another process use this many more seconds of processor time, after which it gets SIGXCPU. Returns 0 or an errno.
int muster_grant_cpu(pid_t pid, unsigned long long seconds);

/// Copies a file from the current offsets to its end, but at most `most` bytes: another process may still write to it. Returns 0 or an
/// errno.
int muster_copy(int from, int to, unsigned long long most);

/// Removes a file, or a folder with everything in it, even if another process changes it meanwhile. Follows no links and leaves files of
/// other file systems. A path that does not exist is not an error. Returns 0, or the errno of the first entry that could not be removed.
int muster_remove(const char *path);

/// The disk space, in bytes, of the files below a folder. Follows no links; counts at most a million entries and 32 levels.
unsigned long long muster_usage(const char *path);

/// Sends SIGKILL to all processes except this one whose initial environment has this variable, `NAME=value`. Cannot find processes whose
/// environment is not readable.
void muster_end_marked(const char *variable);
