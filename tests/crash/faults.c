/* Preloaded into the server: the N-th call that reaches a file kills it, fails, is cut short or slow.
 *
 * A filter traps system calls wherever they are made, also past the C library. What is to happen
 * stands in a mapped file, FAULTS, which the test changes while the server runs; crash/faults.py
 * has the same layout.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "the registers of a system call are known here for x86-64 only"
#endif

enum { WRITE = 1, SYNC = 2, RENAME = 4, UNLINK = 8, READ = 16 };
enum { KILL = 1, FAIL = 2, SHORT = 3, SLOW = 4 };

struct faults {
	uint64_t kinds;  /* which calls count */
	uint64_t act;    /* what happens to those that are hit */
	uint64_t error;  /* with FAIL: the error number; with SLOW: milliseconds */
	uint64_t first;  /* the first call that is hit; 0: none */
	uint64_t last;   /* the last one */
	uint64_t counted;
	uint64_t struck;
	uint64_t again;  /* syncs of a file whose sync had failed */
	char in[256];    /* only paths that have this in them count */
};

static struct faults *faults;
static uint64_t failed[64][3]; /* files whose sync failed: device, inode and its generation */
static unsigned failed_count;

/* Where the only instruction ends whose calls the filter lets pass. */
extern const char passed[] __attribute__((visibility("hidden")));

__attribute__((noinline, noclone)) static long call(long number, const greg_t *r)
{
	register long r10 __asm__("r10") = r[REG_R10];
	register long r8 __asm__("r8") = r[REG_R8];
	register long r9 __asm__("r9") = r[REG_R9];
	long result;

	__asm__ volatile("syscall\n"
			 "passed:"
			 : "=a"(result)
			 : "a"(number), "D"(r[REG_RDI]), "S"(r[REG_RSI]), "d"(r[REG_RDX]),
			   "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static int kind_of(long number)
{
	switch (number) {
	case SYS_write: case SYS_writev: case SYS_pwrite64: case SYS_pwritev: return WRITE;
	case SYS_fsync: case SYS_fdatasync: return SYNC;
	case SYS_rename: case SYS_renameat: case SYS_renameat2: return RENAME;
	case SYS_unlink: case SYS_unlinkat: return UNLINK;
	default: return READ;
	}
}

/* The absolute path that a call is about; false if it is about no file. */
static int path_of(long number, const greg_t *r, char *path, size_t size)
{
	const char *given = NULL;
	char link[64] = "/proc/self/cwd";
	ssize_t length;

	switch (number) {
	case SYS_rename: case SYS_unlink:
		given = (const char *)r[REG_RDI];
		break;
	case SYS_renameat: case SYS_renameat2: case SYS_unlinkat:
		given = (const char *)r[REG_RSI];
		if ((int)r[REG_RDI] != AT_FDCWD)
			snprintf(link, sizeof link, "/proc/self/fd/%d", (int)r[REG_RDI]);
		break;
	case SYS_sendfile:
		snprintf(link, sizeof link, "/proc/self/fd/%d", (int)r[REG_RSI]);
		break;
	default:
		snprintf(link, sizeof link, "/proc/self/fd/%d", (int)r[REG_RDI]);
	}
	if (given && given[0] == '/')
		return snprintf(path, size, "%s", given) > 0;
	length = readlink(link, path, size - 1);
	if (length <= 0)
		return 0;
	snprintf(path + length, size - length, "%s%s", given ? "/" : "", given ? given : "");
	return path[0] == '/';
}

static int is_inside(long number, const greg_t *r)
{
	char path[4096];

	return path_of(number, r, path, sizeof path) && strstr(path, faults->in) != NULL;
}

/* Notes that the sync of a file failed, or counts that somebody tries it once more. */
static void note_sync(int fd, int fails)
{
	struct stat file;
	long generation = 0; /* a number of an inode is given out again, with another one */

	if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
		return;
	ioctl(fd, FS_IOC_GETVERSION, &generation);
	for (unsigned at = 0; at < failed_count && at < 64; at++)
		if (failed[at][0] == file.st_dev && failed[at][1] == file.st_ino &&
		    failed[at][2] == (uint64_t)generation)
			__atomic_add_fetch(&faults->again, 1, __ATOMIC_SEQ_CST);
	if (!fails)
		return;
	unsigned at = __atomic_fetch_add(&failed_count, 1, __ATOMIC_SEQ_CST);
	if (at < 64) {
		failed[at][0] = file.st_dev;
		failed[at][1] = file.st_ino;
		failed[at][2] = (uint64_t)generation;
	}
}

/* Half of what was to be written or read. The registers stay as a system call leaves them. */
static long half(long number, const greg_t *asked)
{
	struct iovec one;
	gregset_t r;

	memcpy(r, asked, sizeof r);
	switch (number) {
	case SYS_writev: case SYS_pwritev: case SYS_preadv: case SYS_preadv2:
		one = *(struct iovec *)r[REG_RSI];
		one.iov_len /= 2;
		r[REG_RSI] = (greg_t)&one;
		r[REG_RDX] = 1;
		break;
	case SYS_sendfile:
		r[REG_R10] /= 2;
		break;
	default:
		r[REG_RDX] /= 2;
	}
	return call(number, r);
}

static long decided(long number, const greg_t *r)
{
	int kind = kind_of(number), hit = 0;

	if (is_inside(number, r)) {
		if (faults->kinds & kind) {
			uint64_t n = __atomic_add_fetch(&faults->counted, 1, __ATOMIC_SEQ_CST);
			hit = faults->first && n >= faults->first && n <= faults->last;
		}
		if (kind == SYNC)
			note_sync(r[REG_RDI], hit && faults->act == FAIL);
	}
	if (!hit)
		return call(number, r);
	__atomic_add_fetch(&faults->struck, 1, __ATOMIC_SEQ_CST);
	switch (faults->act) {
	case KILL:
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	case FAIL:
		return -(long)faults->error;
	case SLOW: {
		struct timespec pause = { faults->error / 1000, faults->error % 1000 * 1000000 };

		nanosleep(&pause, NULL);
		return call(number, r);
	}
	default:
		return kind == WRITE || kind == READ ? half(number, r) : call(number, r);
	}
}

static void trapped(int signal, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	int before = errno;

	(void)signal;
	r[REG_RAX] = decided(info->si_syscall, r);
	errno = before;
}

#define TRAP(number) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)

#define LOW 1
#define HIGH 3
static struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
	[LOW] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
	[HIGH] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	TRAP(write), TRAP(writev), TRAP(pwrite64), TRAP(pwritev),
	TRAP(fsync), TRAP(fdatasync),
	TRAP(rename), TRAP(renameat), TRAP(renameat2),
	TRAP(unlink), TRAP(unlinkat),
	TRAP(pread64), TRAP(preadv), TRAP(preadv2), TRAP(sendfile),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

__attribute__((constructor)) static void install(void)
{
	const char *file = getenv("FAULTS");
	struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
	int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		_exit(97);
	faults = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	filter[LOW].k = (uint32_t)(uintptr_t)passed;
	filter[HIGH].k = (uint32_t)((uintptr_t)passed >> 32);
	if (faults == MAP_FAILED || sigaction(SIGSYS, &action, NULL) != 0
	    || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
	    || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(98);
}
