/* Ends the service at its n-th write that reaches the disk: fsync, fdatasync or rename, before or after it.
 *
 * Preloaded by benchmarks/kills.py (LD_PRELOAD) with KILL_AT_WRITE=N, the call before which the process is killed, or
 * -N, after which. Only a process whose command line has "serve" counts; the service's children have it loaded, too,
 * and do nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long calls;
static long before, after;

__attribute__((constructor)) static void begin(void)
{
    const char *wanted = getenv("KILL_AT_WRITE");
    char line[4096];
    FILE *file = fopen("/proc/self/cmdline", "rb");
    size_t size = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file)
        fclose(file);
    line[size] = 0;
    for (size_t at = 0; wanted && at < size; at += strlen(line + at) + 1)
        if (!strcmp(line + at, "serve")) {
            long n = atol(wanted);
            before = n > 0 ? n : 0;
            after = n < 0 ? -n : 0;
        }
}

static void end_if(long number, long at)
{
    if (at && number == at)
        kill(getpid(), SIGKILL);
}

#define AROUND(name, parameters, arguments)                                                                            \
    int name parameters                                                                                                \
    {                                                                                                                  \
        static int(*real) parameters;                                                                                  \
        if (!real)                                                                                                     \
            real = dlsym(RTLD_NEXT, #name);                                                                            \
        long number = atomic_fetch_add(&calls, 1) + 1;                                                                 \
        end_if(number, before);                                                                                        \
        int result = real arguments;                                                                                   \
        end_if(number, after);                                                                                         \
        return result;                                                                                                 \
    }

AROUND(fsync, (int fd), (fd))
AROUND(fdatasync, (int fd), (fd))
AROUND(rename, (const char *from, const char *to), (from, to))
