#pragma once

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

/// Makes an event counter that wakes a thread from `poll`. Returns -1 and errno if the process has no descriptor left.
static inline int muster_eventfd(void) {
  return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

/// Makes a set of descriptors to wait for. Returns -1 and errno if the process has no descriptor left.
static inline int muster_epoll(void) {
  return epoll_create1(EPOLL_CLOEXEC);
}

/// Adds a descriptor to the set, or changes what it is watched for: always reading, and writing if `writes` is set.
///
/// `token` is returned with each event of the descriptor. Returns 0, or -1 and errno.
static inline int muster_epoll_watch(int set, int descriptor, int isNew, uint64_t token, int writes) {
  struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.u64 = token};
  return epoll_ctl(set, isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event);
}

/// A ready descriptor: its token, and whether it can be read (or has failed) and written.
typedef struct {
  uint64_t token;
  int reads;
  int writes;
} muster_ready;

/// Waits at most this many milliseconds. Returns the number of entries filled in, at most `limit` and at most 256, or -1 and errno.
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

/// The number of bytes that have arrived at a socket and are not read yet; -1 if the descriptor is closed.
static inline int muster_pending(int descriptor) {
  int count = -1;
  return ioctl(descriptor, FIONREAD, &count) ? -1 : count;
}
