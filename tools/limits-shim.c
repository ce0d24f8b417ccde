/* Preloaded (LD_PRELOAD) by tools/test-limits.
 *
 * Shifts the clock of a process (CLOCK_REALTIME) by the seconds in the file CLOCK_OFFSET: eight
 * bytes, little-endian, signed; the file is replaced as a whole. Clocks that measure time that has
 * passed go on. While the file STALL is there fdatasync waits, as on a disk that does not answer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t offset(void)
{
    static __thread int64_t last;
    const char *path = getenv("CLOCK_OFFSET");
    int64_t seconds;
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return last;
    if (read(file, &seconds, sizeof seconds) == sizeof seconds)
        last = seconds;
    close(file);
    return last;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = real(clock, now);
    if (outcome == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += offset();
    return outcome;
}

int fdatasync(int file)
{
    static int (*real)(int);
    const char *stall = getenv("STALL");
    struct timespec moment = {0, 20000000};
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    while (stall && access(stall, F_OK) == 0)
        nanosleep(&moment, NULL);
    return real(file);
}
