//! System calls that a game has no use for, refused whichever supervisor runs it, and to 32-bit code as to 64-bit.
//!
//! For what the unit's `SystemCallFilter=` can't say: `prlimit64` is how a program asks for its own limits, and how it
//! sets those of every process of its user. A limit on processor time ends another instance without any signal that
//! Landlock could refuse. A number is all that a filter list knows; this looks at the argument.

use seccompiler::{apply_filter, sock_filter};

use crate::{Error, Result};

/// One of the kernel's two sets of numbers for the same calls.
struct Abi {
    /// `AUDIT_ARCH_*` (linux/audit.h).
    arch: u32,
    prlimit64: u32,
    refused: [u32; 11],
}

/// Refused in the order: ptrace, add_key, request_key, keyctl (keys are the user's), perf_event_open,
/// process_vm_readv, process_vm_writev, bpf, userfaultfd, io_uring_setup (they are what holes in kernels are reached
/// through), pidfd_getfd.
const ABIS: [Abi; 2] = [
    Abi { arch: 0xc000_003e, prlimit64: 302, refused: [101, 248, 249, 250, 298, 310, 311, 321, 323, 425, 438] },
    Abi { arch: 0x4000_0003, prlimit64: 340, refused: [26, 286, 287, 288, 336, 347, 348, 357, 374, 425, 438] },
];

/// Where `struct seccomp_data` (linux/seccomp.h) has the number, the architecture, and the first argument's lower half.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// `SECCOMP_RET_ALLOW`, and `SECCOMP_RET_ERRNO` with EPERM.
const ALLOW: u32 = 0x7fff_0000;
const REFUSE: u32 = 0x0005_0001;

/// Refuses them to this thread, and to all that descends from it.
pub(crate) fn refuse_calls() -> Result<()> {
    apply_filter(&program()).map_err(|error| Error::new(format!("can't filter system calls: {error}")))
}

fn program() -> Vec<sock_filter> {
    let mut program = vec![load(ARCH)];
    for abi in &ABIS {
        let part = calls_of(abi);
        program.push(unless_equal(abi.arch, part.len()));
        program.extend(part);
    }
    program.push(answer(ALLOW));
    program
}

fn calls_of(abi: &Abi) -> Vec<sock_filter> {
    let mut part = vec![load(NUMBER)];
    for call in abi.refused {
        part.extend([unless_equal(call, 1), answer(REFUSE)]);
    }
    // Of process 0, which is the caller itself, everything may be asked and set.
    part.extend([unless_equal(abi.prlimit64, 4), load(FIRST_ARGUMENT), unless_equal(0, 1), answer(ALLOW)]);
    part.extend([answer(REFUSE), answer(ALLOW)]);
    part
}

/// `BPF_LD | BPF_W | BPF_ABS`.
fn load(offset: u32) -> sock_filter {
    sock_filter { code: 0x20, jt: 0, jf: 0, k: offset }
}

/// `BPF_JMP | BPF_JEQ | BPF_K`: goes on if what was loaded is this, else after so many instructions.
fn unless_equal(value: u32, skip: usize) -> sock_filter {
    sock_filter { code: 0x15, jt: 0, jf: u8::try_from(skip).unwrap_or(u8::MAX), k: value }
}

/// `BPF_RET | BPF_K`.
fn answer(what: u32) -> sock_filter {
    sock_filter { code: 0x06, jt: 0, jf: 0, k: what }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel runs it, for these few instructions.
    fn run(arch: u32, number: u32, argument: u32) -> u32 {
        let program = program();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            match step.code {
                0x20 => {
                    loaded = match step.k {
                        NUMBER => number,
                        ARCH => arch,
                        _ => argument,
                    };
                }
                0x15 if loaded != step.k => at += usize::from(step.jf),
                0x15 => {}
                _ => return step.k,
            }
        }
    }

    #[test]
    fn limits_are_the_callers_own_alone() {
        for abi in &ABIS {
            assert_eq!(run(abi.arch, abi.prlimit64, 0), ALLOW);
            assert_eq!(run(abi.arch, abi.prlimit64, 4711), REFUSE);
        }
    }

    #[test]
    fn only_what_is_named_is_refused() {
        for abi in &ABIS {
            let refused: Vec<u32> = (0..500).filter(|&number| run(abi.arch, number, 0) == REFUSE).collect();
            assert_eq!(refused, abi.refused);
        }
        // Another architecture's numbers mean other calls.
        assert_eq!(run(0xc000_00b7, 101, 0), ALLOW);
    }

    #[test]
    fn the_kernel_takes_it() {
        use rustix::process::{Pid, Resource, getrlimit, prlimit};
        // The filter is a thread's: it ends with this one.
        std::thread::spawn(|| {
            let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            refuse_calls().unwrap();
            let own = getrlimit(Resource::Core);
            prlimit(None, Resource::Core, own).unwrap();
            let of_another = prlimit(Some(Pid::from_child(&child)), Resource::Core, own).unwrap_err();
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(of_another, rustix::io::Errno::PERM);
        })
        .join()
        .unwrap();
    }
}
