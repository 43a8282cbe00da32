//! `cargo xtask install` and `uninstall`: from source, as a distribution's package would do it.
//!
//! Every file appears by a rename, root-owned and writable by root alone. Nothing is enabled or started.

mod items;
mod place;
mod root;
mod share;

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::build::{is_root, programs_for_install, project, succeed};
pub(crate) use items::{Item, items};

/// The service user, whom sysusers.d makes.
const USER: &str = "left4me";

/// Where the Debian package has its files, and one of them.
const PACKAGES: &str = "/usr";
const PACKAGES_UNIT: &str = "/usr/lib/systemd/system/left4me-server@.service";

struct Options {
    prefix: PathBuf,
    root: PathBuf,
    destdir: Option<PathBuf>,
    /// Programs that are built already.
    bin_dir: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options =
            Self { prefix: PathBuf::from("/usr/local"), root: PathBuf::new(), destdir: None, bin_dir: None };
        let mut root = None;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (arg.as_str(), args.next().with_context(|| format!("{arg} needs a value"))?.clone()),
            };
            let value = PathBuf::from(value);
            match name {
                "--prefix" => options.prefix = plain_path(&value)?,
                "--root" => root = Some(plain_path(&value)?),
                "--destdir" => options.destdir = Some(value),
                "--bin-dir" => options.bin_dir = Some(value),
                _ => bail!("unknown argument {arg}; `cargo xtask` lists them"),
            }
        }
        options.root = root.unwrap_or_else(|| root::default(options.destdir.is_none()));
        if options.destdir.is_none() {
            options.root = without_links(&options.root)?;
        }
        root::check_path(&options.root)?;
        Ok(options)
    }

    fn on_host(&self, path: &Path) -> PathBuf {
        match &self.destdir {
            Some(destdir) => destdir.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Whether the package is installed where we install. dpkg's own list tells it from an installation with this prefix.
    fn is_beside_package(&self) -> bool {
        self.destdir.is_none()
            && Path::new(PACKAGES_UNIT).exists()
            && Path::new("/var/lib/dpkg/info/left4me.list").exists()
    }

    /// The root file first: the helpers that it tells where to look come after it.
    fn items(&self) -> Vec<Item> {
        let root_file = Item::text(format!("{}\n", self.root.display()), root::ROOT_FILE);
        [vec![root_file], items::items(&self.prefix)].concat()
    }
}

/// Absolute, of plain components, and of characters that mean nothing in units, sudoers and tmpfiles.
fn plain_path(path: &Path) -> Result<PathBuf> {
    let mut components = path.components();
    let plain = components.next() == Some(Component::RootDir) && components.all(|c| matches!(c, Component::Normal(_)));
    let text = path.to_str().context("the path is not UTF-8")?;
    let harmless = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    ensure!(
        plain && harmless && text.len() > 1,
        "{text:?} is not an absolute path of letters, digits, '.', '_' and '-'"
    );
    Ok(components_of(path))
}

fn components_of(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The root directory is opened without following links, so it is written down as it really is.
fn without_links(path: &Path) -> Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), _, _) => plain_path(&real),
        // Not there yet; a link that leads nowhere is there.
        (Err(_), Some(parent), Some(name)) if fs::symlink_metadata(path).is_err() => {
            Ok(without_links(parent)?.join(name))
        }
        (Err(error), _, _) => Err(error).with_context(|| format!("can't resolve {}", path.display())),
    }
}

pub(crate) fn install(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    ensure!(is_root(), "install as root: `sudo cargo xtask install`");
    let beside_package = options.is_beside_package();
    if options.destdir.is_none() {
        ensure!(
            !(beside_package && options.prefix == Path::new(PACKAGES)),
            "left4me's package is installed in {PACKAGES}: `sudo apt remove left4me` first, or another --prefix"
        );
        root::check_host(&options.root)?;
        options.items().iter().filter_map(|item| item.path.parent()).try_for_each(place::check_roots_alone)?;
    }
    let built = project().join("target/install");
    let bin_dir = match &options.bin_dir {
        Some(dir) => dir.clone(),
        None => {
            println!("building");
            programs_for_install(&built)?;
            built
        }
    };
    for item in options.items() {
        let bytes = item.bytes(&bin_dir, &options.prefix, &options.root)?;
        let path = options.on_host(&item.path);
        let parent = path.parent().context("a file in no directory")?;
        place::make_directory(parent)?;
        place::put(&path, &bytes, item.mode)?;
        println!("installed {}", item.path.display());
    }
    if options.destdir.is_none() {
        tell_the_system()?;
        if beside_package {
            println!("left4me's package is installed, too: `l4d2ctl doctor` says which of the two systemd uses");
        }
        println!("nothing is enabled: `sudo -u left4me l4d2ctl doctor` says what is left to do");
    }
    Ok(())
}

/// Makes the user and the directories, and has the manager read the unit.
fn tell_the_system() -> Result<()> {
    succeed(Command::new("systemd-sysusers").arg("left4me.conf"))?;
    succeed(Command::new("systemd-tmpfiles").args(["--create", "left4me.conf"]))?;
    if Path::new("/run/systemd/system").is_dir() {
        succeed(Command::new("systemctl").arg("daemon-reload"))?;
    }
    Ok(())
}

pub(crate) fn uninstall(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    ensure!(is_root(), "uninstall as root: `sudo cargo xtask uninstall`");
    let booted = options.destdir.is_none() && Path::new("/run/systemd/system").is_dir();
    if booted {
        refuse_while_active()?;
        // Its link would stay where nobody looks. One that is not installed any more is no failure.
        let timer = options.prefix.join("lib/systemd/system/left4me-update.timer");
        if options.on_host(&timer).exists() {
            succeed(Command::new("systemctl").args(["disable", "--now", "--quiet", "left4me-update.timer"]))?;
        }
    }
    let beside_package = options.is_beside_package();
    for item in options.items().iter().rev() {
        // The package counts on it, too.
        if beside_package && item.path == Path::new(root::ROOT_FILE) {
            continue;
        }
        match fs::remove_file(options.on_host(&item.path)) {
            Ok(()) => println!("removed {}", item.path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("can't remove {}", item.path.display())),
        }
    }
    for dir in [options.prefix.join("libexec/left4me"), PathBuf::from("/etc/left4me")] {
        // Somebody else's files in it keep it.
        let _ = fs::remove_dir(options.on_host(&dir));
    }
    if booted {
        succeed(Command::new("systemctl").arg("daemon-reload"))?;
    }
    println!("{} and the user left4me stay", options.root.display());
    Ok(())
}

fn refuse_while_active() -> Result<()> {
    let listed = Command::new("systemctl")
        .args(["list-units", "--plain", "--no-legend", "--state=active,activating,deactivating"])
        .args(["left4me-server@*", "left4me-update.service"])
        .output()
        .context("can't run systemctl")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let units: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(units.is_empty(), "these run: {}; stop them first", units.join(", "));
    Ok(())
}
