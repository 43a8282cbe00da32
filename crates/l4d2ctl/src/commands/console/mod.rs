//! `l4d2ctl console`.

mod complete;
mod history;
mod interactive;
mod lines;
mod terminal;

use std::process::ExitCode;

use l4d2host::{ErrorKind, Host, Rcon};
use names::InstanceName;

use super::{open_host, parse_name};
use crate::completion;
use crate::problem::Problem;
use crate::ui::Ui;

/// Open an instance's console: its log above, a line to type below
///
/// Tab completes the server's own commands and cvars, the arrow keys bring back
/// what was typed before (also in earlier consoles of this instance; a line that
/// begins with a space, or speaks of a password, is not kept), Ctrl-D leaves.
///
/// Where stdin is no terminal, its lines are run one after the other, and their
/// replies printed; the first that the server does not answer ends it.
///
/// Example: l4d2ctl console friday
///          echo 'sv_alltalk 1' | l4d2ctl console friday
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    /// Begin with so many of the log's last lines
    #[arg(long, allow_negative_numbers = true, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    lines: u32,
}

pub(crate) fn run(ui: &Ui, Args { name, lines }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let rcon = host.rcon(&name)?;
    let mut server = Server { host, name, rcon: Some(rcon) };
    if terminal::is_interactive() && !ui.is_json() {
        interactive::run(ui, &mut server, lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    lines::run(ui, &mut server)
}

/// An instance's console, over as many connections as it takes: a server may be restarted meanwhile.
struct Server {
    host: Host,
    name: InstanceName,
    rcon: Option<Rcon>,
}

impl Server {
    /// Runs a line. One that got no reply is never sent again by itself.
    fn run(&mut self, line: &str) -> Result<Vec<u8>, Problem> {
        let open = self.rcon.take().and_then(|mut rcon| rcon.is_open().then_some(rcon));
        let mut rcon = open.map_or_else(|| self.host.rcon(&self.name), Ok)?;
        let result = rcon.run(line);
        if result.as_ref().map_or_else(|error| error.kind() == ErrorKind::Usage, |_| true) {
            self.rcon = Some(rcon);
        }
        Ok(result?)
    }
}
