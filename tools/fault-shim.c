/* Fails one system call of a process, for tools/fault-soak. Preloaded (LD_PRELOAD), it stands in
 * front of the C library's functions, and counts the calls that concern one directory.
 *
 * FAULT_UNDER   the directory: only calls on files in it count
 * FAULT_COUNTS  a file of 16 64-bit numbers: calls so far in the order of `names`, the last one 1
 *               once the fault has been injected; shared, so that it outlives a killed process
 * FAULT_CALL    which call fails, FAULT_NTH which of them, from 1; none without
 * FAULT_FORM    not: nothing is done; done: it is done, and reported as failed; half: half of what
 *               was to be written is written, and the call reported as failed; on: from this one on
 *               nothing of the kind is done any more
 * FAULT_ERRNO   the error's number
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, WRITE, FDATASYNC, FSYNC, RENAME, FTRUNCATE, MKDIR, UNLINK, CALLS, INJECTED = 15 };
enum form { NONE, NOT, DONE, HALF };

static const char *const names[CALLS] = {"open",   "write",     "fdatasync", "fsync",
                                         "rename", "ftruncate", "mkdir",     "unlink"};
static uint64_t unshared[16];
static uint64_t *counts = unshared;
static char under[PATH_MAX];
static int call = -1, error = EIO, on;
static uint64_t nth;
static enum form form = NOT;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("FAULT_UNDER");
    snprintf(under, sizeof under, "%s", text ? text : "/nowhere at all");
    if ((text = getenv("FAULT_CALL")))
        for (int one = 0; one < CALLS; one++)
            if (!strcmp(text, names[one])) call = one;
    if ((text = getenv("FAULT_NTH"))) nth = strtoull(text, NULL, 10);
    if ((text = getenv("FAULT_ERRNO"))) error = atoi(text);
    if ((text = getenv("FAULT_FORM"))) {
        form = !strcmp(text, "done") ? DONE : !strcmp(text, "half") ? HALF : NOT;
        on = !strcmp(text, "on");
    }
    if ((text = getenv("FAULT_COUNTS"))) {
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        int fd = real(text, O_RDWR | O_CLOEXEC);
        void *shared = fd < 0 ? MAP_FAILED
            : mmap(NULL, sizeof unshared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED) counts = shared;
        if (fd >= 0) close(fd);
    }
}

/* Whether a path is that of the directory or below it. */
static int concerns(const char *path) {
    size_t length = strlen(under);
    return !strncmp(path, under, length) && (path[length] == '/' || !path[length]);
}

static int concerns_fd(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return concerns(path);
}

/* Counts a call that concerns the directory, and says what becomes of it. */
static enum form counted(int which, int ours) {
    if (!ours) return NONE;
    uint64_t number = __atomic_add_fetch(&counts[which], 1, __ATOMIC_SEQ_CST);
    if (which != call || (on ? number < nth : number != nth) || !nth) return NONE;
    __atomic_store_n(&counts[INJECTED], 1, __ATOMIC_SEQ_CST);
    return form;
}

static int failed(void) {
    errno = error;
    return -1;
}

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, name)

#define OPENS(symbol) \
    int symbol(const char *path, int flags, ...) { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        REAL(int, #symbol, const char *, int, ...); \
        enum form todo = counted(OPEN, concerns(path)); \
        if (todo == NOT || todo == HALF) return failed(); \
        int fd = real(path, flags, mode); \
        if (todo == NONE) return fd; \
        if (fd >= 0) close(fd); \
        return failed(); \
    }
OPENS(open)
OPENS(open64)

#define OPENATS(symbol) \
    int symbol(int at, const char *path, int flags, ...) { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        REAL(int, #symbol, int, const char *, int, ...); \
        enum form todo = counted(OPEN, concerns(path)); \
        if (todo == NOT || todo == HALF) return failed(); \
        int fd = real(at, path, flags, mode); \
        if (todo == NONE) return fd; \
        if (fd >= 0) close(fd); \
        return failed(); \
    }
OPENATS(openat)
OPENATS(openat64)

#define PWRITES(symbol, offset_type) \
    ssize_t symbol(int fd, const void *bytes, size_t count, offset_type offset) { \
        REAL(ssize_t, #symbol, int, const void *, size_t, offset_type); \
        enum form todo = counted(WRITE, concerns_fd(fd)); \
        if (todo == NONE) return real(fd, bytes, count, offset); \
        if (todo == DONE) real(fd, bytes, count, offset); \
        if (todo == HALF) real(fd, bytes, count / 2, offset); \
        return failed(); \
    }
PWRITES(pwrite, off_t)
PWRITES(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    enum form todo = counted(WRITE, concerns_fd(fd));
    if (todo == NONE) return real(fd, bytes, count);
    if (todo == DONE) real(fd, bytes, count);
    if (todo == HALF) real(fd, bytes, count / 2);
    return failed();
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    enum form todo = counted(WRITE, concerns_fd(fd));
    if (todo == NONE) return real(fd, parts, count);
    if (todo == DONE) real(fd, parts, count);
    if (todo == HALF) real(fd, parts, count / 2);
    return failed();
}

/* Calls that are done whole or not at all. */
#define WHOLE(which, symbol, ours, parameters, arguments) \
    int symbol parameters { \
        static int (*real) parameters; \
        if (!real) real = dlsym(RTLD_NEXT, #symbol); \
        enum form todo = counted(which, ours); \
        if (todo == NONE) return real arguments; \
        if (todo == DONE) real arguments; \
        return failed(); \
    }
WHOLE(FDATASYNC, fdatasync, concerns_fd(fd), (int fd), (fd))
WHOLE(FSYNC, fsync, concerns_fd(fd), (int fd), (fd))
WHOLE(RENAME, rename, concerns(to), (const char *from, const char *to), (from, to))
WHOLE(RENAME, renameat, concerns(to), (int a, const char *from, int b, const char *to),
      (a, from, b, to))
WHOLE(FTRUNCATE, ftruncate, concerns_fd(fd), (int fd, off_t length), (fd, length))
WHOLE(FTRUNCATE, ftruncate64, concerns_fd(fd), (int fd, off64_t length), (fd, length))
WHOLE(MKDIR, mkdir, concerns(path), (const char *path, mode_t mode), (path, mode))
WHOLE(UNLINK, unlink, concerns(path), (const char *path), (path))
