//! `l4d2ctl verify`.

use std::process::ExitCode;

use l4d2host::{Damage, Difference};

use super::install::Reporter;
use super::open_host;
use crate::figures::size;
use crate::problem::Problem;
use crate::text::harmless;
use crate::ui::Ui;

/// Compare every file of the game with what was installed
///
/// Reads every layer of every build, as fast as the disk and all processors
/// allow, and compares it with the record of that time. What differs is said
/// with the layer it lies in, and the exit code is 1. `l4d2ctl install` has
/// SteamCMD bring what is damaged anew.
///
/// Example: l4d2ctl verify
///          l4d2ctl verify --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

pub(crate) fn run(ui: &Ui, Args {}: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let mut reporter = Reporter::quiet(*ui);
    let verified = host.verify(&mut |progress| reporter.report(progress));
    reporter.finish();
    let verified = verified?;
    ui.data(&verified, || {
        let damage: String = verified.damage.iter().map(|damage| format!("{}\n", words(damage))).collect();
        let (layers, entries) = (verified.layers, verified.entries);
        let looked = format!("{layers} layers, {entries} names, {}", size(verified.bytes));
        match verified.damage.len() {
            0 => format!("everything is as it was installed ({looked})\n"),
            1 => format!("{damage}1 thing is not as it was installed ({looked})\n"),
            count => format!("{damage}{count} things are not as they were installed ({looked})\n"),
        }
    })?;
    if verified.damage.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    ui.note(match verified.damage.iter().all(|damage| damage.covered) {
        true => {
            "hint: the current build has all of that anew, in a layer above: nothing is left to repair. It is said until \
             `l4d2ctl prune` folds that layer in, which it can when no build before is kept or run on (`--keep 0`)"
        }
        false => "hint: `l4d2ctl install` has SteamCMD bring what is damaged anew; `l4d2ctl rollback` leaves a build",
    });
    Ok(ExitCode::FAILURE)
}

fn words(damage: &Damage) -> String {
    let what = match damage.difference {
        Difference::Missing => "is missing",
        Difference::Added => "was not there",
        Difference::Content => "has other content",
        Difference::Mode => "has another mode",
        Difference::Kind => "is of another kind",
        Difference::Unreadable => "can't be read",
        Difference::NotRecorded => "has no record of its install that can be read",
    };
    let name = if damage.path.is_empty() { damage.layer.clone() } else { format!("{}: {}", damage.layer, damage.path) };
    let covered = if damage.covered { "; the current build has it anew, from a layer above" } else { "" };
    harmless(format!("{name} {what}{covered}").as_bytes(), false)
}
