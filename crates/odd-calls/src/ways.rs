//! The table.

use std::fs::{self, File};
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use libc::c_int;

/// One odd way to be called.
pub struct Way {
    /// What is odd.
    pub name: String,
    /// Whether a program may be killed for it before its `main`, by the kernel or by its own runtime.
    pub lethal: bool,
    /// Whether it is a hard limit, which only a root with `CAP_SYS_RESOURCE` can raise.
    pub hard_limit: bool,
    /// Whether what the program prints is lost, for which it may end as for any reader that has gone.
    pub streams: bool,
    prepare: Box<dyn Fn(&mut Command)>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Way {
    /// Makes the command one that is called in this way.
    pub fn prepare(&self, command: &mut Command) {
        (self.prepare)(command);
    }

    fn new(name: impl Into<String>, prepare: impl Fn(&mut Command) + 'static) -> Self {
        Self { name: name.into(), lethal: false, hard_limit: false, streams: false, prepare: Box::new(prepare) }
    }

    /// A call in the new process, just before the program.
    fn before(name: impl Into<String>, call: impl Fn() -> c_int + Clone + Send + Sync + 'static) -> Self {
        Self::new(name, move |command| {
            let call = call.clone();
            before_exec(command, call);
        })
    }

    fn lethal(self) -> Self {
        Self { lethal: true, ..self }
    }

    fn hard_limit(self) -> Self {
        Self { hard_limit: true, ..self }
    }
}

fn before_exec(command: &mut Command, call: impl Fn() -> c_int + Send + Sync + 'static) {
    let call = move || if call() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: the calls are plain system calls on numbers and on memory that was there before the fork.
    unsafe { command.pre_exec(call) };
}

/// All of them.
pub fn ways() -> Vec<Way> {
    let mut ways = vec![Way::new("as ever", |_| {})];
    ways.extend(streams().into_iter().map(|way| Way { streams: true, ..way }));
    ways.extend(limits());
    ways.extend(signals());
    ways.extend(environments());
    ways.extend(surroundings());
    ways
}

fn streams() -> Vec<Way> {
    let mut ways = Vec::new();
    for closed in 1..8_i32 {
        let fds: Vec<c_int> = (0..3).filter(|fd| closed & (1 << fd) != 0).collect();
        ways.push(Way::before(format!("closed {fds:?}"), move || {
            // SAFETY: closes standard streams of a process that is about to become another program.
            fds.iter().map(|&fd| unsafe { libc::close(fd) }).min().unwrap_or(0)
        }));
    }
    type Kind = (&'static str, fn() -> Stdio);
    let kinds: [Kind; 4] = [
        ("full", || File::options().write(true).open("/dev/full").expect("/dev/full is there").into()),
        ("a closed pipe", closed_pipe),
        ("read-only", || File::open("/dev/null").expect("/dev/null is there").into()),
        ("a directory", || File::open("/").expect("/ is there").into()),
    ];
    for (kind, make) in kinds {
        ways.push(Way::new(format!("stdout {kind}"), move |command| _ = command.stdout(make())));
        ways.push(Way::new(format!("stderr {kind}"), move |command| _ = command.stderr(make())));
        ways.push(Way::new(format!("all streams {kind}"), move |command| {
            command.stdin(make()).stdout(make()).stderr(make());
        }));
    }
    ways.push(
        Way::before("a hundred descriptors, and no more than three allowed", || {
            // SAFETY: duplicates and a limit of a process that is about to become another program.
            unsafe {
                for _ in 0..100 {
                    libc::dup(0);
                }
                limit(libc::RLIMIT_NOFILE, 3)
            }
        })
        .hard_limit(),
    );
    ways
}

fn closed_pipe() -> Stdio {
    let mut ends = [0; 2];
    // SAFETY: the two descriptors are new, and each is owned here alone.
    let (read, write) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    };
    drop(read);
    write.into()
}

/// Sets a soft and a hard limit.
fn limit(resource: u32, value: u64) -> c_int {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: reads a structure of ours.
    unsafe { libc::setrlimit(resource, &raw const limit) }
}

fn limits() -> Vec<Way> {
    let named = |name: &str, resource: u32, value: u64| {
        Way::before(format!("a limit of {value} for {name}"), move || limit(resource, value)).hard_limit()
    };
    let mut ways: Vec<Way> = (0..3).map(|value| named("files", libc::RLIMIT_NOFILE, value).lethal()).collect();
    ways.extend([
        named("files", libc::RLIMIT_NOFILE, 3),
        named("files", libc::RLIMIT_NOFILE, 4),
        named("processes", libc::RLIMIT_NPROC, 0),
        named("the size of a file", libc::RLIMIT_FSIZE, 0),
        named("cpu seconds", libc::RLIMIT_CPU, 1),
        named("locked memory", libc::RLIMIT_MEMLOCK, 0),
        named("locks", libc::RLIMIT_LOCKS, 0),
        named("pending signals", libc::RLIMIT_SIGPENDING, 0),
        named("message queues", libc::RLIMIT_MSGQUEUE, 0),
        named("real-time cpu", libc::RLIMIT_RTTIME, 1),
        named("data", libc::RLIMIT_DATA, 0).lethal(),
        named("data", libc::RLIMIT_DATA, 1 << 20).lethal(),
        named("memory", libc::RLIMIT_AS, 1 << 20).lethal(),
        named("memory", libc::RLIMIT_AS, 4 << 20).lethal(),
        named("stack", libc::RLIMIT_STACK, 16 << 10).lethal(),
        named("stack", libc::RLIMIT_STACK, 128 << 10).lethal(),
    ]);
    ways
}

fn signals() -> Vec<Way> {
    let settable = |number: &c_int| ![libc::SIGKILL, libc::SIGSTOP].contains(number);
    let mut ways: Vec<Way> = (1..32)
        .filter(settable)
        .map(|number| {
            // SAFETY: a disposition that needs no handler.
            Way::before(format!("signal {number} ignored"), move || unsafe {
                if libc::signal(number, libc::SIG_IGN) == libc::SIG_ERR { -1 } else { 0 }
            })
        })
        .collect();
    ways.push(Way::before("every signal ignored", move || {
        // SAFETY: as above.
        (1..65).filter(settable).for_each(|number| _ = unsafe { libc::signal(number, libc::SIG_IGN) });
        0
    }));
    ways.push(Way::before("every signal blocked", || {
        // SAFETY: the set is filled before it is used.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut())
        }
    }));
    ways
}

