/* Shifts the clock of a process (CLOCK_REALTIME) by the seconds in the file CLOCK_OFFSET: eight
 * bytes, little-endian, signed; the file is replaced as a whole. Preloaded (LD_PRELOAD). Clocks that
 * measure time that has passed go on. */
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
