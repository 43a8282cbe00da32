//! Debian 13 with its own kernel, under qemu's software emulation.
//!
//! Commands go to an agent inside (this program, as a unit) over a virtio port, each part after its length: a number and
//! the script, then the same number, the exit code and both streams.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::leftovers::{directory, new_name, remove};
use super::{Answer, BIN_DIR, Machine, RUN_LIMIT_SECONDS, RootFs, prepare, wait_for_boot};
use crate::build::succeed;

/// Emulated, a boot takes half a minute.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

pub(super) const IMAGE: &str = "vm.img";

/// Sockets of qemu's: the agent's port, and qemu's own.
pub(super) const AGENT: &str = "agent";
pub(super) const QMP: &str = "qmp";

const PORT: &str = "org.left4me.agent";

/// Its disk may be booted in a container, too, where it has no port.
const AGENT_UNIT: &str = "[Unit]\nDescription=left4me test agent\nConditionVirtualization=vm\n[Service]\nExecStart=@BIN@/xtask vm-agent\nRestart=always\n\
    RestartSec=1\n[Install]\nWantedBy=multi-user.target\n";

pub(crate) struct Vm {
    pub(super) work: PathBuf,
    /// Where its kernel is.
    pub(super) boot: PathBuf,
    pub(super) qemu: Child,
    pub(super) agent: Option<UnixStream>,
}

