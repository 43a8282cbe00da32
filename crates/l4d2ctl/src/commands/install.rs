//! `l4d2ctl install`.

use std::io::IsTerminal;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use l4d2host::{Checked, Host, InstallRequest, Installed, InstanceState, InstanceStatus, Progress};
use serde_json::json;

use super::open_host;
use crate::problem::Problem;
use crate::text::harmless;
use crate::ui::{Ui, can_draw, write_stdout};

/// Install the game with SteamCMD, or bring it up to date
///
/// SteamCMD is LEFT4ME_STEAMCMD, or `steamcmd` on PATH. What passes by itself
/// is tried again; whatever else is wrong ends with what to do.
///
/// Servers that run go on unchanged, on the build that they were started on: an
/// update is a layer of its own, and used by what is started after it.
///
/// With --check nothing is installed: Steam is asked whether it has another
/// build. Exit code 0: no, 10: yes, any other: that could not be told.
/// With --if-newer it is installed then, and otherwise nothing is done.
///
/// Example: l4d2ctl install
///          l4d2ctl install --steam-user spare_account
///          l4d2ctl install --check
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A Steam account that owns Left 4 Dead 2; SteamCMD asks for its password, and remembers it. Otherwise anonymous
    #[arg(long, value_name = "NAME")]
    steam_user: Option<String>,
    /// Only ask Steam whether there is another build than the one installed last
    #[arg(long)]
    check: bool,
    /// Ask that first, and install nothing where there is none
    #[arg(long, conflicts_with = "check")]
    if_newer: bool,
}

/// There is another build.
const UPDATE: u8 = 10;

pub(crate) fn run(ui: &Ui, Args { steam_user, check, if_newer }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    // For a program, or with nothing to type into, a question is an error that says how to log in.
    let ask = !ui.is_json() && std::io::stdin().is_terminal();
    let request = InstallRequest { user: steam_user, ask, ..InstallRequest::default() };
    let mut reporter = Reporter::new(*ui);
    if check || if_newer {
        let checked = host.check_for_update(&request, &mut |progress| reporter.report(progress));
        let done = check || !checked.as_ref().is_ok_and(Checked::is_update);
        if done {
            reporter.finish();
            return tell(ui, &checked?);
        }
    }
    let installed = host.install(&request, &mut |progress| reporter.report(progress));
    reporter.finish();
    let installed = installed?;
    let Installed { version, size_on_disk, own_size, changed } = &installed;
    let event = json!({
        "event": "installed",
        "version": version.id.as_str(),
        "build_id": version.build_id,
        "size_on_disk": size_on_disk,
        "own_size": own_size,
        "changed": changed,
    });
    ui.data(&event, || match changed {
        true => {
            let (whole, own) = (size(*size_on_disk), size(*own_size));
            format!("installed build {} ({whole}, of which {own} are new)\n", version.id.as_str())
        }
        false => format!("build {} is the newest already\n", version.id.as_str()),
    })?;
    if *changed {
        tell_who_waits(ui, &host)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How many instances run on another build than the current one, and what moves them.
pub(crate) fn tell_who_waits(ui: &Ui, host: &Host) -> Result<(), Problem> {
    let waits = |status: &&InstanceStatus| status.pending_build_id.is_some() && status.state != InstanceState::Stopped;
    match host.all_statuses()?.iter().filter(waits).count() {
        0 => {}
        1 => ui.note("1 instance runs on another build: `l4d2ctl rollout` restarts it"),
        count => ui.note(&format!("{count} instances run on another build: `l4d2ctl rollout` restarts them")),
    }
    Ok(())
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", gib(bytes)),
    }
}

fn tell(ui: &Ui, checked: &Checked) -> Result<ExitCode, Problem> {
    let Checked { installed, newest, newest_since, .. } = checked;
    let is_update = checked.is_update();
    let event = json!({
        "event": "checked",
        "update": is_update,
        "installed": installed,
        "newest": newest,
        "newest_since": newest_since,
    });
    let told = ui.data(&event, || match installed {
        Some(installed) if is_update => format!("build {newest} is there, {installed} is installed\n"),
        Some(_) => format!("build {newest} is installed, and Steam has no other\n"),
        None => format!("build {newest} is there, no whole game is installed\n"),
    });
    match told {
        // Whoever does not want to read the answer still gets it as the exit code.
        Ok(()) | Err(Problem::ClosedPipe) => {}
        Err(problem) => return Err(problem),
    }
    Ok(if is_update { ExitCode::from(UPDATE) } else { ExitCode::SUCCESS })
}

// A number for people: what a double can't hold of it, nobody reads.
#[allow(clippy::cast_precision_loss)]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// Progress, as whoever watches wants it: a bar on a terminal, `Step:` lines otherwise, JSON for programs.
pub(crate) struct Reporter {
    ui: Ui,
    bar: Option<ProgressBar>,
    /// Lines are for those who see no bar; who is quiet has none.
    quiet: bool,
    /// The last line printed, so that percents and phases do not flood a log.
    last: String,
}

impl Reporter {
    pub(crate) fn new(ui: Ui) -> Self {
        let wanted = !ui.is_json() && can_draw(&std::io::stderr());
        Self { ui, bar: wanted.then(bar), quiet: false, last: String::new() }
    }

    /// One that shows a bar, and otherwise nothing.
    pub(crate) fn quiet(ui: Ui) -> Self {
        Self { quiet: true, ..Self::new(ui) }
    }

    pub(crate) fn report(&mut self, progress: &Progress) {
        if self.quiet && self.bar.is_none() {
            return;
        }
        if self.ui.is_json() {
            // A reader that has gone is noticed at the end: an install is not given up half way for it.
            let _ = Ui::json_line(progress).and_then(|line| write_stdout(&line));
            return;
        }
        match (progress, &self.bar) {
            (Progress::Step { step }, Some(bar)) => print_above(bar, &format!("Step: {step}")),
            (Progress::Step { step }, None) => self.ui.note(&format!("Step: {step}")),
            (Progress::Warning { warning }, Some(bar)) => print_above(bar, &format!("warning: {warning}")),
            (Progress::Warning { warning }, None) => self.ui.note(&format!("warning: {warning}")),
            (Progress::Update { pass, phase, done, total }, Some(bar)) => {
                let line = format!("{pass}: {phase}");
                if line != self.last {
                    // Each phase has a speed of its own.
                    bar.reset();
                    bar.set_message(harmless(line.as_bytes(), false));
                    self.last = line;
                }
                if bar.length() != Some(*total) {
                    bar.set_style(style(*total));
                }
                // At once, or a picture is drawn of the new length with the old position.
                bar.update(|state| {
                    state.set_pos(*done);
                    state.set_len(*total);
                });
            }
            (Progress::Update { pass, phase, .. }, None) => {
                let line = format!("Step: {pass}: {phase}");
                if line != self.last {
                    self.ui.note(&line);
                    self.last = line;
                }
            }
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn print_above(bar: &ProgressBar, text: &str) {
    bar.println(harmless(text.as_bytes(), true));
}

fn bar() -> ProgressBar {
    ProgressBar::new(0).with_style(style(0))
}

/// What is drawn for a total: nothing but the words as long as there is none, which would count as reached.
fn style(total: u64) -> ProgressStyle {
    let known = "{msg:30} {wide_bar} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}";
    let template = if total == 0 { "{msg}" } else { known };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
