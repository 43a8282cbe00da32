//! `l4d2ctl metrics`.

mod collect;
mod file;
mod metric;
mod request;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::open_host;
use crate::completion;
use crate::problem::Problem;
use crate::ui::Ui;
use collect::{Disk, collect};
use metric::Format;

/// Print metrics of all instances for Prometheus, once or over HTTP
///
/// Without --output and --listen they are printed, in the OpenMetrics format.
///
/// --output is for node_exporter's textfile collector: the file appears whole,
/// in Prometheus' own text format, which is the one that collector reads.
/// l4d2ctl must be able to write to its directory as the service user.
///
/// --listen serves GET /metrics, in the format that the client asks for, until
/// Ctrl-C or SIGTERM. Whoever can connect may read: no password is asked.
///
/// What can't be known has no metric, and is not 0.
///
/// Example: l4d2ctl metrics
///          l4d2ctl metrics --output /run/left4me-metrics/left4me.prom
///          l4d2ctl metrics --listen 127.0.0.1:9550
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Write this file, whole or not at all
    #[arg(short, long, value_name = "FILE", conflicts_with = "listen", add = completion::files())]
    output: Option<PathBuf>,
    /// Serve the metrics over HTTP; a port of 0 is a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The text format; otherwise openmetrics, and prometheus in a file
    #[arg(long, value_enum, conflicts_with = "listen")]
    format: Option<Format>,
    /// Leave out disk space, for which every file is looked at
    #[arg(long)]
    no_disk: bool,
    /// Leave out what the servers themselves are asked for; each logs that its console was asked
    #[arg(long)]
    no_query: bool,
}

pub(crate) fn run(ui: &Ui, Args { output, listen, format, no_disk, no_query }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    if let Some(address) = listen {
        serve::serve(*ui, &address, !no_disk, |disk| collect(*ui, &host, disk, !no_query))?;
        return Ok(ExitCode::SUCCESS);
    }
    let disk = if no_disk { Disk::default() } else { Disk::measure(&host)? };
    let metrics = collect(*ui, &host, &disk, !no_query)?;
    let text = |otherwise: Format| metrics.text(format.unwrap_or(otherwise));
    match output {
        Some(path) => {
            file::write(&path, text(Format::Prometheus).as_bytes())?;
            ui.data(&json!({ "written": path.to_string_lossy() }), String::new)?;
        }
        None => ui.data(&metrics, || text(Format::OpenMetrics))?,
    }
    Ok(ExitCode::SUCCESS)
}
