//! A host that forbids user namespaces, for one command: by a filter of system calls, as a container's profile does it.
//!
//! `user.max_user_namespaces` would forbid them to the whole machine, of which a container is only a part.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::libc::{CLONE_NEWUSER, SYS_unshare};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// What [`without_user_namespaces`] is called on the command line.
pub(crate) const WITHOUT_USER_NAMESPACES: &str = "without-user-namespaces";

/// `without-user-namespaces COMMAND ARG…`: becomes the command, to which and to whose children unshare(2) gives EPERM where
/// it asks for a user namespace.
pub(crate) fn without_user_namespaces(args: &[String]) -> Result<()> {
    let [program, args @ ..] = args else { bail!("{WITHOUT_USER_NAMESPACES} needs a command") };
    let flag = u64::from(CLONE_NEWUSER.cast_unsigned());
    let asks = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
    let refuse = SeccompAction::Errno(Errno::EPERM as u32);
    let calls = [(SYS_unshare, vec![SeccompRule::new(vec![asks])?])].into();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
    apply_filter(&BpfProgram::try_from(filter)?)?;
    Err(Command::new(program).args(args).exec()).with_context(|| format!("can't run {program}"))
}
