/* The attempts: READ opens and reads, WRITE opens for writing, MAKE makes a file in a directory, DO is code that returns
 * something negative where it failed. The first word of each is its function, the second what the table calls it. */

/* Other instances, and its own behind its back. */
READ(a1, "read another's RCON password", "@/instances/victim/rcon_password")
READ(a2, "read another's spec", "@/instances/victim/spec.yaml")
READ(a3, "read another's staged cfg", "@/instances/victim/staged/cfg/server.cfg")
READ(a4, "read another's upper", "@/runtime/victim/upper/left4dead2/cfg/server.cfg")
READ(a5, "read another's merged", "@/runtime/victim/merged/left4dead2/cfg/server.cfg")
READ(a6, "read its own RCON password file", "@/instances/attacker/rcon_password")
READ(a7, "list its own upper from outside", "@/runtime/attacker/upper")
READ(a8, "read a layer from outside", "@/overlays/attack/probe/targets")
MAKE(a9, "write to its own upper from outside", "@/runtime/attacker/upper")
MAKE(a10, "write to its own work", "@/runtime/attacker/work")
MAKE(a11, "write to a layer", "@/overlays/attack/probe")
MAKE(a12, "write to the installation", "@/installation")
MAKE(a13, "write to what it is started from", "@/instances/attacker/staged")
MAKE(a14, "write to the root directory", "@")
MAKE(a15, "write to its own merged", ".")

/* The host's files. */
READ(b1, "read the user's other files", "/srv/canary/secret")
MAKE(b2, "write to the user's other directories", "/srv/canary")
READ(b3, "read another program's file in /tmp", "/tmp/left4me-canary")
READ(b4, "read another program's file in /dev/shm", "/dev/shm/left4me-canary")
READ(b5, "read /etc/shadow", "/etc/shadow")
MAKE(b6, "write to /etc", "/etc")
MAKE(b7, "write to /usr", "/usr/local/bin")
MAKE(b8, "write to /run", "/run")
MAKE(b9, "write to /var/lib", "/var/lib")
READ(b10, "open a device", "/dev/left4me-device")
DO(b11, "make a device", long failed = CALL5(mknodat, AT_FDCWD, "left4me-device-" WORD, 0020666, 0x105, 0);
   CALL3(unlinkat, AT_FDCWD, "left4me-device-" WORD, 0); return failed;)
DO(b12, "open a file by its handle", struct { unsigned size; int type; int id[2]; } handle = {8, 1, {2, 0}};
   long fd = CALL5(openat, AT_FDCWD, ".", O_RDONLY, 0, 0);
   long answer = CALL3(open_by_handle_at, fd, &handle, O_RDONLY);
   /* It was let through, and there is no such file. */
   return answer == -ESTALE ? 0 : answer;)

/* The kernel's files. */
WRITE(c1, "write to /proc/sys", "/proc/sys/kernel/domainname")
WRITE(c2, "write to /sys", "/sys/kernel/mm/transparent_hugepage/enabled")
WRITE(c3, "leave its cgroup", "/sys/fs/cgroup/cgroup.procs")
WRITE(c4, "write to sysrq-trigger", "/proc/sysrq-trigger")
READ(c5, "read the kernel's log", "/dev/kmsg")

/* Other processes. */
READ(d1, "see another server in /proc", "/proc/%/stat")
READ(d2, "read another server's environment", "/proc/%/environ")
READ(d3, "read through another server's root", "/proc/%/root/var/lib/left4me/runtime/victim/merged/left4dead2/cfg/server.cfg")
READ(d4, "list another server's descriptors", "/proc/%/fd")
READ(d5, "see the host's or supervisor's PID 1 in /proc", "/proc/1/stat")
READ(d6, "read through PID 1's root", "/proc/1/root/var/lib/left4me/instances/victim/rcon_password")
DO(d7, "open one of PID 1's descriptors", static char name[32]; long fd = -ENOENT;
   for (int n = 0; n < 64 && fd < 0; n++) {
       put_number(put(name, "/proc/1/fd/"), n);
       long now = CALL5(openat, AT_FDCWD, name, O_PATH, 0, 0);
       if (now != -ENOENT) fd = now;
   }
   return fd;)
DO(d8, "signal another server", return CALL3(kill, victim, 0, 0);)
DO(d9, "signal another server's thread", return CALL3(tgkill, victim, victim, 0);)
DO(d10, "signal another server by a pidfd", long fd = CALL3(pidfd_open, victim, 0, 0);
   return fd < 0 ? fd : CALL5(pidfd_send_signal, fd, 0, 0, 0, 0);)
