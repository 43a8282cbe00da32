//! `l4d2ctl initialize`.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use l4d2host::{Error, Revision, SpecSource};
use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name, parse_revision};
use crate::completion;
use crate::problem::Problem;
use crate::ui::Ui;

/// A larger spec than the library takes need not be read to its end.
const MAX_SIZE: u64 = 1024 * 1024;

/// Create an instance from its spec, or re-write it
///
/// The spec is YAML: a port, overlays (the first has the highest precedence),
/// arguments of the game, and lines of its server.cfg. It is checked whole
/// before anything is written; then all files of the instance appear at once or
/// not at all. An instance that runs goes on as it was staged: the next `start`
/// uses the new spec. `man left4me-spec` has every key with its rules.
///
///     port: 27015                 # required, 1024 to 65535
///     overlays:
///       - users/42/custom
///       - path: competitive/base  # its server.cfg is staged as server_base.cfg
///         alias: base
///     arguments: ["+map", "c1m1_hotel"]
///     config:
///       - hostname "Friday night"
///
/// Example: l4d2ctl initialize friday -f friday.yaml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance: a-z, 0-9, '_' and '-'
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    /// The spec; - is standard input
    #[arg(short, long, value_name = "SPEC.yaml", add = completion::files())]
    file: PathBuf,
    /// Change the instance only if it is at this revision
    #[arg(long, value_name = "REVISION", value_parser = parse_revision)]
    if_revision: Option<Revision>,
}

pub(crate) fn run(ui: &Ui, Args { name, file, if_revision }: Args) -> Result<ExitCode, Problem> {
    // Read as whoever calls, before becoming the service user, who may not see the caller's files.
    let source = read(&file)?;
    let host = open_host(ui)?;
    let done = host.initialize(&name, &source, if_revision.as_ref())?;
    let verb = if done.created { "created" } else { "re-written" };
    let then = if done.running { "; it runs on as it was staged, and the next start uses the new spec" } else { "" };
    ui.data(&json!({ "name": name.as_str(), "initialized": done }), || {
        format!("instance {name} {verb}, revision {}{then}\n", done.revision.as_str())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &PathBuf) -> Result<SpecSource, Problem> {
    let stdin = file.as_os_str() == "-";
    let file_name = if stdin { "<stdin>".to_owned() } else { file.display().to_string() };
    let failed = |e| Error::io(format!("can't read the spec {file_name}"), e);
    let reader: Box<dyn Read> =
        if stdin { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(file).map_err(failed)?) };
    let mut bytes = Vec::new();
    reader.take(MAX_SIZE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(SpecSource { file_name, bytes })
}
