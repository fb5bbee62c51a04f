/* A disk that fails: writes to files below BROKEN_DISK_FOLDER end with EIO for as long as the file BROKEN_DISK_SWITCH is
 * there. Preloaded by tests/faults/broken_disk.py; only the process with "serve" on its command line has such a disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder, *flag;

__attribute__((constructor)) static void begin(void)
{
    char line[4096];
    FILE *file = fopen("/proc/self/cmdline", "rb");
    size_t size = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file)
        fclose(file);
    line[size] = 0;
    for (size_t at = 0; at < size; at += strlen(line + at) + 1)
        if (!strcmp(line + at, "serve")) {
            folder = getenv("BROKEN_DISK_FOLDER");
            flag = getenv("BROKEN_DISK_SWITCH");
        }
}

static int broken(int fd)
{
    char link[64], path[4096];
    if (!folder || !flag || access(flag, F_OK))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return !strncmp(path, folder, strlen(folder));
}

#define FAILS(type, name, parameters, arguments)                                                                       \
    type name parameters                                                                                               \
    {                                                                                                                  \
        static type(*real) parameters;                                                                                 \
        if (!real)                                                                                                     \
            real = dlsym(RTLD_NEXT, #name);                                                                            \
        int kept = errno;                                                                                              \
        if (broken(fd)) {                                                                                              \
            errno = EIO;                                                                                               \
            return -1;                                                                                                 \
        }                                                                                                              \
        errno = kept;                                                                                                  \
        return real arguments;                                                                                         \
    }

FAILS(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
FAILS(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
FAILS(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
FAILS(int, fsync, (int fd), (fd))
FAILS(int, fdatasync, (int fd), (fd))
FAILS(int, ftruncate, (int fd, off_t size), (fd, size))
FAILS(int, ftruncate64, (int fd, off64_t size), (fd, size))
