/* A disk that becomes read-only under a running server, as ext4 makes itself after an error. The
 * kernel lets nobody remount a file system read-only while files on it are open for writing, so this
 * library stands before libc (LD_PRELOAD): as long as the file READ_ONLY_SWITCH exists, whatever
 * would change something below READ_ONLY_FOLDER fails with EROFS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int off(void) {
    const char *flag = getenv("READ_ONLY_SWITCH");
    return flag == NULL || access(flag, F_OK) != 0;
}

static int below(const char *path) {
    const char *folder = getenv("READ_ONLY_FOLDER");
    return folder != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

static int open_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return below(path);
}

static int refused(int here) {
    if (!here || off()) return 0;
    errno = EROFS;
    return 1;
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t n) {
    if (refused(open_below(fd))) return -1;
    return REAL(ssize_t, write, int, const void *, size_t)(fd, bytes, n);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    if (refused(open_below(fd))) return -1;
    return REAL(ssize_t, writev, int, const struct iovec *, int)(fd, parts, n);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    if (refused(open_below(fd))) return -1;
    return REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t)(fd, bytes, n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    if (refused(open_below(fd))) return -1;
    return REAL(ssize_t, pwrite, int, const void *, size_t, off_t)(fd, bytes, n, at);
}

int ftruncate64(int fd, off64_t n) {
    if (refused(open_below(fd))) return -1;
    return REAL(int, ftruncate64, int, off64_t)(fd, n);
}

int ftruncate(int fd, off_t n) {
    if (refused(open_below(fd))) return -1;
    return REAL(int, ftruncate, int, off_t)(fd, n);
}

int rename(const char *from, const char *to) {
    if (refused(below(from) || below(to))) return -1;
    return REAL(int, rename, const char *, const char *)(from, to);
}

int unlink(const char *path) {
    if (access(path, F_OK) == 0 && refused(below(path))) return -1;
    return REAL(int, unlink, const char *)(path);
}

#define CHANGES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & (O_CREAT | O_TRUNC)))
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        int mode = va_arg(rest, int);                                                              \
        va_end(rest);                                                                              \
        if (CHANGES(flags) && refused(below(path))) return -1;                                     \
        return REAL(int, name, const char *, int, ...)(path, flags, mode);                         \
    }
OPEN(open)
OPEN(open64)