impl Vm {
    pub(crate) fn boot() -> Result<Self> {
        let work = directory().join(new_name());
        let tree = prepare(&work, RootFs::Plain)?;
        fs::write(tree.join("etc/systemd/system/left4me-agent.service"), AGENT_UNIT.replace("@BIN@", BIN_DIR))?;
        let wants = tree.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        std::os::unix::fs::symlink("/etc/systemd/system/left4me-agent.service", wants.join("left4me-agent.service"))?;
        fs::write(tree.join("etc/fstab"), "/dev/vda / ext4 defaults 0 1\n")?;
        let image = work.join(IMAGE);
        // Sparse: room for what the tests write.
        fs::File::create(&image)?.set_len(3 << 30)?;
        succeed(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4", "-d"]).arg(&tree).arg(&image))?;
        let boot = tree.join("boot");
        let qemu = spawn(&work, &boot, &[])?;
        let mut vm = Self { work, boot, qemu, agent: None };
        vm.connect()?;
        wait_for_boot(&mut vm, BOOT_LIMIT)?;
        Ok(vm)
    }

    /// Connects to the agent, which answers once the machine is far enough.
    fn connect(&mut self) -> Result<()> {
        self.agent = None;
        let until = Instant::now() + BOOT_LIMIT;
        while Instant::now() < until {
            if let Some(status) = self.qemu.try_wait()? {
                bail!("qemu ended: {status}; see {}", self.work.join("console").display());
            }
            if let Ok(mut agent) = UnixStream::connect(self.work.join(AGENT))
                && agent.set_read_timeout(Some(Duration::from_secs(10))).is_ok()
                && ask(&mut agent, "true").is_ok_and(|answer| answer.code == 0)
            {
                // Longer than a command may take.
                agent.set_read_timeout(Some(Duration::from_secs(900)))?;
                self.agent = Some(agent);
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        bail!("the virtual machine did not come up; see {}", self.work.join("console").display())
    }
}

impl Machine for Vm {
    fn run(&mut self, script: &str) -> Result<Answer> {
        let agent = self.agent.as_mut().context("the virtual machine is not up")?;
        ask(agent, script).with_context(|| format!("the virtual machine does not answer to {script:?}"))
    }

    fn reboot(&mut self) -> Result<()> {
        let before = self.ok("cat /proc/sys/kernel/random/boot_id")?;
        self.ok("systemctl --no-block reboot")?;
        self.wait_for_other_boot(&before)
    }

    fn cut_power(&mut self) -> Result<()> {
        // What the guest had not written is lost; what it had written, this machine's kernel keeps.
        self.agent = None;
        self.qemu.kill()?;
        self.qemu.wait()?;
        self.qemu = spawn(&self.work, &self.boot, &[])?;
        self.connect()?;
        wait_for_boot(self, BOOT_LIMIT)
    }
}

impl Vm {
    fn wait_for_other_boot(&mut self, before: &str) -> Result<()> {
        let until = Instant::now() + BOOT_LIMIT;
        while Instant::now() < until {
            self.connect()?;
            match self.run("cat /proc/sys/kernel/random/boot_id") {
                Ok(answer) if answer.stdout != before => return wait_for_boot(self, BOOT_LIMIT),
                _ => std::thread::sleep(Duration::from_millis(500)),
            }
        }
        bail!("the virtual machine did not boot again; see {}", self.work.join("console").display())
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        remove(&self.work);
    }
}

pub(super) fn spawn(work: &Path, boot: &Path, more: &[&str]) -> Result<Child> {
    let boot = |prefix: &str| -> Result<PathBuf> {
        let entries = fs::read_dir(boot)?.flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        entries.into_iter().find(is_it).with_context(|| format!("no {prefix} in the root file system"))
    };
    let console = fs::OpenOptions::new().append(true).create(true).open(work.join("console"))?;
    let mut command = Command::new("setpriv");
    command
        // However this process ends, the machine ends with it.
        .args(["--pdeathsig=KILL", "qemu-system-x86_64"])
        // Without -cx16 this emulator corrupts the kernel's allocator, and it panics.
        .args(["-accel", "tcg", "-cpu", "qemu64,-cx16", "-m", "2048", "-smp", "2", "-nographic", "-nic", "none"])
        .arg("-kernel")
        .arg(boot("vmlinuz-")?)
        .arg("-initrd")
        .arg(boot("initrd.img-")?)
        .args(["-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1"])
        .args(["-drive", &format!("file={},if=virtio,format=raw,cache=writeback", work.join(IMAGE).display())])
        .args(["-monitor", "none", "-serial", "stdio", "-device", "virtio-serial"])
        .args(["-chardev", &format!("socket,id=agent,path={},server=on,wait=off", work.join(AGENT).display())])
        .args(["-device", &format!("virtserialport,chardev=agent,name={PORT}")])
        .args(["-qmp", &format!("unix:{},server=on,wait=off", work.join(QMP).display())])
        .args(more)
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console);
    command.spawn().context("can't run qemu-system-x86_64")
}

fn put(stream: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes())?;
    stream.write_all(bytes)
}

fn take(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap_or(0)];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What was asked of any agent, counted.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// Asks, and waits for the answer to just this. What was asked while the machine booted is kept by qemu, and answered
/// late to whoever is connected then.
fn ask(agent: &mut UnixStream, script: &str) -> Result<Answer> {
    let number = send(agent, script)?;
    loop {
        let (answered, answer) = receive(agent)?;
        if answered == number {
            return Ok(answer);
        }
    }
}

/// Asks; the number that the answer will have.
pub(super) fn send(agent: &mut impl Write, script: &str) -> Result<String> {
    let number = ASKED.fetch_add(1, Ordering::Relaxed).to_string();
    put(agent, number.as_bytes())?;
    put(agent, script.as_bytes())?;
    Ok(number)
}

/// An answer, and the number of what was asked.
pub(super) fn receive(agent: &mut impl Read) -> Result<(String, Answer)> {
    let answered = String::from_utf8(take(agent)?)?;
    let code = String::from_utf8(take(agent)?)?.parse()?;
    let stdout = String::from_utf8_lossy(&take(agent)?).into_owned();
    let stderr = String::from_utf8_lossy(&take(agent)?).into_owned();
    Ok((answered, Answer { code, stdout, stderr }))
}

/// The other end, inside.
pub(crate) fn agent() -> Result<()> {
    let path = format!("/dev/virtio-ports/{PORT}");
    let mut port =
        fs::OpenOptions::new().read(true).write(true).open(&path).with_context(|| format!("can't open {path}"))?;
    loop {
        let number = take(&mut port)?;
        let script = String::from_utf8_lossy(&take(&mut port)?).into_owned();
        let output = Command::new("timeout")
            .args(["--kill-after=5", RUN_LIMIT_SECONDS, "/bin/sh", "-c", &script])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env_remove("INVOCATION_ID")
            .stdin(Stdio::null())
            .output()?;
        put(&mut port, &number)?;
        put(&mut port, output.status.code().unwrap_or(-1).to_string().as_bytes())?;
        put(&mut port, &output.stdout)?;
        put(&mut port, &output.stderr)?;
        port.flush()?;
    }
}
