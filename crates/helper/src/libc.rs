//! The few calls that neither std nor rustix has, declared as the C library that std is linked with has them.
//!
//! Each takes numbers and memory of its caller's, and touches nothing that std manages, as long as it is called where
//! [`crate::sanitise`] says: by one thread, at the start of `main`.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};

/// `sigset_t`: 1024 bits in glibc and in musl.
#[repr(C)]
struct SignalSet([u64; 16]);

/// `SIG_SETMASK`, `SIG_DFL` (asm-generic/signal.h), and the number of the last signal before the real-time ones.
const SIG_SETMASK: c_int = 2;
const SIG_DFL: usize = 0;
const SIGSYS: c_int = 31;

/// What std has set itself (SIGPIPE ignored, an alternate stack for the messages of two faults), and what can't be set.
const NOT_OURS: [c_int; 5] = [7, 9, 11, 13, 19];

unsafe extern "C" {
    fn clearenv() -> c_int;
    fn close_range(first: c_uint, last: c_uint, flags: c_uint) -> c_int;
    fn signal(signal: c_int, handler: usize) -> usize;
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigfillset(set: *mut SignalSet) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
}

/// Not variable by variable: std can't remove one whose name begins with `=`, nor sees one without.
pub(crate) fn clear_environment() {
    // SAFETY: the process has one thread, so nobody reads the environment meanwhile.
    unsafe { clearenv() };
}

/// Closes every descriptor from `first` on: one into a mount would make its umount busy with us.
pub(crate) fn close_from(first: c_uint) {
    // SAFETY: nothing in this process has opened a descriptor yet that it still uses, so all of these are inherited.
    unsafe { close_range(first, c_uint::MAX, 0) };
}

/// Ends what was ignored and unblocks what was blocked. With SIGCHLD ignored there is no exit status of a child to wait for.
pub(crate) fn default_signals() {
    for number in (1..=SIGSYS).filter(|number| !NOT_OURS.contains(number)) {
        // SAFETY: no handler of ours is installed for these, and the default needs none.
        unsafe { signal(number, SIG_DFL) };
    }
    let mut none = SignalSet([0; 16]);
    // SAFETY: the set is ours, initialised, and as large as the type of the C library.
    unsafe {
        sigemptyset(&raw mut none);
        pthread_sigmask(SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Blocks whatever can be blocked.
pub(crate) fn block_signals() {
    let mut all = SignalSet([0; 16]);
    // SAFETY: the set is ours, initialised, and as large as the type of the C library.
    unsafe {
        sigfillset(&raw mut all);
        pthread_sigmask(SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}
