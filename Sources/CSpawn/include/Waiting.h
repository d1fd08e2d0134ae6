#pragma once

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

/// An event counter that wakes a thread out of `poll`; -1 and errno when the process has no descriptor left.
static inline int muster_eventfd(void) {
  return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

/// A set of descriptors to wait for; -1 and errno when the process has no descriptor left.
static inline int muster_epoll(void) {
  return epoll_create1(EPOLL_CLOEXEC);
}

/// Adds a descriptor to the set, or changes what it is watched for: always for reading, and for writing when asked.
///
/// `token` comes back with each event of the descriptor. 0, or -1 and errno.
static inline int muster_epoll_watch(int set, int descriptor, int isNew, uint64_t token, int writes) {
  struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.u64 = token};
  return epoll_ctl(set, isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event);
}

/// What is ready: its token, and whether it can be read (or has failed) and written.
typedef struct {
  uint64_t token;
  int reads;
  int writes;
} muster_ready;

/// Waits at most so many milliseconds. The number of entries filled in, at most `limit` and 256; -1 and errno.
static inline int muster_epoll_wait(int set, muster_ready *ready, int limit, int milliseconds) {
  struct epoll_event events[256];
  int count = epoll_wait(set, events, limit < 256 ? limit : 256, milliseconds);
  for (int i = 0; i < count; i++) {
    ready[i].token = events[i].data.u64;
    ready[i].reads = (events[i].events & ~(uint32_t)EPOLLOUT) != 0;
    ready[i].writes = (events[i].events & EPOLLOUT) != 0;
  }
  return count;
}

/// Bytes that have arrived at a socket and are not read yet; -1 when it is closed.
static inline int muster_pending(int descriptor) {
  int count = -1;
  return ioctl(descriptor, FIONREAD, &count) ? -1 : count;
}
