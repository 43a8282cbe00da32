//! The gate that each instance passes after its restart: it answers, as the build that it is to run, on its own port, and goes
//! on doing so without a crash.

use std::time::{Duration, Instant};

use names::{GenerationId, InstanceName, Layer};
use overlay::beneath::Dir;
use overlay::stack::staged_layers;

use crate::listener::Listeners;
use crate::staging::{staged_port, staged_version};
use crate::{ErrorKind, Host, InstanceState, InstanceStatus, Observe, Result};

/// Where the game says which version it is, in any of its layers.
const STEAM_INF: &str = "left4dead2/steam.inf";

const MAX_STEAM_INF: usize = 64 * 1024;

/// An instance that is being watched.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) name: InstanceName,
    /// The version that it is to run.
    pub(super) version: GenerationId,
    /// What its server is to say that it is, where that is known.
    patch: Option<String>,
    /// How long it may take to answer, and for how long it is then watched.
    limit: Duration,
    soak: Duration,
    begin: Instant,
    /// When it has answered first, and last.
    answered: Option<(Instant, Instant)>,
    /// Its process, and since when it runs.
    run: Option<(Option<u32>, Option<u64>)>,
}

/// What is known of it at one moment.
struct Seen<'a> {
    status: &'a InstanceStatus,
    staged: Option<GenerationId>,
    /// Who else than its user listens on its port.
    stranger: Option<u32>,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not yet.
    Waiting,
    /// It has answered, so long after its restart, and is watched from now on.
    Answered(Duration),
    Passed,
    /// Why it does not pass, of which kind that is.
    Failed(ErrorKind, String),
}

impl Gate {
    pub(super) fn new(
        root: &Dir,
        name: InstanceName,
        version: GenerationId,
        (limit, soak): (Duration, Duration),
    ) -> Self {
        let patch = patch_version(root, &name);
        Self { name, version, patch, limit, soak, begin: Instant::now(), answered: None, run: None }
    }

    fn judge(&mut self, seen: &Seen<'_>, now: Instant) -> Verdict {
        let Seen { status, staged, stranger } = seen;
        let crashed = |how: &str| Verdict::Failed(ErrorKind::StartFailed, how.to_owned());
        match status.state {
            InstanceState::Running | InstanceState::Starting | InstanceState::Unknown => {}
            InstanceState::CrashLooping => return crashed("it crashed"),
            InstanceState::Failed => return crashed("it failed"),
            InstanceState::Stopped | InstanceState::Stopping => return crashed("it was stopped"),
        }
        if status.restarts.is_some_and(|restarts| restarts > 0) {
            return crashed("it crashed and was started again");
        }
        if status.state == InstanceState::Running && status.main_pid.is_some() {
            let run = (status.main_pid, status.since);
            if *self.run.get_or_insert(run) != run {
                return crashed("it did not stay up: another process runs it now");
            }
        }
        let wrong = |how: String| Verdict::Failed(ErrorKind::RolloutFailed, how);
        if staged.as_ref() != Some(&self.version) {
            let other = staged.as_ref().map_or("an unknown build", GenerationId::as_str);
            return wrong(format!("it was started on {other}"));
        }
        if let Some(problem) = status.problems.iter().find(|problem| problem.kind == "port-taken") {
            return wrong(problem.message.clone());
        }
        if let Some(user) = stranger {
            return wrong(format!("a program of user {user} listens on its port"));
        }
        let Some(live) = status.live.as_ref().filter(|live| live.answering) else {
            let unanswered = status.live.as_ref().and_then(|live| live.unanswered.as_deref());
            return self.unanswered(unanswered, now);
        };
        if let (Some(patch), Some(version)) = (&self.patch, &live.version)
            && patch != version
        {
            return wrong(format!("it says that it is version {version}, and its files are of {patch}"));
        }
        let first = self.answered.is_none();
        let (since, last) = self.answered.get_or_insert((now, now));
        *last = now;
        match () {
            () if now.duration_since(*since) >= self.soak => Verdict::Passed,
            () if first => Verdict::Answered(now.duration_since(self.begin)),
            () => Verdict::Waiting,
        }
    }

    /// At the change of a map nobody answers for a while, either.
    fn unanswered(&self, why: Option<&str>, now: Instant) -> Verdict {
        let since = self.answered.map_or(self.begin, |(_, last)| last);
        if now.duration_since(since) < self.limit {
            return Verdict::Waiting;
        }
        let (limit, why) = (self.limit.as_secs(), why.map_or_else(String::new, |why| format!(": {why}")));
        let what = match self.answered {
            Some(_) => format!("it has not answered any more for {limit} s{why}"),
            None => format!("it did not answer within {limit} s{why}"),
        };
        Verdict::Failed(ErrorKind::Timeout, what)
    }
}

impl Host {
    /// Looks at all of them at once; what came of it, in the same order.
    pub(super) fn look_at(&self, root: &Dir, gates: &mut [Gate]) -> Result<Vec<Verdict>> {
        let names: Vec<InstanceName> = gates.iter().map(|gate| gate.name.clone()).collect();
        let mut statuses = self.named_statuses(&names)?;
        let options = Observe { consoles: false, ..Observe::default() };
        self.observe(&mut statuses, options)?;
        let listeners = Listeners::read()?;
        let now = Instant::now();
        let look = |(gate, status): (&mut Gate, &InstanceStatus)| {
            let stranger = staged_port(root, &gate.name).and_then(|port| listeners.stranger(port));
            let staged = staged_version(root, &gate.name).map(|(id, _)| id);
            gate.judge(&Seen { status, staged, stranger }, now)
        };
        Ok(gates.iter_mut().zip(&statuses).map(look).collect())
    }
}

/// The version that an instance's game is by its files: the top-most layer of what is staged that says so.
fn patch_version(root: &Dir, name: &InstanceName) -> Option<String> {
    let layers = staged_layers(root, name).ok()?;
    let upper = format!("runtime/{name}/upper");
    let trees = std::iter::once(upper).chain(layers.iter().map(Layer::relative_path));
    // Whatever else than "not there" it is, the game finds it, and we can't tell what it says.
    let read = |tree: String| match root.read(format!("{tree}/{STEAM_INF}"), MAX_STEAM_INF) {
        Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => None,
        read => Some(read.ok()),
    };
    let bytes = trees.into_iter().find_map(read)??;
    let text = String::from_utf8_lossy(&bytes);
    let value = text.lines().find_map(|line| line.trim().strip_prefix("PatchVersion="))?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}