DO(d11, "signal PID 1", return CALL3(kill, 1, 0, 0);)
DO(d13, "change another server's limits", struct { unsigned long long now, most; } limit;
   long failed = CALL5(prlimit64, victim, RLIMIT_CORE, 0, &limit, 0);
   return failed ? failed : CALL5(prlimit64, victim, RLIMIT_CORE, &limit, 0, 0);)
DO(d14, "change another server's priority", return CALL3(setpriority, 0, victim, 10);)
DO(d15, "pin another server to a processor", unsigned long all = ~0UL;
   return CALL3(sched_setaffinity, victim, sizeof all, &all);)
DO(d16, "change another server's scheduling", int priority = 0; return CALL3(sched_setscheduler, victim, 3, &priority);)
DO(d17, "change another server's disk priority", return CALL3(ioprio_set, 1, victim, 2 << 13 | 7);)
DO(d18, "trace another server", return CALL5(ptrace, PTRACE_SEIZE, victim, 0, 0, 0);)
DO(d19, "read another server's memory", char byte; struct { void *at; unsigned long size; } to = {&byte, 1}, from = {0, 1};
   long count = CALL(__NR_process_vm_readv, victim, &to, 1, &from, 1, 0);
   /* It was let through, and nothing is at address 0. */
   return count == -EFAULT ? 0 : count;)
DO(d20, "take another server's descriptor", long fd = CALL3(pidfd_open, victim, 0, 0);
   return fd < 0 ? fd : CALL3(pidfd_getfd, fd, 0, 0);)
DO(d21, "trace its own child", long child = CALL3(fork, 0, 0, 0); if (child == 0) for (;;) CALL3(pause, 0, 0, 0);
   long answer = CALL5(ptrace, PTRACE_SEIZE, child, 0, 0, 0); CALL3(kill, child, SIGKILL, 0); return answer;)
DO(d22, "move another server's memory", return CALL5(migrate_pages, victim, 0, 0, 0, 0);)
DO(d23, "find a descriptor left open", for (int fd = 3; fd < 4096; fd++) if (CALL3(fcntl, fd, F_GETFD, 0) >= 0) return 0;
   return -EBADF;)

/* The network, and who listens on this host. */
DO(e1, "bind a privileged port", return bind_to(80);)
DO(e2, "bind any other port", return bind_to(sizeof(long) == 8 ? 29064 : 29032);)
DO(e3, "open a raw socket", return socket_of(AF_INET, SOCK_RAW, 1);)
DO(e4, "open a netlink socket", return socket_of(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);)
DO(e5, "open a packet socket", return socket_of(AF_PACKET, SOCK_RAW, 0);)
DO(e6, "open a socket of the kernel's cryptography", return socket_of(AF_ALG, 5, 0);)
DO(e7, "open a socket to the hypervisor", return socket_of(AF_VSOCK, SOCK_STREAM, 0);)
DO(e8, "talk to D-Bus", return connect_to("/run/dbus/system_bus_socket", SOCK_STREAM);)
DO(e9, "talk to systemd", return connect_to("/run/systemd/private", SOCK_STREAM);)
DO(e10, "talk to systemd as a service does", return connect_to("/run/systemd/notify", SOCK_DGRAM);)
DO(e11, "talk to the journal", return connect_to("/run/systemd/journal/socket", SOCK_DGRAM);)
DO(e12, "talk to a program with an abstract socket", return connect_to("#left4me-canary", SOCK_STREAM);)
DO(e13, "talk to a program that listens on TCP", struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = 0xdd69,
   .sin_addr = {0x100007f}}; return CALL3(connect, socket_of(AF_INET, SOCK_STREAM, 0), &address, sizeof address);)

/* Privilege. */
DO(f1, "become root", return CALL3(setresuid, 0, 0, 0);)
DO(f2, "change its groups", int groups[] = {0}; return CALL3(setgroups, 1, groups, 0);)
DO(f3, "give a file to root", return CALL5(fchownat, AT_FDCWD, "targets", 0, 0, 0);)
DO(f4, "make a set-uid program", long fd = CALL5(openat, AT_FDCWD, "set-uid", O_WRONLY | O_CREAT, 0700, 0);
   return fd < 0 ? fd : CALL3(fchmod, fd, 04700, 0);)
