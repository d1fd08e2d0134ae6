#pragma once

#include <mosquitto.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

/// An event counter that wakes a thread out of `poll`; -1 and errno when the process has no descriptor left.
static inline int muster_eventfd(void) {
  return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

/// Bytes that have arrived at a socket and are not read yet; -1 when it is closed.
static inline int muster_pending(int descriptor) {
  int count = -1;
  return ioctl(descriptor, FIONREAD, &count) ? -1 : count;
}
