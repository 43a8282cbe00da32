//! The commands that are killed, each from which state into which.

use super::world::{NAME, SPEC_FILE, State, Supervisor};

/// What else a command does to the instance, or to the game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// It has the new spec.
    Spec,
    /// Its upper is empty.
    Emptied,
    /// The game is of the new build.
    Build,
}

/// A command and what it does.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) before: State,
    pub(super) command: &'static [&'static str],
    pub(super) after: State,
    pub(super) effect: Effect,
    /// Run by root itself and not by the service user.
    pub(super) as_root: bool,
    /// What goes on after the command's own end and is looked at, too.
    pub(super) linger: Option<&'static str>,
}

const OVERLAY: &str = "/usr/local/libexec/left4me/left4me-overlay";

const fn scene(name: &'static str, before: State, command: &'static [&'static str], after: State) -> Scene {
    Scene { name, before, command, after, effect: Effect::Nothing, as_root: false, linger: None }
}

pub(super) const SCENES: [Scene; 9] = [
    Scene { effect: Effect::Build, ..scene("install", State::Stopped, &["l4d2ctl", "install"], State::Stopped) },
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
}
