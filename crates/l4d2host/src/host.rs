//! One root directory and one supervisor: the value that everything is a function on.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use names::InstanceName;
use overlay::beneath::{Dir, FileId};

use crate::account::Account;
use crate::embedded::Embedded;
use crate::lock::{self, Held, Lock};
use crate::supervisor::systemd::{self, Systemd, is_there};
use crate::{Error, ErrorKind, Result, Supervisor, SupervisorKind};

/// How long a command waits for another, unless [`Host::wait_for_others`] says otherwise.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// A host: where everything lies and who runs it.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    supervisor: Box<dyn Supervisor>,
    /// HOME of SteamCMD and, under the embedded supervisor, of the game; otherwise the account's.
    home: Option<PathBuf>,
    lock_timeout: Duration,
    on_wait: OnWait,
}

/// Told whom a command waits for.
struct OnWait(Box<dyn Fn(&str)>);

impl fmt::Debug for OnWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnWait")
    }
}

/// The directories of the root, made where they are missing.
const DIRECTORIES: [&str; 8] =
    ["installation", "generations", "manifests", "overlays", "instances", "runtime", "tmp", "locks"];

impl Host {
    /// The host that the environment names: `LEFT4ME_ROOT` and `LEFT4ME_SUPERVISOR`, each with a default. Reads at most
    /// the root file and looks for the unit; the root directory itself is looked at when it is needed.
    pub fn from_environment() -> Result<Self> {
        let configured = configured_root()?;
        let root = root_or(configured.as_deref())?;
        let supervisor: Box<dyn Supervisor> = match (wanted_supervisor()?, systemd::installed_prefix()?) {
            (Some(SupervisorKind::Embedded), _) | (None, None) => Box::new(Embedded::new(root.clone(), None)),
            (_, Some(prefix)) => {
                check_systemd_root(&root, configured.as_deref())?;
                Box::new(Systemd::new(prefix))
            }
            (Some(SupervisorKind::Systemd), None) => {
                return Err(Error::new(ErrorKind::WrongSupervisor, "left4me's systemd unit is not installed")
                    .hint("left4me's package or `sudo cargo xtask install` installs it; LEFT4ME_SUPERVISOR=embedded does without"));
            }
        };
        Ok(Self::new(root, supervisor, None))
    }

    /// A host of its own, run by the embedded supervisor: the root directory is made if it is missing, and is the home
    /// directory, too, so that nothing outside is touched.
    pub fn embedded(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|e| Error::io(format!("can't make {}", root.display()), e))?;
        let root = root.canonicalize().map_err(|e| Error::io(format!("can't resolve {}", root.display()), e))?;
        let supervisor = Box::new(Embedded::new(root.clone(), Some(root.clone())));
        Ok(Self::new(root.clone(), supervisor, Some(root)))
    }

    fn new(root: PathBuf, supervisor: Box<dyn Supervisor>, home: Option<PathBuf>) -> Self {
        Self { root, supervisor, home, lock_timeout: LOCK_TIMEOUT, on_wait: OnWait(Box::new(|_| {})) }
    }

    /// How long to wait where another command has what is needed, otherwise 60 s, and whom to tell for whom one waits.
    #[must_use]
    pub fn wait_for_others(self, lock_timeout: Duration, on_wait: impl Fn(&str) + 'static) -> Self {
        Self { lock_timeout, on_wait: OnWait(Box::new(on_wait)), ..self }
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Which supervisor runs the instances.
    pub fn supervisor_kind(&self) -> SupervisorKind {
        self.supervisor.kind()
    }

    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.home.clone().or_else(crate::account::home)
    }

    pub(crate) fn supervisor(&self) -> &dyn Supervisor {
        self.supervisor.as_ref()
    }

    /// Run as root, the process becomes the owner of the root directory, for good, before anything there is touched: what
    /// lies there is hostile to root. A root directory of root's own (a container) changes nothing. To be called while
    /// the process has one thread.
    pub fn become_owner(&mut self) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        match std::fs::symlink_metadata(&self.root) {
            Ok(metadata) if metadata.uid() == 0 => Ok(()),
            Ok(metadata) => {
                let account = Account::by_uid(metadata.uid())?;
                account.become_it()?;
                // HOME is still root's.
                self.home = Some(account.home);
                if self.supervisor_kind() == SupervisorKind::Embedded {
                    self.supervisor = Box::new(Embedded::new(self.root.clone(), self.home.clone()));
                }
                Ok(())
            }
            // What needs the directory says that it is missing.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io(format!("can't look at {}", self.root.display()), error)),
        }
    }

    /// Opens the root directory, and sees to it that what every command counts on is there.
    pub(crate) fn open(&self) -> Result<Dir> {
        let root = self.open_for_reading()?;
        for name in DIRECTORIES {
            // Everybody may look, as the unit's sandbox passes through; what is secret has its own mode.
            root.make_dir(name, 0o755)?;
        }
        Ok(root)
    }

    /// Opens the root directory as it is; it must be a directory of the caller's.
    pub(crate) fn open_for_reading(&self) -> Result<Dir> {
        let label = self.root.display();
        let metadata = match std::fs::symlink_metadata(&self.root) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::new(ErrorKind::NotFound, format!("the root directory {label} does not exist"))
                    .hint("left4me's package or `sudo cargo xtask install` makes it; LEFT4ME_ROOT names another, which `mkdir` makes"));
            }
            Err(error) => return Err(Error::io(format!("can't look at the root directory {label}"), error)),
        };
        if !metadata.is_dir() {
            return Err(Error::new(ErrorKind::NotFound, format!("the root directory {label} is not a directory")));
        }
        check_owner(&self.root, metadata.uid())?;
        open_own(&self.root)
    }

    /// Takes a lock, after whoever has it.
    pub(crate) fn lock(&self, root: &Dir, lock: Lock<'_>) -> Result<Held> {
        self.lock_and_tell(root, lock, &mut |who| (self.on_wait.0)(who))
    }

    /// The same, with another way of telling whom it waits for.
    pub(crate) fn lock_and_tell(&self, root: &Dir, lock: Lock<'_>, tell: &mut dyn FnMut(&str)) -> Result<Held> {
        lock::take(root, lock, self.lock_timeout, tell)
    }

    /// Refuses an instance that the supervisor which is not ours has running.
    pub(crate) fn check_not_held_by_other(&self, root: &Dir, name: &InstanceName) -> Result<()> {
        let other = match self.supervisor_kind() {
            SupervisorKind::Systemd => crate::embedded::is_held(root, name)?.then_some(SupervisorKind::Embedded),
            SupervisorKind::Embedded => (is_configured(root)?
                && is_there(&Path::new(names::RECORD_DIR).join(name.as_str()))?)
            .then_some(SupervisorKind::Systemd),
        };
        match other {
            None => Ok(()),
            Some(other) => {
                let message = format!("instance {name} is run by the {} supervisor", other.as_str());
                let hint = format!("LEFT4ME_SUPERVISOR={} l4d2ctl stop {name}", other.as_str());
                Err(Error::new(ErrorKind::WrongSupervisor, message).hint(hint))
            }
        }
    }
}

