//! `l4d2ctl install`.

use std::io::IsTerminal;
use std::process::ExitCode;

use l4d2host::{Checked, Host, InstallRequest, Installed, InstanceState, InstanceStatus, Progress};
use serde_json::json;

use super::open_host;
use crate::figures::size;
use crate::problem::Problem;
use crate::progress::Line;
use crate::ui::{Ui, write_stdout};

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
    /// Only ask Steam whether it has another build than the installed one
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

/// Progress, as whoever watches wants it: a bar on a terminal, `Step:` lines otherwise, JSON for programs.
pub(crate) struct Reporter {
    ui: Ui,
    line: Line,
    /// Lines are for those who see no bar; who is quiet has none.
    quiet: bool,
    /// The last phase told, so that percents and phases do not flood a log.
    last: String,
}

impl Reporter {
    pub(crate) fn new(ui: Ui) -> Self {
        Self { ui, line: Line::new(ui), quiet: false, last: String::new() }
    }

    /// One that shows a bar, and otherwise nothing.
    pub(crate) fn quiet(ui: Ui) -> Self {
        Self { quiet: true, ..Self::new(ui) }
    }

    pub(crate) fn report(&mut self, progress: &Progress) {
        if self.quiet && !self.line.is_drawn() {
            return;
        }
        if self.ui.is_json() {
            // A reader that has gone is noticed at the end: an install is not given up half way for it.
            let _ = Ui::json_line(progress).and_then(|line| write_stdout(&line));
            return;
        }
        match progress {
            Progress::Step { step } => self.tell(&format!("Step: {step}")),
            Progress::Warning { warning } => self.tell(&format!("warning: {warning}")),
            Progress::Update { pass, phase, done, total } => {
                let words = format!("{pass}: {phase}");
                if words != self.last {
                    self.line.begin(&words, *done);
                    if !self.line.is_drawn() {
                        self.ui.note(&format!("Step: {words}"));
                    }
                    self.last = words;
                }
                self.line.move_to(*done, *total);
            }
        }
    }

    /// A line that stays.
    fn tell(&self, text: &str) {
        if !self.line.print_above(text) {
            self.ui.note(text);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        drop(self.line);
    }
}
