//! What a cycle does: a few commands and crashes, drawn at random, on one instance.

/// Numbers that a seed decides (Knuth's linear congruential generator): a run that failed can be run again.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of `0..end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// One step of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Initialize,
    Start,
    Stop,
    Reset,
    Delete,
    /// The game is killed: the supervisor starts it again 5 s later, unless the next step comes first.
    Crash,
    /// The embedded supervisor is killed.
    CrashSupervisor,
}

/// An instance, as far as it decides which steps make sense.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Instance {
    exists: bool,
    started: bool,
}

/// What the spec of a made instance may hold: nothing, what ends it by itself later, and what takes its time.
const CONFIGS: [&str; 6] =
    ["hostname \"plain\"", "log on", "sim_crash_after 2", "sim_exit_after 3", "sim_flood 200", "sim_fork 2"];

impl Instance {
    /// Draws a series of two to four steps.
    pub(super) fn series(&mut self, random: &mut Random, embedded: bool) -> Vec<Step> {
        (0..2 + random.below(3)).map(|_| self.step(random, embedded)).collect()
    }

    fn step(&mut self, random: &mut Random, embedded: bool) -> Step {
        use Step::{Crash, CrashSupervisor, Delete, Initialize, Reset, Start, Stop};
        let step = match (self.exists, self.started) {
            (false, _) => Initialize,
            (true, false) => random.one_of(&[Start, Start, Start, Start, Initialize, Reset, Delete]),
            (true, true) if embedded => {
                random.one_of(&[Stop, Reset, Delete, Crash, Crash, CrashSupervisor, Initialize, Start])
            }
            (true, true) => random.one_of(&[Stop, Stop, Reset, Delete, Crash, Crash, Initialize, Start]),
        };
        match step {
            Initialize => self.exists = true,
            Start => self.started = true,
            Stop | Reset | CrashSupervisor => self.started = false,
            Delete => *self = Self::default(),
            Crash => {}
        }
        step
    }
}

/// The shell lines of a step; each is said first, so that a failure shows where it was. What was killed is said, too.
pub(super) fn script(step: Step, name: &str, port: u16, random: &mut Random, embedded: bool) -> String {
    let state = format!("/var/lib/left4me/runtime/{name}/supervisor.json");
    let number = |key: &str| format!("$(sed -n 's/.*\"{key}\":\\([0-9][0-9]*\\).*/\\1/p' {state} 2>/dev/null)");
    let main =
        if embedded { number("main_pid") } else { format!("$(systemctl show -P MainPID left4me-server@{name})") };
    // A number in a file may be an old one.
    let kill = |pid: &str, comm: &str| {
        format!("pid={pid}; if grep -qsx {comm} /proc/${{pid:-0}}/comm && kill -9 $pid; then echo killed {comm}; fi\n")
    };
    match step {
        Step::Initialize => spec(name, port, random.one_of(&CONFIGS)),
        Step::Start => format!("l start {name}\n"),
        Step::Stop => format!("l stop {name}\n"),
        Step::Reset => format!("l reset {name}\n"),
        Step::Delete => format!("l delete {name}\n"),
        Step::Crash => kill(&main, "srcds_linux"),
        Step::CrashSupervisor => kill(&number("pid"), "l4d2ctl"),
    }
}

pub(super) fn spec(name: &str, port: u16, config: &str) -> String {
    format!("l initialize {name} -f - <<'SPEC'\nport: {port}\noverlays: [soak]\nconfig:\n  - {config}\nSPEC\n")
}

/// What every script begins with: `l` is l4d2ctl (run as root, it becomes the service user), which must succeed.
pub(super) fn prelude(embedded: bool) -> String {
    let supervisor = if embedded { "embedded" } else { "systemd" };
    format!(
        "export LEFT4ME_SUPERVISOR={supervisor}\n\
         l() {{ echo \"$1\"; l4d2ctl \"$@\" 2>&1 >/dev/null || {{ echo \"l4d2ctl $*: exit code $?\"; exit 1; }}; }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_and_every_step_comes() {
        let draw = |seed, embedded| -> Vec<Step> {
            let (mut random, mut instance) = (Random::new(seed), Instance::default());
            (0..100).flat_map(|_| instance.series(&mut random, embedded)).collect()
        };
        assert_eq!(draw(7, false), draw(7, false));
        assert_ne!(draw(7, false), draw(8, false));
        let steps = draw(7, true);
        assert_eq!(steps[0], Step::Initialize);
        for step in [Step::Start, Step::Stop, Step::Reset, Step::Delete, Step::Crash, Step::CrashSupervisor] {
            assert!(steps.contains(&step), "{step:?}");
        }
        assert!(!draw(7, false).contains(&Step::CrashSupervisor));
    }
}
