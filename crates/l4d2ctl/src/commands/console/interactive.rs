//! The console at a terminal: the log above, a line to type below.

use std::io::Write;
use std::path::PathBuf;

use l4d2host::{Error, ErrorKind, LogEntry, LogOptions};
use names::InstanceName;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor, ExternalPrinter};
use srcds_query::console::command_names;

use super::complete::Names;
use super::terminal::Kept;
use super::{Server, history};
use crate::commands::open_host;
use crate::problem::Problem;
use crate::text::harmless;
use crate::ui::{Ui, write_game_output};

/// How many lines are remembered.
const MAX_HISTORY: usize = 1000;

/// Reads and runs lines until Ctrl-D.
pub(super) fn run(ui: &Ui, server: &mut Server, lines: u32) -> Result<(), Problem> {
    let mut editor = editor().map_err(failed)?;
    let printer = editor.create_external_printer().ok();
    // There is none where the terminal can't draw a line again, and then it is the terminal that edits.
    let _kept = Kept::new(printer.is_some())?;
    // A server that does not tell them has none to complete.
    editor.set_helper(Some(Names(server.run("cvarlist").map(command_names).unwrap_or_default())));
    let mut file = or_without(
        *ui,
        history::file(&server.name).and_then(|file| match file.exists().then(|| editor.load_history(&file)) {
            None | Some(Ok(())) => Ok(file),
            Some(Err(error)) => Err(Error::io(format!("can't read {}", file.display()), io(error))),
        }),
    );
    ui.note(&format!("console of instance {}: Tab completes, Ctrl-D leaves", server.name));
    follow_log(*ui, &server.name, lines, printer);
    let prompt = format!("{}> ", server.name);
    loop {
        let line = match editor.readline(&prompt) {
            Ok(line) => line,
            // Ctrl-C throws the line away, as in a shell.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        if line.trim().is_empty() {
            continue;
        }
        if history::may_keep(&line) && editor.add_history_entry(&line).map_err(failed)? {
            let mut kept = |file: PathBuf| match editor.append_history(&file) {
                Ok(()) => Ok(file),
                Err(error) => Err(Error::io(format!("can't write {}", file.display()), io(error))),
            };
            file = file.and_then(|file| or_without(*ui, kept(file)));
        }
        match server.run(&line) {
            Ok(reply) => write_game_output(&reply)?,
            // Again would be one attempt too many.
            Err(Problem::Error(error)) if error.kind() == ErrorKind::RconRefused => return Err(error.into()),
            Err(problem) => ui.complain(&problem),
        }
    }
}

/// The history's file; without one the console works all the same.
fn or_without(ui: Ui, file: Result<PathBuf, Error>) -> Option<PathBuf> {
    file.map_err(|error| ui.complain(&error.hint("what you type is forgotten at the end").into())).ok()
}

fn editor() -> rustyline::Result<Editor<Names, FileHistory>> {
    let config = Config::builder()
        .max_history_size(MAX_HISTORY)?
        .history_ignore_dups(true)?
        .completion_type(CompletionType::List)
        // A terminal that was told to mark what is pasted would have to be told again by whatever ends us. Lines that are
        // pasted are run, as when they are typed.
        .bracketed_paste(false)
        .build();
    Editor::with_config(config)
}

/// Prints the log from a thread of its own, above the line that is typed where the terminal can do that.
fn follow_log(ui: Ui, name: &InstanceName, lines: u32, printer: Option<impl ExternalPrinter + Send + 'static>) {
    let name = name.clone();
    let options = LogOptions { lines, follow: true, ..LogOptions::default() };
    std::thread::spawn(move || {
        let mut printer = printer;
        // Where the terminal has gone, there is nobody to print for.
        let mut print = |line: String| match &mut printer {
            Some(printer) => printer.print(line + "\n").is_ok(),
            None => writeln!(std::io::stdout(), "{line}").is_ok(),
        };
        let log = || -> Result<_, Problem> { Ok(open_host(&ui)?.stream_instance_logs(&name, &options)?) };
        let entries = match log() {
            Ok(entries) => entries,
            Err(problem) => {
                print(problem.for_people());
                return;
            }
        };
        for entry in entries {
            let line = match entry {
                Ok(LogEntry { message, .. }) => harmless(&message, false),
                Err(error) => Problem::from(error).for_people(),
            };
            if !print(line) {
                return;
            }
        }
        print("(the log has ended)".to_owned());
    });
}

fn failed(error: ReadlineError) -> Problem {
    Error::io("can't read from the terminal", io(error)).into()
}

fn io(error: ReadlineError) -> std::io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => std::io::Error::other(other.to_string()),
    }
}
