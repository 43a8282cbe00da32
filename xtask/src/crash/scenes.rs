//! The commands that are killed, each from which state into which.

use super::forbid::WITHOUT_USER_NAMESPACES;
use super::game::Game;
use super::world::{NAME, SPEC_FILE, State, Supervisor};
use crate::machine::XTASK;

/// What else a command does to the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// It has the new spec.
    Spec,
    /// Its upper is empty.
    Emptied,
    /// It runs on the current build; where it did not come up, that is the one that it came from.
    Moved,
}

/// A command and what it does.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) before: State,
    /// Which builds of the game there are before it.
    pub(super) game: Game,
    pub(super) command: &'static [&'static str],
    pub(super) after: State,
    pub(super) effect: Effect,
    /// The builds that there are afterwards, and the current one.
    pub(super) builds: (&'static [u64], u64),
    /// Run by root itself and not by the service user.
    pub(super) as_root: bool,
    /// What goes on after the command's own end and is looked at, too.
    pub(super) linger: Option<&'static str>,
    /// What it says on stderr where nothing happens to it: that it goes the way that is meant.
    pub(super) says: &'static str,
}

impl Scene {
    /// Whether the command does anything to the instance; its supervisor takes no part in the others.
    pub(super) fn is_of_the_instance(&self) -> bool {
        self.before != self.after || self.effect != Effect::Nothing
    }
}

const OVERLAY: &str = "/usr/local/libexec/left4me/left4me-overlay";

/// The builds, where a command does nothing to them.
const UNCHANGED: &[u64] = &[1, 2];

const fn scene(name: &'static str, before: State, command: &'static [&'static str], after: State) -> Scene {
    let (effect, game, builds) = (Effect::Nothing, Game::Two, (UNCHANGED, 2));
    Scene { name, before, game, command, after, effect, builds, as_root: false, linger: None, says: "" }
}

/// One that changes which builds there are, and the instance not.
const fn of_game(
    name: &'static str,
    (state, game): (State, Game),
    command: &'static [&'static str],
    builds: (&'static [u64], u64),
) -> Scene {
    Scene { game, builds, ..scene(name, state, command, state) }
}

/// An update where user namespaces are forbidden: SteamCMD works on a copy of the game.
const INSTALL_COPY: &[&str] = &[XTASK, WITHOUT_USER_NAMESPACES, "l4d2ctl", "install"];

pub(super) const SCENES: [Scene; 15] = [
    of_game("first-install", (State::Missing, Game::None), &["l4d2ctl", "install"], (&[3], 3)),
    of_game("install", (State::Running, Game::Two), &["l4d2ctl", "install"], (&[1, 2, 3], 3)),
    Scene {
        says: "updating a copy of the whole game",
        ..of_game("install-copy", (State::Running, Game::Two), INSTALL_COPY, (&[1, 2, 3], 3))
    },
    of_game("rollback", (State::Running, Game::Two), &["l4d2ctl", "rollback", "9450001"], (&[1, 2], 1)),
    of_game("prune", (State::Running, Game::Four), &["l4d2ctl", "prune", "--keep", "0"], (&[2, 4], 4)),
    of_game("fold", (State::Stopped, Game::Four), &["l4d2ctl", "prune", "--keep", "0"], (&[4], 4)),
    Scene {
        effect: Effect::Moved,
        ..of_game("rollout", (State::Running, Game::Four), &["l4d2ctl", "rollout", "--soak", "0"], (&[1, 2, 3, 4], 4))
    },
    Scene {
        effect: Effect::Spec,
        ..scene("initialize", State::Missing, &["l4d2ctl", "initialize", NAME, "-f", SPEC_FILE], State::Stopped)
    },
    Scene {
        effect: Effect::Spec,
        ..scene("re-initialize", State::Stopped, &["l4d2ctl", "initialize", NAME, "-f", SPEC_FILE], State::Stopped)
    },
    Scene {
        linger: Some("left4me-launch run"),
        ..scene("start", State::Stopped, &["l4d2ctl", "start", NAME], State::Running)
    },
    scene("stop", State::Running, &["l4d2ctl", "stop", NAME], State::Stopped),
    Scene { effect: Effect::Emptied, ..scene("reset", State::Running, &["l4d2ctl", "reset", NAME], State::Stopped) },
    Scene { effect: Effect::Emptied, ..scene("delete", State::Running, &["l4d2ctl", "delete", NAME], State::Missing) },
    Scene { as_root: true, ..scene("mount", State::Staged, &[OVERLAY, "mount", NAME], State::Mounted) },
    Scene { as_root: true, ..scene("umount", State::Mounted, &[OVERLAY, "umount", NAME], State::Stopped) },
];

impl Scene {
    /// Whether there is such a command under this supervisor; the helper is systemd's alone.
    pub(super) fn is_of(&self, supervisor: Supervisor) -> bool {
        supervisor == Supervisor::Systemd || !self.as_root
    }

    /// Whether it changes which builds there are, or the current one.
    pub(super) fn is_of_game(&self) -> bool {
        self.game != Game::Two || self.builds != (UNCHANGED, 2)
    }

    /// Whether a server runs that is to notice nothing.
    pub(super) fn keeps_running(&self) -> bool {
        self.before == State::Running && self.after == State::Running && self.effect != Effect::Moved
    }
}