fn environments() -> Vec<Way> {
    let hostile = [
        ("LD_PRELOAD", "/tmp/odd/x.so"),
        ("LD_LIBRARY_PATH", "/tmp/odd"),
        ("LD_AUDIT", "/tmp/odd/x.so"),
        ("LD_DEBUG", "all"),
        ("LD_DEBUG_OUTPUT", "/tmp/odd/debug"),
        ("GCONV_PATH", "/tmp/odd"),
        ("LOCPATH", "/tmp/odd"),
        ("NLSPATH", "/tmp/odd/%N"),
        ("LANGUAGE", "../../tmp/odd"),
        ("LC_ALL", "../../tmp/odd"),
        ("TZ", "/etc/shadow"),
        ("TZDIR", "/tmp/odd"),
        ("TMPDIR", "/tmp/odd"),
        ("HOME", "/tmp/odd"),
        ("PATH", "/tmp/odd"),
        ("IFS", "/"),
        ("MALLOC_ARENA_MAX", "x"),
        ("GLIBC_TUNABLES", "glibc.malloc.check=3:glibc.malloc.tcache_count=0"),
        ("RUST_BACKTRACE", "full"),
        ("RUST_MIN_STACK", "1"),
        ("LEFT4ME_ROOT", "/tmp/odd"),
        ("LEFT4ME_SUPERVISOR", "embedded"),
        ("LEFT4ME_STEAMCMD", "/tmp/odd/x"),
        ("LEFT4ME_OVERLAY_PRINT_ONLY", "0"),
        ("SYSTEMD_PAGER", "/tmp/odd/pager"),
        ("SYSTEMD_EDITOR", "/tmp/odd/pager"),
        ("SYSTEMD_LOG_LEVEL", "debug"),
        ("SYSTEMD_LOG_TARGET", "kmsg"),
        ("SYSTEMD_UNIT_PATH", "/tmp/odd"),
        ("SYSTEMD_IGNORE_CHROOT", "1"),
        ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/tmp/odd/bus"),
        ("NOTIFY_SOCKET", "/tmp/odd/notify"),
        ("LISTEN_FDS", "1000000"),
    ];
    vec![
        Way::new("an environment of nothing", |command| _ = command.env_clear()),
        Way::new("a hostile environment", move |command| _ = command.envs(hostile)),
        Way::new("an environment of 1 MiB", |command| {
            command.envs((0..10).map(|number| (format!("X{number}"), "x".repeat(105_000))));
        }),
        Way::new("an environment of ten thousand variables", |command| {
            command.envs((0..10_000).map(|number| (format!("X{number}"), "x")));
        }),
    ]
}

fn surroundings() -> Vec<Way> {
    let directory = |what: &str| {
        let path = std::env::temp_dir().join(format!("odd-calls-{}-{what}", std::process::id()));
        // Made anew for each call, so it may be there or not.
        let _ = fs::create_dir(&path);
        path
    };
    let timer = |name: &str, which: c_int| {
        Way::before(name, move || {
            let soon = libc::timeval { tv_sec: 0, tv_usec: 3000 };
            let timer = libc::itimerval { it_interval: soon, it_value: soon };
            // SAFETY: reads a structure of ours.
            if unsafe { libc::syscall(libc::SYS_setitimer, which, &raw const timer, 0) } < 0 { -1 } else { 0 }
        })
        .lethal()
    };
    vec![
        Way::new("a directory that is removed", move |command| {
            let path = directory("removed");
            command.current_dir(&path);
            let path = std::ffi::CString::new(path.into_os_string().into_encoded_bytes()).expect("no NUL in it");
            // SAFETY: removes an empty directory by a path that was there before the fork.
            before_exec(command, move || unsafe { libc::rmdir(path.as_ptr()) });
        }),
        Way::before("a umask of 0777", || {
            // SAFETY: a number alone.
            unsafe { libc::umask(0o777) };
            0
        }),
        Way::before("a umask of 0", || {
            // SAFETY: a number alone.
            unsafe { libc::umask(0) };
            0
        }),
        // SAFETY: a number alone.
        Way::before("the lowest priority", || unsafe { libc::nice(19) }),
        Way::before("the idle scheduler", || {
            let none = libc::sched_param { sched_priority: 0 };
            // SAFETY: reads a structure of ours.
            unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) }
        }),
        // SAFETY: takes nothing.
        Way::before("a session of its own", || unsafe { libc::setsid() }),
        // SAFETY: numbers alone.
        Way::before("death with its parent", || unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGUSR1) }),
        // SAFETY: a number alone (`ADDR_NO_RANDOMIZE`).
        Way::before("addresses that are not random", || unsafe { libc::personality(0x0004_0000) }),
        timer("a timer that runs", libc::ITIMER_REAL),
        timer("a timer of its own time that runs", libc::ITIMER_VIRTUAL),
        timer("a profiling timer that runs", libc::ITIMER_PROF),
    ]
}
