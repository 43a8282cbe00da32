//! The console without a terminal: lines in, replies out.

use std::io::BufRead;
use std::process::ExitCode;

use l4d2host::{Error, ErrorKind};
use serde_json::json;

use super::Server;
use crate::problem::Problem;
use crate::ui::{Ui, write_game_output, write_stdout};

/// Runs every line of stdin. A line that can't be one command is told and passed over; any other failure ends it, as the
/// next lines may count on this one.
pub(super) fn run(ui: &Ui, server: &mut Server) -> Result<ExitCode, Problem> {
    let mut failed = false;
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line.map_err(|error| Error::io("can't read standard input", error))?;
        let result = match std::str::from_utf8(&line) {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => server.run(line.trim_end_matches('\r')),
            Err(_) => Err(Problem::new(ErrorKind::Usage, "a line of standard input is not UTF-8")),
        };
        let line = String::from_utf8_lossy(&line);
        match result {
            Ok(reply) if ui.is_json() => {
                let reply = String::from_utf8_lossy(&reply);
                write_stdout(&Ui::json_line(&json!({ "command": line, "reply": reply }))?)?;
            }
            Ok(reply) => write_game_output(&reply)?,
            Err(Problem::Error(error)) if error.kind() == ErrorKind::Usage => {
                failed = true;
                ui.complain(&error.into());
            }
            Err(problem) => return Err(problem),
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
