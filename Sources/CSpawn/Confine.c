#define _GNU_SOURCE
#include "CSpawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int limit(int resource, unsigned long long soft, unsigned long long hard) {
  struct rlimit now;
  if (!soft) return 0;
  if (getrlimit(resource, &now)) return errno;
  // Only root may raise a limit above the current maximum.
  now.rlim_max = geteuid() && now.rlim_max < hard ? now.rlim_max : hard;
  now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
  return setrlimit(resource, &now) ? errno : 0;
}

static int find(const char *user, struct passwd *entry, char *buffer, size_t length) {
  struct passwd *found = NULL;
  int code = getpwnam_r(user, entry, buffer, length, &found);
  if (!code && !found) {
    char *end;
    unsigned long number = strtoul(user, &end, 10);
    if (end != user && !*end) code = getpwuid_r((uid_t)number, entry, buffer, length, &found);
  }
  return code ? code : found ? 0 : ENOENT;
}

int muster_user(const char *user, uid_t *uid, gid_t *gid, char *home, size_t length) {
  struct passwd entry;
  char buffer[4096];
  int code = find(user, &entry, buffer, sizeof buffer);
  if (code) return code;
  *uid = entry.pw_uid;
  *gid = entry.pw_gid;
  strncpy(home, entry.pw_dir, length - 1);
  home[length - 1] = 0;
  return 0;
}

// The main function of the guard process: waits until `parent` is gone. `watched` is the parent's pidfd, or -1 if the kernel has none.
static void guard(pid_t parent, int watched, pid_t group) {
  char mark[256] = "MUSTER_TRAINER=";
  const char *value = getenv("MUSTER_TRAINER");
  sigset_t signals;
  sigfillset(&signals);
  sigprocmask(SIG_SETMASK, &signals, NULL);
  prctl(PR_SET_NAME, "muster-guard", 0, 0, 0);
  // The trainer's pipes must not stay open here, because their reader waits for their end.
  for (int file = 0; file < 1024; file++) {
    if (file != watched) close(file);
  }
  if (chdir("/")) return;
  if (watched >= 0) {
    struct pollfd descriptor = {.fd = watched, .events = POLLIN};
    while (poll(&descriptor, 1, -1) < 0 && errno == EINTR) {}
  } else {
    while (!kill(parent, 0) || errno == EPERM) sleep(1);
  }
  // Leaves the process group that is about to be killed.
  setsid();
  if (group) kill(-group, SIGKILL);
  if (!value) return;
  strncat(mark, value, sizeof mark - strlen(mark) - 1);
  muster_end_marked(mark);
}

// If the parent is killed, nothing ends the processes that the trainer started. This guard does; the trainer does not know it as its child.
// It is in the trainer's process group, so it ends with the group, and it keeps the rights that the trainer gives up.
static int start_guard(pid_t parent) {
  int watched = (int)syscall(SYS_pidfd_open, parent, 0);
  pid_t group = getpgrp() == getpid() ? getpid() : 0;
  pid_t child = fork();
  int code = child < 0 ? errno : 0;
  if (!child) {
    pid_t grandchild = fork();
    if (!grandchild) guard(parent, watched, group);
    _exit(grandchild < 0 ? 1 : 0);
  }
  int status = 0;
  while (child > 0 && waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) code = errno;
    if (code) break;
  }
  if (watched >= 0) close(watched);
  return code ? code : status ? EAGAIN : 0;
}

int muster_confine(const struct muster_limits *limits, pid_t parent, const char *user, const char **step) {
  struct rlimit none = {0, 0};
  struct passwd entry;
  char buffer[4096];
  int code = 0;
  // Steps that need rights come before the rights are given up.
  *step = "find the user";
  if (user && (code = find(user, &entry, buffer, sizeof buffer))) return code;
  *step = "start the process that cleans up when the parent ends";
  // The first process of a PID namespace needs no guard: all other processes end with it.
  if (parent > 1 && getppid() == parent && (code = start_guard(parent))) return code;
  *step = "turn off core dumps";
  if (setrlimit(RLIMIT_CORE, &none)) return errno;
  *step = "set the memory limit";
  if ((code = limit(RLIMIT_DATA, limits->memory, limits->memory))) return code;
  *step = "set the file size limit";
  if ((code = limit(RLIMIT_FSIZE, limits->file, limits->file))) return code;
  *step = "set the processor time limit";
  if ((code = limit(RLIMIT_CPU, limits->cpu, limits->cpu + 5))) return code;
  *step = "set the limit on open files";
  if ((code = limit(RLIMIT_NOFILE, limits->files, limits->files))) return code;
  *step = "set the limit on processes";
  if ((code = limit(RLIMIT_NPROC, limits->processes, limits->processes))) return code;
  *step = "set the niceness";
  if (limits->nice && setpriority(PRIO_PROCESS, 0, limits->nice)) return errno;
  if (limits->oom_score > 0) {
    // Not possible everywhere, and no reason not to train.
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
      dprintf(file, "%d", limits->oom_score);
      close(file);
    }
  }
  if (user && (getuid() != entry.pw_uid || geteuid() != entry.pw_uid)) {
    *step = "switch to the configured user";
    if (initgroups(entry.pw_name, entry.pw_gid) || setgid(entry.pw_gid) || setuid(entry.pw_uid)) return errno;
    if (!setuid(0) && entry.pw_uid) return EPERM;
  }
  *step = "turn off gaining privileges (no_new_privs)";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
  *step = "arrange to end with its parent";
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) return errno;
  // The parent may have ended before that call.
  return parent && getppid() != parent ? ESRCH : 0;
}

int muster_execute(char *const arguments[]) {
  // The calling thread may block signals so that other threads receive them.
  sigset_t signals;
  sigemptyset(&signals);
  sigprocmask(SIG_SETMASK, &signals, NULL);
  execvp(arguments[0], arguments);
  return errno;
}

int muster_grant_cpu(pid_t pid, unsigned long long seconds) {
  clockid_t clock;
  struct timespec used;
  struct rlimit now;
  int code = clock_getcpuclockid(pid, &clock);
  if (code) return code;
  if (clock_gettime(clock, &used) || prlimit(pid, RLIMIT_CPU, NULL, &now)) return errno;
  now.rlim_cur = (rlim_t)used.tv_sec + 1 + seconds;
  if (now.rlim_cur > now.rlim_max) now.rlim_cur = now.rlim_max;
  return prlimit(pid, RLIMIT_CPU, &now, NULL) ? errno : 0;
}

void muster_end_marked(const char *variable) {
  size_t length = strlen(variable) + 1;
  DIR *folder = opendir("/proc");
  char *text = malloc(1 << 17);
  struct dirent *entry;
  while (folder && text && (entry = readdir(folder))) {
    char path[64];
    int pid = atoi(entry->d_name);
    if (pid <= 0 || pid == getpid()) continue;
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    // The kernel returns at most one page per read.
    size_t count = 0;
    ssize_t more;
    while (count < (1 << 17) && (more = read(file, text + count, (1 << 17) - count)) > 0) count += (size_t)more;
    close(file);
    if (memmem(text, count, variable, length)) kill(pid, SIGKILL);
  }
  free(text);
  if (folder) closedir(folder);
}
