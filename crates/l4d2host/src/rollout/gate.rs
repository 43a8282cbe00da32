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
            // One that crashed is stopping first; how it ended shows when that is over.
            InstanceState::Stopping => return self.unanswered(None, now),
            InstanceState::CrashLooping => return crashed("it crashed"),
            InstanceState::Failed => return crashed("it failed"),
            InstanceState::Stopped => return crashed("it was stopped"),
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
            let staged = staged_version(root, &gate.name)?.map(|(id, _)| id);
            Ok(gate.judge(&Seen { status, staged, stranger }, now))
        };
        gates.iter_mut().zip(&statuses).map(look).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Live;
    use crate::problems::StatusProblem;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate() -> Gate {
        Gate {
            name: "friday".parse().unwrap(),
            version: "2".parse().unwrap(),
            patch: Some("2.2.4.4".to_owned()),
            limit: 10 * SECOND,
            soak: 5 * SECOND,
            begin: Instant::now(),
            answered: None,
            run: None,
        }
    }

    fn status(state: InstanceState) -> InstanceStatus {
        InstanceStatus {
            enabled: true,
            since: Some(100),
            main_pid: Some(7),
            restarts: Some(0),
            live: Some(Live { answering: true, version: Some("2.2.4.4".to_owned()), ..Live::default() }),
            ..InstanceStatus::example(state)
        }
    }

    /// What comes of looks at these seconds after the restart.
    fn judge(looks: &[(u32, &InstanceStatus)]) -> Verdict {
        let mut gate = gate();
        let begin = gate.begin;
        let staged = || "2".parse().ok();
        let verdicts: Vec<Verdict> = looks
            .iter()
            .map(|(after, status)| {
                gate.judge(&Seen { status, staged: staged(), stranger: None }, begin + *after * SECOND)
            })
            .collect();
        verdicts.into_iter().last().unwrap()
    }

    fn why(verdict: Verdict) -> String {
        match verdict {
            Verdict::Failed(_, why) => why,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn it_passes_when_it_has_answered_for_long_enough() {
        let up = status(InstanceState::Running);
        let silent = InstanceStatus { live: None, ..up.clone() };
        assert_eq!(judge(&[(9, &silent)]), Verdict::Waiting);
        assert_eq!(judge(&[(9, &silent), (12, &up)]), Verdict::Answered(12 * SECOND));
        assert_eq!(judge(&[(2, &up), (6, &up)]), Verdict::Waiting);
        assert_eq!(judge(&[(2, &up), (7, &up)]), Verdict::Passed);
        // It may be silent while it changes its map, and not for good.
        assert_eq!(judge(&[(2, &up), (7, &silent)]), Verdict::Waiting);
        assert_eq!(judge(&[(2, &up), (7, &silent), (8, &up)]), Verdict::Passed);
        assert_eq!(why(judge(&[(2, &up), (12, &silent)])), "it has not answered any more for 10 s");
        assert_eq!(why(judge(&[(10, &silent)])), "it did not answer within 10 s");
    }

    #[test]
    fn each_way_not_to_pass() {
        let up = status(InstanceState::Running);
        for (state, words) in [
            (InstanceState::CrashLooping, "it crashed"),
            (InstanceState::Failed, "it failed"),
            (InstanceState::Stopped, "it was stopped"),
        ] {
            assert_eq!(why(judge(&[(1, &status(state))])), words);
        }
        assert_eq!(judge(&[(1, &up), (2, &status(InstanceState::Stopping))]), Verdict::Waiting);
        let other_run = InstanceStatus { main_pid: Some(8), ..up.clone() };
        assert!(why(judge(&[(1, &up), (2, &other_run)])).contains("another process"));
        let later = InstanceStatus { since: Some(101), ..up.clone() };
        assert!(why(judge(&[(1, &up), (2, &later)])).contains("another process"));
        let again = InstanceStatus { restarts: Some(1), ..up.clone() };
        assert!(why(judge(&[(1, &again)])).contains("started again"));
        let problem = StatusProblem { kind: "port-taken", message: "port taken".to_owned(), hint: String::new() };
        let elsewhere = InstanceStatus { problems: vec![problem], ..up.clone() };
        assert_eq!(why(judge(&[(1, &elsewhere)])), "port taken");
        let live = Some(Live { answering: true, version: Some("2.2.4.3".to_owned()), ..Live::default() });
        assert!(why(judge(&[(1, &InstanceStatus { live, ..up.clone() })])).contains("version 2.2.4.3"));
        let begin = Instant::now();
        let look = |staged: &str, stranger| {
            why(gate().judge(&Seen { status: &up, staged: staged.parse().ok(), stranger }, begin))
        };
        assert_eq!(look("1", None), "it was started on 1");
        assert_eq!(look("2", Some(1000)), "a program of user 1000 listens on its port");
        let mut unknown = Gate { patch: None, ..gate() };
        let seen = Seen { status: &up, staged: "2".parse().ok(), stranger: None };
        assert!(matches!(unknown.judge(&seen, unknown.begin), Verdict::Answered(_)));
    }
}
