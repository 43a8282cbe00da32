/* A hostile game server: what a program can do from inside a server's sandbox, attempt by attempt.
 *
 *     probe ROOT PID      ROOT: left4me's root directory; PID: another instance's server
 *     probe listen NAME   stands for a program of the host with an abstract socket, for ever
 *
 * One source for two programs, 64-bit and 32-bit, as some filters do not hold for 32-bit code. No C library: with -m32
 * it would need one of its own. Each attempt is a child, so that one that is killed, or waits for ever, ends alone.
 * It prints `WORD-SIZE | ATTEMPT | yes`, or `no` and the error's number. */
#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/in.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/socket.h>
#include <linux/stat.h>
#include <linux/un.h>

#ifdef __i386__
#define WORD "32"
__asm__(".globl sys\nsys: push %ebp; push %ebx; push %esi; push %edi\n"
        "mov 20(%esp),%eax; mov 24(%esp),%ebx; mov 28(%esp),%ecx; mov 32(%esp),%edx\n"
        "mov 36(%esp),%esi; mov 40(%esp),%edi; mov 44(%esp),%ebp; int $0x80\n"
        "pop %edi; pop %esi; pop %ebx; pop %ebp; ret\n"
        ".globl _start\n_start: mov %esp,%eax; push %eax; push %eax; push %eax; push %eax; call begin\n");
#else
#define WORD "64"
__asm__(".globl sys\nsys: mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; mov %r8,%r10; mov %r9,%r8\n"
        "mov 8(%rsp),%r9; syscall; ret\n"
        ".globl _start\n_start: mov %rsp,%rdi; and $-16,%rsp; call begin\n");