DO(f5, "make a user namespace", return CALL3(unshare, CLONE_NEWUSER, 0, 0);)
DO(f6, "make a user namespace by clone", long child = CALL5(clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
   if (child == 0) CALL3(exit_group, 0, 0, 0); return child;)
DO(f7, "make a user namespace by clone3", struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
   long child = CALL3(clone3, &args, sizeof args, 0); if (child == 0) CALL3(exit_group, 0, 0, 0); return child;)
DO(f8, "make a mount namespace", return CALL3(unshare, CLONE_NEWNS, 0, 0);)
DO(f9, "make a network namespace", return CALL3(unshare, CLONE_NEWNET, 0, 0);)
DO(f10, "enter PID 1's mount namespace", long fd = CALL5(openat, AT_FDCWD, "/proc/1/ns/mnt", O_RDONLY, 0, 0);
   return fd < 0 ? fd : CALL3(setns, fd, 0, 0);)
DO(f11, "mount a file system", return CALL5(mount, "none", "/tmp", "tmpfs", 0, 0);)
DO(f12, "mount one in a user namespace", long failed = become_root_of_a_namespace();
   return failed ? failed : CALL5(mount, "none", "/tmp", "tmpfs", 0, 0);)
DO(f13, "uncover the root directory in a user namespace", long failed = become_root_of_a_namespace();
   if (!failed) failed = CALL3(umount2, root, 2 /* MNT_DETACH */, 0);
   return failed ? failed : read_of("@/instances/victim/rcon_password");)
DO(f14, "look below the cover by a bind in a user namespace", long failed = become_root_of_a_namespace();
   /* Not recursive: without what is mounted on it. */
   if (!failed) failed = CALL5(mount, "/var/lib", "/tmp", 0, MS_BIND, 0);
   return failed ? failed : read_of("/tmp/left4me/instances/victim/rcon_password");)
DO(f15, "look below the cover by a detached copy", long failed = become_root_of_a_namespace();
   long fd = failed ? failed : CALL3(open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE);
   if (fd < 0) return fd;
   return CALL5(openat, fd, "var/lib/left4me/instances/victim/rcon_password", O_RDONLY, 0, 0);)
DO(f16, "change its root directory", return CALL3(chroot, "/tmp", 0, 0);)
DO(f17, "set the host's name", return CALL3(sethostname, "left4me-test", 12, 0);)
DO(f18, "set the clock", return CALL3(settimeofday, 0, 0, 0);)
DO(f19, "load a module", long failed = CALL3(init_module, "", 0, ""); return failed == -ENOEXEC ? 0 : failed;)
DO(f20, "reboot", long failed = CALL5(reboot, 0xfee1dead, 672274793, 1, 0, 0); return failed == -EINVAL ? 0 : failed;)
DO(f21, "reach hardware ports", return CALL3(ioperm, 0x80, 1, 1);)
DO(f22, "run in real time", int priority = 1; return CALL3(sched_setscheduler, 0, 1, &priority);)
DO(f23, "raise its own priority", return CALL3(setpriority, 0, 0, -20);)
DO(f24, "change its personality", return CALL3(personality, 0x0040000, 0, 0);)
DO(f25, "load a BPF program or map", struct { int type, key, value, entries; } map = {2, 4, 4, 1};
   return CALL3(bpf, 0, &map, sizeof map);)
DO(f26, "watch the kernel's performance counters", struct perf_event_attr attribute = {.type = 1, .size = sizeof attribute};
   attribute.exclude_kernel = attribute.exclude_hv = 1; return CALL5(perf_event_open, &attribute, 0, -1, -1, 0);)
DO(f27, "handle page faults itself", return CALL3(userfaultfd, 1 /* in user mode only */, 0, 0);)
DO(f28, "use io_uring", char parameters[120] = {0}; return CALL3(io_uring_setup, 1, parameters, 0);)
DO(f29, "keep keys in the kernel", return CALL5(add_key, "user", "left4me-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING);)
DO(f30, "watch the whole host's files", return CALL3(fanotify_init, 0, 0, 0);)
DO(f31, "open the terminal it was started from", return CALL5(openat, AT_FDCWD, "/dev/tty", O_RDWR, 0, 0);)

/* Resources. */
DO(g1, "open 70 000 descriptors", struct { unsigned long long now, most; } limit = {70100, 70100};
   long failed = CALL5(prlimit64, 0, RLIMIT_NOFILE, &limit, 0, 0);
   long fd = 0; while (fd >= 0 && fd < 70000) fd = CALL3(dup, 0, 0, 0); return fd < 0 && failed ? failed : fd;)
DO(g2, "leave core files", struct { unsigned long long now, most; } limit = {1, 1};
   return CALL5(prlimit64, 0, RLIMIT_CORE, &limit, 0, 0);)
DO(g3, "make a file of 1 TiB with a hole", long fd = CALL5(openat, AT_FDCWD, "huge", O_WRONLY | O_CREAT | O_LARGEFILE, 0600, 0);
   if (fd < 0) return fd; long failed = sizeof(long) == 8 ? CALL3(ftruncate, fd, 1ULL << 40, 0) :
   CALL(__NR_ftruncate + (sizeof(long) == 4) * 101, fd, 0, 256, 0, 0, 0); return failed;)
