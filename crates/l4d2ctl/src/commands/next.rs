//! What to do next, for who gives no command.

use l4d2host::{ErrorKind, Host};

use super::open_host;
use crate::problem::Problem;
use crate::ui::Ui;

/// The next command of the quickstart, or where to look when all is there.
pub(crate) fn step(ui: &Ui) -> String {
    match open_host(ui).and_then(|host| of(&host)) {
        Ok(step) => step,
        Err(Problem::Error(error)) => {
            let hint = error.hint_text().map_or_else(String::new, |hint| format!(": {hint}"));
            let doctor = "`l4d2ctl doctor` looks at the host";
            match error.kind() {
                ErrorKind::NotFound => format!("this host is not set up yet: {error}{hint}; {doctor}"),
                _ => format!("{error}{hint}; {doctor}"),
            }
        }
        Err(Problem::ClosedPipe) => String::new(),
    }
}

fn of(host: &Host) -> Result<String, Problem> {
    let count = host.instance_names()?.len();
    Ok(match (count, host.versions()?.is_empty()) {
        (0, true) => {
            "the game is not installed yet: `l4d2ctl doctor` says what this host lacks, and `l4d2ctl install` brings the game"
        }
        (0, false) => {
            "there is no instance yet: `l4d2ctl initialize NAME -f SPEC.yaml` makes one (`l4d2ctl initialize --help` \
             shows a spec), and `l4d2ctl start NAME` starts it"
        }
        _ => "`l4d2ctl status` shows the instances, and `l4d2ctl COMMAND --help` explains a command",
    }
    .to_owned())
}