#endif
long sys(long number, long a, long b, long c, long d, long e, long f);
#define CALL(number, a, b, c, d, e, f) \
    sys(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL3(name, a, b, c) CALL(__NR_##name, a, b, c, 0, 0, 0)
#define CALL5(name, a, b, c, d, e) CALL(__NR_##name, a, b, c, d, e, 0)

#define AF_UNIX 1
#define AF_INET 2
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_ALG 38
#define AF_VSOCK 40
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define MS_BIND 4096

static const char *root;
static long victim;

/* The compiler calls these two for structures, library or not. */
void *memset(void *to, int byte, unsigned long count) {
    for (char *at = to; count--;) *at++ = (char)byte;
    return to;
}
void *memcpy(void *to, const void *from, unsigned long count) {
    const char *source = from;
    for (char *at = to; count--;) *at++ = *source++;
    return to;
}
static unsigned long length(const char *text) {
    unsigned long count = 0;
    while (text[count]) count++;
    return count;
}
static char *put(char *to, const char *text) {
    while (*text) *to++ = *text++;
    *to = 0;
    return to;
}
static char *put_number(char *to, long number) {
    char digits[24], *at = digits + sizeof digits - 1;
    *at = 0;
    do *--at = (char)('0' + number % 10);
    while (number /= 10);
    return put(to, at);
}
static long number_of(const char *text) {
    long number = 0;
    while (*text >= '0' && *text <= '9') number = number * 10 + *text++ - '0';
    return number;
}

/* A path: `@` stands for the root directory, `%` for the other server's process. */
static const char *path_of(const char *pattern) {
    static char text[4096];
    char *at = text;
    for (; *pattern; pattern++) {
        if (*pattern == '@') at = put(at, root);
        else if (*pattern == '%') at = put_number(at, victim);
        else *at++ = *pattern;
    }
    *at = 0;
    return text;
}

/* Opening for reading, and reading: of a directory its names. */
static long read_of(const char *pattern) {
    char byte[512];
    long fd = CALL5(openat, AT_FDCWD, path_of(pattern), O_RDONLY | O_NONBLOCK, 0, 0);
    if (fd < 0) return fd;
    long count = CALL3(read, fd, byte, sizeof byte);
    return count == -EISDIR ? CALL3(getdents64, fd, byte, sizeof byte) : count;
}
static long open_to_write(const char *pattern) {
    return CALL5(openat, AT_FDCWD, path_of(pattern), O_WRONLY | O_NONBLOCK, 0, 0);
}
/* Making a file in a directory. It goes at once, so that a second attempt meets the same. */
static long make_in(const char *pattern) {
    static char text[4096];
    put(put(text, path_of(pattern)), "/left4me-probe-" WORD);
    long fd = CALL5(openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_EXCL, 0600, 0);
    if (fd >= 0) CALL5(unlinkat, AT_FDCWD, text, 0, 0, 0);
    return fd;
}
static long socket_of(int family, int type, int protocol) { return CALL3(socket, family, type, protocol); }

static long connect_to(const char *name, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned long size = sizeof address;
    put(address.sun_path, name);
    if (name[0] == '#') {
        /* Abstract: a NUL first, and the name ends with the address. */
        size = sizeof address.sun_family + length(name);
        address.sun_path[0] = 0;
    }
    long fd = socket_of(AF_UNIX, type, 0);
    return fd < 0 ? fd : CALL3(connect, fd, &address, size);
}
static long bind_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = (unsigned short)(port >> 8 | port << 8)};
    long fd = socket_of(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? fd : CALL3(bind, fd, &address, sizeof address);
}

/* A user namespace of its own, in which it is root, with a mount namespace. */
static long become_root_of_a_namespace(void) {
    static char map[32];
    long uid = CALL3(getuid, 0, 0, 0), failed = CALL3(unshare, CLONE_NEWUSER | CLONE_NEWNS, 0, 0);
    if (failed) return failed;
    char *end = put(put_number(put(map, "0 "), uid), " 1");
    long fd = CALL5(openat, AT_FDCWD, "/proc/self/uid_map", O_WRONLY, 0, 0);
    /* A read-only /proc refuses the map; capabilities come without it. */
    if (fd >= 0) CALL3(write, fd, map, end - map);
    return 0;
}

#define READ(id, name, pattern) \
    static long id(void) { return read_of(pattern); }
#define WRITE(id, name, pattern) \
    static long id(void) { return open_to_write(pattern); }
#define MAKE(id, name, pattern) \
    static long id(void) { return make_in(pattern); }
#define DO(id, name, ...) \
    static long id(void) { __VA_ARGS__ }
#include "attempts.h"
#undef READ
#undef WRITE
#undef MAKE
#undef DO

static const struct attempt {
    const char *name;
    long (*run)(void);
} ATTEMPTS[] = {
#define READ(id, name, pattern) {name, id},
#define WRITE(id, name, pattern) {name, id},
#define MAKE(id, name, pattern) {name, id},
#define DO(id, name, ...) {name, id},
#include "attempts.h"
};

static void say(const struct attempt *attempt, int status) {
    static char line[512];
    char *end = put(put(put(line, WORD " | "), attempt->name), " | ");
    if (status == 0) end = put(end, "yes");
    else if (status & 0x7f) end = put_number(put(end, "no, signal "), status & 0x7f);
    else end = put_number(put(end, "no, error "), status >> 8 & 0xff);
    CALL3(write, 1, line, put(end, "\n") - line);
}

static void listen_for_ever(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    put(address.sun_path + 1, name);
    long fd = socket_of(AF_UNIX, SOCK_STREAM, 0);
    long bound = CALL3(bind, fd, &address, sizeof address.sun_family + 1 + length(name));
    if (bound == 0 && CALL3(listen, fd, 100, 0) == 0) CALL3(pause, 0, 0, 0);
    CALL3(exit_group, -bound, 0, 0);
}

void begin(long *stack) {
    char **arguments = (char **)(stack + 1);
    if (stack[0] != 3) CALL3(exit_group, 2, 0, 0);
    if (arguments[1][0] == 'l') listen_for_ever(arguments[2]);
    root = arguments[1];
    victim = number_of(arguments[2]);
    for (unsigned n = 0; n < sizeof ATTEMPTS / sizeof *ATTEMPTS; n++) {
        int status = 0;
        long child = CALL3(fork, 0, 0, 0);
        if (child == 0) {
            CALL3(alarm, 5, 0, 0);
            long result = ATTEMPTS[n].run();
            CALL3(exit_group, result < 0 ? -result : 0, 0, 0);
        }
        CALL5(wait4, child, &status, 0, 0, 0);
        say(ATTEMPTS + n, status);
    }
    CALL3(exit_group, 0, 0, 0);
}
