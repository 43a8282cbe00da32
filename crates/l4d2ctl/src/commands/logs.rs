//! `l4d2ctl logs`.

use std::borrow::Cow;
use std::io::{BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use l4d2host::{LogEntry, LogOptions};
use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name};
use crate::completion;
use crate::problem::Problem;
use crate::text;
use crate::ui::Ui;

/// Show an instance's log: the last lines, then what comes
///
/// On a terminal, control characters in what the game prints are shown as
/// escapes; into a pipe everything goes as it came. Ctrl-C ends it, and so does
/// a reader that goes.
///
/// With --json each line is one object: time (microseconds since 1970),
/// priority (syslog's, 0 to 7), cursor (for --after-cursor), message, and
/// lossy: the message was not UTF-8, and U+FFFD stands for what was not.
///
/// Example: l4d2ctl logs friday --lines 20 --no-follow
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    /// Begin with so many of the last lines
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    lines: u32,
    /// Go on with what is logged from now on (the default)
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,
    /// End after the lines that are there
    #[arg(long, overrides_with = "follow")]
    no_follow: bool,
    /// Begin after the entry with this cursor
    #[arg(long, value_name = "CURSOR")]
    after_cursor: Option<String>,
}

pub(crate) fn run(
    ui: &Ui,
    Args { name, lines, follow: _, no_follow, after_cursor }: Args,
) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let options = LogOptions { lines, follow: !no_follow, after_cursor, details: ui.is_json() };
    let entries = host.stream_instance_logs(&name, &options)?;
    let stdout = std::io::stdout();
    let terminal = stdout.is_terminal();
    if options.follow {
        std::thread::spawn(end_with_the_reader);
    }
    // A follower is to see each line when it comes; whoever reads to the end does not mind blocks. (A thread that flushes
    // for the follower was tried: handing over costs what the calls do.)
    let mut out = BufWriter::with_capacity(64 * 1024, stdout.lock());
    for entry in entries {
        let entry = entry?;
        if ui.is_json() {
            out.write_all(Ui::json_line(&object(&entry))?.as_bytes()).map_err(Problem::output)?;
        } else if terminal {
            writeln!(out, "{}", text::harmless(&entry.message, false)).map_err(Problem::output)?;
        } else {
            out.write_all(&entry.message).and_then(|()| out.write_all(b"\n")).map_err(Problem::output)?;
        }
        if options.follow {
            out.flush().map_err(Problem::output)?;
        }
    }
    out.flush().map_err(Problem::output)?;
    Ok(ExitCode::SUCCESS)
}

/// Ends the program when nobody reads its output any more. A follower waits for the next line and would notice only when
/// it writes that, which for a quiet server is never.
fn end_with_the_reader() {
    let stdout = rustix::stdio::stdout();
    // No events are asked for: hang-up and error are always told.
    while let Ok(0) | Err(rustix::io::Errno::INTR) =
        rustix::event::poll(&mut [rustix::event::PollFd::new(&stdout, rustix::event::PollFlags::empty())], None)
    {}
    std::process::exit(0);
}

fn object(entry: &LogEntry) -> serde_json::Value {
    let micros = entry.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|time| time.as_micros());
    let message = String::from_utf8_lossy(&entry.message);
    // Owned only where something had to be replaced.
    let lossy = matches!(message, Cow::Owned(_));
    json!({
        "time": micros.and_then(|micros| u64::try_from(micros).ok()),
        "priority": entry.priority,
        "cursor": entry.cursor,
        "message": message,
        "lossy": lossy,
    })
}
