#pragma once

#include <mosquitto.h>
#include <poll.h>
#include <sys/eventfd.h>

/// An event counter that wakes a thread out of `poll`; -1 and errno when the process has no descriptor left.
static inline int muster_eventfd(void) {
  return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}
