/* Makes file operations of a process fail when a trigger file says so: LD_PRELOAD=fault.so FAULT_FILE=path.
   The file names the operation (write, fsync, folder, link, rename); only files below FAULT_FOLDER are touched.
   "lie-folder" and "lie-file" let the fsync of folders or of files succeed without doing anything, as if it were
   forgotten: tests/pacs_receiver/power_loss.py finds that out. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int wanted(const char *operation)
{
    char text[32] = "";
    const char *path = getenv("FAULT_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    ssize_t count = read(fd, text, sizeof text - 1);
    close(fd);
    return count > 0 && strncmp(text, operation, strlen(operation)) == 0;
}

static int below(const char *path)
{
    const char *folder = getenv("FAULT_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int concerns(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t count = readlink(link, path, sizeof path - 1);
    if (count < 0)
        return 0;
    path[count] = 0;
    return below(path);
}

static int is_folder(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL do { errno = EIO; return -1; } while (0)

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    if (wanted("write") && concerns(fd))
        FAIL;
    return real(fd, parts, count);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    if (wanted("lie-file") && concerns(fd))
        return 0;
    if (wanted("fsync") && concerns(fd))
        FAIL;
    return real(fd);
}

int fsync(int fd)
{
    REAL(fsync);
    if (wanted(is_folder(fd) ? "lie-folder" : "lie-file") && concerns(fd))
        return 0;
    if (concerns(fd) && ((wanted("folder") && is_folder(fd)) || (wanted("fsync") && !is_folder(fd))))
        FAIL;
    return real(fd);
}

int linkat(int from, const char *old, int to, const char *target, int flags)
{
    REAL(linkat);
    if (wanted("link") && below(target))
        FAIL;
    return real(from, old, to, target, flags);
}

int link(const char *old, const char *target)
{
    REAL(link);
    if (wanted("link") && below(target))
        FAIL;
    return real(old, target);
}

int rename(const char *old, const char *target)
{
    REAL(rename);
    if (wanted("rename") && below(target))
        FAIL;
    return real(old, target);
}

int renameat(int from, const char *old, int to, const char *target)
{
    REAL(renameat);
    if (wanted("rename") && below(target))
        FAIL;
    return real(from, old, to, target);
}

int renameat2(int from, const char *old, int to, const char *target, unsigned int flags)
{
    REAL(renameat2);
    if (wanted("rename") && below(target))
        FAIL;
    return real(from, old, to, target, flags);
}
