/* Preloaded into the server: syncs of files whose path has LYING_ABOUT in it do nothing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int lies(int fd)
{
	const char *about = getenv("LYING_ABOUT");
	char link[64], path[4096];

	if (!about)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = 0;
	return strstr(path, about) != NULL;
}

int fdatasync(int fd)
{
	return lies(fd) ? 0 : syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return lies(fd) ? 0 : syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	return lies(fd) ? 0 : syscall(SYS_syncfs, fd);
}

int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned int flags)
{
	return lies(fd) ? 0 : syscall(SYS_sync_file_range, fd, offset, bytes, flags);
}
