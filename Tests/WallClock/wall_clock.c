// Sets the wall clock of a process that is started with this library in LD_PRELOAD, while it runs, and no other clock.
//
// The file that LEASEHOLD_WALL_CLOCK names holds the offset: nanoseconds, eight bytes in the machine's order. libfaketime
// does much more, and too much: it also shifts the absolute timers of CLOCK_MONOTONIC (timerfd_settime(2)), so that a
// process whose wall clock is set back waits for hours.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const int64_t *offset;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_sem_timedwait)(sem_t *, const struct timespec *);

// Before any other thread, and at the first use by a constructor that comes earlier.
__attribute__((constructor)) static void prepare(void) {
    if (real_clock_gettime) return;
    real_sem_timedwait = dlsym(RTLD_NEXT, "sem_timedwait");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("LEASEHOLD_WALL_CLOCK");
    if (!path) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    void *memory = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    // A clock that cannot be set would be a test that cannot fail.
    if (memory == MAP_FAILED) abort();
    close(file);
    offset = memory;
}

static int64_t now_offset(void) { return offset ? __atomic_load_n(offset, __ATOMIC_RELAXED) : 0; }

static void shift(struct timespec *time, int64_t by) {
    int64_t nanoseconds = time->tv_nsec + by % SECOND;
    time->tv_sec += by / SECOND + (nanoseconds >= SECOND) - (nanoseconds < 0);
    time->tv_nsec = nanoseconds + (nanoseconds < 0) * SECOND - (nanoseconds >= SECOND) * SECOND;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    prepare();
    int code = real_clock_gettime(clock, time);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(time, now_offset());
    return code;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

// Its deadline is of the wall clock: as whoever waits sees it.
int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict deadline) {
    prepare();
    struct timespec real = *deadline;
    shift(&real, -now_offset());
    // Before the epoch: long past, but no valid time.
    if (real.tv_sec < 0) real = (struct timespec){0, 0};
    return real_sem_timedwait(semaphore, &real);
}
