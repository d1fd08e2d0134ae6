#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { piece = 1 << 18 };

// The slow way, for file systems between which the kernel cannot copy.
static int copy_by_hand(int from, int to, unsigned long long most) {
  char *buffer = malloc(piece);
  if (buffer == NULL) { return ENOMEM; }
  int code = 0;
  while (code == 0 && most > 0) {
    ssize_t count = read(from, buffer, most < piece ? (size_t)most : piece);
    if (count == 0) { break; }
    if (count < 0) {
      code = errno == EINTR ? 0 : errno;
      continue;
    }
    most -= (unsigned long long)count;
    for (ssize_t done = 0; done < count && code == 0;) {
      ssize_t written = write(to, buffer + done, (size_t)(count - done));
      if (written >= 0) {
        done += written;
      } else if (errno != EINTR) {
        code = errno;
      }
    }
  }
  free(buffer);
  return code;
}

int muster_copy(int from, int to, unsigned long long most) {
  const unsigned long long once = 1 << 30;
  while (most > 0) {
    // Shares the blocks if the file system can; otherwise copies within the kernel.
    ssize_t count = copy_file_range(from, NULL, to, NULL, (size_t)(most < once ? most : once), 0);
    if (count == 0) { return 0; }
    if (count > 0) { most -= (unsigned long long)count; }
    if (count > 0 || errno == EINTR) { continue; }
    if (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM) {
      return copy_by_hand(from, to, most);
    }
    return errno;
  }
  return 0;
}
