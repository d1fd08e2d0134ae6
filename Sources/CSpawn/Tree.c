#define _GNU_SOURCE
#include "CSpawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Both walks go from descriptor to descriptor, never by path: the folder's owner may replace any name in it by a link while they run, and a
// path would then lead elsewhere. Each level holds one descriptor, which is why depth is bounded.
enum { deepest = 32, most_passes = 100000 };

static int is_dot(const char *name) { return !strcmp(name, ".") || !strcmp(name, ".."); }

static DIR *open_folder(int parent, const char *name, int forced) {
  int file = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (file < 0 && forced && errno == EACCES && !fchmodat(parent, name, 0700, AT_SYMLINK_NOFOLLOW)) {
    // Its owner, possibly this process's own user, had removed the permission to read it.
    file = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  }
  if (file < 0) return NULL;
  DIR *folder = fdopendir(file);
  if (!folder) close(file);
  return folder;
}

struct removal {
  int top;
  dev_t device;
  unsigned long long moved;
};

static int remove_entry(struct removal *removal, int parent, const char *name, int depth) {
  if (!unlinkat(parent, name, 0) || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  if (depth > deepest) {
    // Too deep to hold a descriptor for each level, so the rest of the branch moves to the top and is removed from there.
    char place[64];
    snprintf(place, sizeof place, ".muster-removed-%llu", removal->moved++);
    return renameat(parent, name, removal->top, place) ? errno : 0;
  }
  DIR *folder = open_folder(parent, name, 1);
  if (!folder) return errno == ENOENT ? 0 : errno;
  struct stat status;
  int code = 0;
  if (fstat(dirfd(folder), &status)) {
    code = errno;
  } else if (depth && status.st_dev != removal->device) {
    code = EXDEV;
  } else {
    if (!depth) {
      removal->top = dirfd(folder);
      removal->device = status.st_dev;
    }
    // Entries that were moved up, or made meanwhile, are found by another pass.
    unsigned long long moved;
    int passes = 0;
    do {
      moved = removal->moved;
      struct dirent *entry;
      rewinddir(folder);
      while ((entry = readdir(folder))) {
        if (is_dot(entry->d_name)) continue;
        int failed = remove_entry(removal, dirfd(folder), entry->d_name, depth + 1);
        if (failed && !code) code = failed;
      }
    } while (!depth && removal->moved != moved && ++passes < most_passes);
  }
  closedir(folder);
  if (unlinkat(parent, name, AT_REMOVEDIR) && errno != ENOENT && !code) code = errno;
  return code;
}

int muster_remove(const char *path) {
  struct removal removal = {.top = -1};
  return remove_entry(&removal, AT_FDCWD, path, 0);
}

static unsigned long long usage(int parent, const char *name, int depth, int *budget) {
  DIR *folder = depth > deepest ? NULL : open_folder(parent, name, 0);
  if (!folder) return 0;
  unsigned long long sum = 0;
  struct dirent *entry;
  while (*budget > 0 && (entry = readdir(folder))) {
    struct stat status;
    if (is_dot(entry->d_name) || fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW)) continue;
    --*budget;
    if (S_ISREG(status.st_mode)) sum += (unsigned long long)status.st_blocks * 512;
    if (S_ISDIR(status.st_mode)) sum += usage(dirfd(folder), entry->d_name, depth + 1, budget);
  }
  closedir(folder);
  return sum;
}

unsigned long long muster_usage(const char *path) {
  int budget = 1000000;
  return usage(AT_FDCWD, path, 0, &budget);
}