/// Whether root's records and the systemd units are of this root directory, by whichever path it was opened.
pub(crate) fn is_configured(root: &Dir) -> Result<bool> {
    let Some(configured) = configured_root()? else { return Ok(false) };
    // What can't be looked at is none of the caller's.
    let Ok(metadata) = std::fs::metadata(configured) else { return Ok(false) };
    Ok(root.id()? == FileId { device: metadata.dev(), inode: metadata.ino() })
}

/// What the installer wrote into the root file; none where nothing is installed.
pub(crate) fn configured_root() -> Result<Option<PathBuf>> {
    match std::fs::read_to_string(names::ROOT_FILE) {
        Ok(text) => Ok(text.strip_suffix('\n').map(PathBuf::from)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // Another root directory than the installed one would be taken.
        Err(error) => Err(Error::io(format!("can't read {}", names::ROOT_FILE), error)),
    }
}

/// The root directory that the environment names, otherwise the installed one.
pub(crate) fn root_from_environment() -> Result<PathBuf> {
    root_or(configured_root()?.as_deref())
}

fn root_or(configured: Option<&Path>) -> Result<PathBuf> {
    let root = match std::env::var_os("LEFT4ME_ROOT").filter(|root| !root.is_empty()) {
        Some(root) => PathBuf::from(root),
        None => configured.unwrap_or(Path::new(names::DEFAULT_ROOT)).to_owned(),
    };
    if !root.is_absolute() {
        return Err(Error::new(ErrorKind::Usage, format!("LEFT4ME_ROOT {} is not an absolute path", root.display())));
    }
    Ok(root)
}

fn wanted_supervisor() -> Result<Option<SupervisorKind>> {
    let Some(word) = std::env::var_os("LEFT4ME_SUPERVISOR").filter(|word| !word.is_empty()) else { return Ok(None) };
    [SupervisorKind::Systemd, SupervisorKind::Embedded]
        .into_iter()
        .find(|kind| word == kind.as_str())
        .map(Some)
        .ok_or_else(|| {
            let message = format!("LEFT4ME_SUPERVISOR is {}", word.display());
            Error::new(ErrorKind::Usage, message).hint("it is `systemd` or `embedded`")
        })
}

/// The unit and the helpers know one root directory, the installer's.
fn check_systemd_root(root: &Path, configured: Option<&Path>) -> Result<()> {
    if configured == Some(root) {
        return Ok(());
    }
    let installed = configured.map_or("nothing".to_owned(), |path| path.display().to_string());
    let message = format!("LEFT4ME_ROOT is {}, but the systemd unit was installed for {installed}", root.display());
    Err(Error::new(ErrorKind::WrongSupervisor, message)
        .hint("LEFT4ME_SUPERVISOR=embedded runs servers of another root directory"))
}

/// Opens a root directory of the caller's own. Whose it is, the opened directory says: who owns one above could put another
/// in its place after a look at the path, and have root work there, or run a server of his.
pub(crate) fn open_own(root: &Path) -> Result<Dir> {
    let dir = Dir::open_root(root)?;
    check_owner(root, dir.owner()?.0.as_raw())?;
    Ok(dir)
}

fn check_owner(root: &Path, owner: u32) -> Result<()> {
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let owner = Account::by_uid(owner).map_or_else(|_| owner.to_string(), |account| account.name);
    let message = format!("the root directory {} belongs to {owner}", root.display());
    Err(Error::new(ErrorKind::PermissionDenied, message).hint(format!("sudo -u {owner} l4d2ctl ...")))
}
