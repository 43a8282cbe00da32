//! Debian 13's files, made once and kept in `target/machines`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::leftovers::{directory, mounted_below, new_name, remove};
use crate::build::succeed;

/// What is in a machine's root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RootFs {
    /// What the tests need.
    Plain,
    /// What the bench needs: a container engine to compare us with, which is large, and fincore.
    Bench,
    /// What looks at the Debian package, not to be booted: this Debian's own, as an older one's does not know what is right
    /// today.
    Linters,
}

impl RootFs {
    /// What a machine needs: to boot, to be tested (shells, and what reads man pages), and (the kernel) to be a virtual machine.
    const fn packages(self) -> &'static str {
        match self {
            Self::Plain => {
                "systemd,systemd-sysv,dbus,sudo,procps,util-linux,libpam-systemd,linux-image-cloud-amd64,kmod,udev,\
                 bash-completion,zsh,fish,man-db,mandoc,groff"
            }
            // podman only recommends a runtime and what makes its network.
            Self::Bench => {
                "systemd,systemd-sysv,dbus,sudo,procps,util-linux,util-linux-extra,libpam-systemd,udev,podman,crun,netavark"
            }
            Self::Linters => "lintian,shellcheck",
        }
    }
}

/// What waits for hardware that is not there, or takes the line that a virtual machine's console is.
const MASKED: &[&str] = &[
    "serial-getty@ttyS0.service",
    "systemd-networkd-wait-online.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
];

/// The tree, made if it is not there.
pub(super) fn cached(kind: RootFs) -> Result<PathBuf> {
    let packages = kind.packages();
    // Other lists are another tree.
    let tree = directory().join(format!("trixie-{:08x}", hash(&format!("{packages} {MASKED:?}"))));
    if tree.is_dir() {
        return Ok(tree);
    }
    fs::create_dir_all(directory())?;
    // Named as machines are: what a killed run leaves is removed by the next.
    let temporary = directory().join(new_name());
    println!("making a Debian 13 root file system with {packages} (once)");
    succeed(
        Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", &format!("--include={packages}"), "trixie"])
            .arg(&temporary)
            .arg(mirror()?),
    )?;
    // Left there where somebody was in it; each machine would copy all of it.
    if let Some(place) = mounted_below(&temporary) {
        bail!("mmdebstrap has left {} mounted: `umount` it, and try again", place.display());
    }
    fs::create_dir_all(temporary.join("etc/systemd/system"))?;
    for unit in MASKED {
        std::os::unix::fs::symlink("/dev/null", temporary.join("etc/systemd/system").join(unit))?;
    }
    match fs::rename(&temporary, &tree) {
        // Another run was faster.
        Err(_) if tree.is_dir() => remove(&temporary),
        renamed => renamed?,
    }
    Ok(tree)
}

/// A tree to be run with `chroot`.
pub(crate) fn linters() -> Result<PathBuf> {
    install_tools(false)?;
    cached(RootFs::Linters)
}

/// FNV-1a: enough to tell two lists apart.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The mirror that this machine itself uses, in either form of apt's sources.
fn mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    let found: Vec<String> = texts.flat_map(|text| text.lines().filter_map(uri).collect::<Vec<_>>()).collect();
    // A mirror of Debian itself, and not of somebody's own packages.
    match found.iter().find(|uri| uri.trim_end_matches('/').ends_with("/debian")) {
        Some(uri) => Ok(uri.clone()),
        None => bail!(
            "no Debian mirror in {}",
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn uri(line: &str) -> Option<String> {
    let line = line.trim();
    let uris = match line.strip_prefix("URIs:") {
        Some(uris) => uris,
        None => line.strip_prefix("deb ")?,
    };
    uris.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned)
}

/// What has to be on this machine for containers and virtual machines; installed where it is missing.
pub(crate) fn install_tools(virtual_machine: bool) -> Result<()> {
    let mut wanted = vec![("mmdebstrap", "/usr/bin/mmdebstrap"), ("systemd-container", "/usr/bin/systemd-nspawn")];
    if virtual_machine {
        wanted.push(("qemu-system-x86", "/usr/bin/qemu-system-x86_64"));
        wanted.push(("e2fsprogs", "/usr/sbin/mke2fs"));
    }
    install(&wanted).context("can't install what the system tests need")
}

/// What the hostile game server is compiled with: no C library, but the kernel's headers.
pub(crate) fn install_compiler() -> Result<()> {
    let wanted = [("gcc", "/usr/bin/gcc"), ("linux-libc-dev", "/usr/include/linux/mount.h")];
    install(&wanted).context("can't install a compiler for the hostile game server")
}

/// What libFuzzer is compiled with.
pub(crate) fn install_cxx_compiler() -> Result<()> {
    install(&[("g++", "/usr/bin/c++")]).context("can't install a compiler for libFuzzer, which is C++")
}

/// Prometheus' own tool, unpacked into `target/machines` from its package: installed, that would start a Prometheus here.
pub(crate) fn promtool() -> Result<PathBuf> {
    let tree = directory().join("prometheus");
    let tool = tree.join("usr/bin/promtool");
    if tool.is_file() {
        return Ok(tool);
    }
    // Named as machines are: what a killed run leaves is removed by the next.
    let temporary = directory().join(new_name());
    fs::create_dir_all(&temporary)?;
    println!("fetching promtool (once)");
    // As who we are: apt's own user can't write to our directory.
    let download = || succeed(apt(&["-o=APT::Sandbox::User=root", "download", "prometheus"]).current_dir(&temporary));
    // An older list may name a package that is gone; one of several sources may be out of reach.
    let downloaded = download().or_else(|_| {
        let _ = apt(&["update"]).status();
        download()
    });
    downloaded.context("can't fetch the package prometheus, for promtool")?;
    for package in fs::read_dir(&temporary)? {
        succeed(Command::new("dpkg-deb").arg("--extract").arg(package?.path()).arg(temporary.join("files")))?;
    }
    match fs::rename(temporary.join("files"), &tree) {
        // Another run was faster.
        Err(_) if tool.is_file() => {}
        renamed => renamed?,
    }
    fs::remove_dir_all(&temporary)?;
    Ok(tool)
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-o=Dpkg::Use-Pty=0"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
    command.stdout(std::process::Stdio::null());
    command
}

fn install(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(_, path)| !Path::new(path).exists()).map(|(name, _)| *name).collect();
    install_packages(&missing)
}

/// Installs packages of Debian.
pub(crate) fn install_packages(missing: &[&str]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    // An update fails as a whole when one of several sources is out of reach; what counts is the install.
    let _ = apt(&["update"]).status();
    let args: Vec<&str> = ["install", "--yes", "--no-install-recommends"].iter().chain(missing).copied().collect();
    succeed(&mut apt(&args))
}
