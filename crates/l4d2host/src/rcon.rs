//! An instance's console: where its RCON is, its password, and what it means when there is no reply.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use names::InstanceName;
use srcds_query::rcon::{self, Client, Error as RconError, Password};

use crate::initialize::read_rcon_password;
use crate::instance::{self, Instance};
use crate::listener::Listeners;
use crate::live::address;
use crate::{Account, Error, ErrorKind, Host, InstanceState, Result};

/// How long a server may take to take the password. One that changes its map takes no notice of anybody meanwhile.
const ADMISSION: Duration = Duration::from_secs(10);

/// How long it may take to reply.
const REPLY: Duration = Duration::from_secs(30);

/// What ends the server; it need not reply to that.
const LAST_COMMANDS: [&str; 4] = ["quit", "exit", "_restart", "killserver"];

/// A connection to an instance's console. After an error of a kind other than [`ErrorKind::Usage`] it is of no more use.
#[derive(Debug)]
pub struct Rcon {
    name: InstanceName,
    client: Client,
}

impl Host {
    /// Connects to the console of an instance that runs, at most 10 seconds long. A password that the server refuses is
    /// not tried again: it would ban us. Nor is it sent to another user's program that has taken the port.
    pub fn rcon(&self, name: &InstanceName) -> Result<Rcon> {
        let (address, password) = self.rcon_address(name)?;
        self.check_runs(name)?;
        check_listener(name, address.port())?;
        match Client::connect(address, &password, Instant::now() + ADMISSION) {
            Ok(client) => Ok(Rcon { name: name.clone(), client }),
            Err(error) => Err(explain(name, error)),
        }
    }

    /// Where an instance's RCON is, whether it runs or not, and the password: for [`srcds_query::rcon::sweep`]. Every
    /// instance listens on the loopback address, too, as no spec can say otherwise; the port is the one that it was
    /// started with.
    pub fn rcon_address(&self, name: &InstanceName) -> Result<(SocketAddr, Password)> {
        let root = self.open_for_reading()?;
        let instance = Instance::read(&root, name)?.ok_or_else(|| instance::not_found(&root, name))?;
        let address = address(&root, name, Some(instance.spec.port));
        let address = address.ok_or_else(|| Error::new(ErrorKind::Internal, format!("instance {name} has no port")))?;
        let password = read_rcon_password(&root.open_dir(format!("instances/{name}"))?)?;
        let password = Password::new(password).map_err(|error| explain(name, error))?;
        Ok((address, password))
    }

    /// Says something in the chats of these instances, which run: of all at once, as one that hangs is to keep no other from
    /// hearing it in time. What came of it, in the same order.
    pub(crate) fn say(&self, texts: &[(InstanceName, String)], limit: Duration) -> Vec<Result<()>> {
        let prepare = |(name, text): &(InstanceName, String)| {
            let command = format!("say {}", quoted(text)?);
            let (address, password) = self.rcon_address(name)?;
            check_listener(name, address.port())?;
            Ok((address, password, command))
        };
        let prepared: Vec<Result<_>> = texts.iter().map(prepare).collect();
        let ready = || prepared.iter().flatten();
        let commands: Vec<[&str; 1]> = ready().map(|(_, _, command)| [command.as_str()]).collect();
        let target = |((address, password, _), commands): (&(SocketAddr, Password, String), _)| rcon::Target {
            address: *address,
            password: password.clone(),
            commands,
        };
        let targets: Vec<rcon::Target> = ready().zip(commands.iter().map(|command| &command[..])).map(target).collect();
        let mut answers = rcon::sweep(&targets, Instant::now() + limit).into_iter();
        let said = |(name, prepared): (&InstanceName, Result<_>)| {
            prepared?;
            // There is one for each that was ready.
            answers.next().map_or(Ok(()), |answer| answer.map(drop)).map_err(|error| explain(name, error))
        };
        texts.iter().map(|(name, _)| name).zip(prepared).map(said).collect()
    }

    fn check_runs(&self, name: &InstanceName) -> Result<()> {
        let state = self.state_of(name)?;
        let hint = match state {
            InstanceState::Running | InstanceState::Starting | InstanceState::Stopping => return Ok(()),
            InstanceState::CrashLooping | InstanceState::Failed => format!("`l4d2ctl logs {name}` says why"),
            InstanceState::Stopped | InstanceState::Unknown => format!("`l4d2ctl start {name}` starts it"),
        };
        let message = format!("instance {name} does not run: it is {}", state.as_str());
        Err(Error::new(ErrorKind::NotRunning, message).hint(hint))
    }
}

fn check_listener(name: &InstanceName, port: u16) -> Result<()> {
    let Some(uid) = Listeners::read()?.stranger(port) else { return Ok(()) };
    let user = Account::by_uid(uid).map_or_else(|_| format!("user {uid}"), |account| account.name);
    let message = format!("a program of {user} listens on port {port}, and not instance {name}");
    Err(Error::new(ErrorKind::PortConflict, message).hint(format!("`ss -ltnp sport = :{port}`, as root, says which")))
}

impl Rcon {
    /// Runs a command, or several with `;` between them, and waits for the whole reply, at most 30 seconds long: what the
    /// game printed, any bytes. A line's end in it is an error of the kind [`ErrorKind::Usage`]. A server that ends
    /// because it was told to has replied nothing.
    pub fn run(&mut self, command: &str) -> Result<Vec<u8>> {
        match self.client.run(command, Instant::now() + REPLY) {
            Err(RconError::HungUp) if is_last(command) => Ok(Vec::new()),
            result => result.map_err(|error| explain(&self.name, error)),
        }
    }

    /// Whether the server is still there, as far as can be told without asking it: one that was restarted is not.
    pub fn is_open(&mut self) -> bool {
        self.client.is_open()
    }
}

/// Text as one word of the console that nothing in it ends: quotes in it become `'`. Refused, as [`ErrorKind::Usage`], is
/// what no console can take, line ends most of all. A space or `;` ends a word there, a quote holds words together, and
/// nothing escapes a quote: other text would become commands.
pub fn quoted(text: &str) -> Result<String> {
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        let message = format!("the text holds {}, which a console can't take", c.escape_unicode());
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok(format!("\"{}\"", text.replace('"', "'")))
}

fn is_last(command: &str) -> bool {
    command.split(';').any(|part| part.split_whitespace().next().is_some_and(|word| LAST_COMMANDS.contains(&word)))
}

/// What it means for an instance, and what to do about it.
fn explain(name: &InstanceName, error: RconError) -> Error {
    let (kind, message, hint) = match &error {
        RconError::InvalidCommand(why) => return Error::new(ErrorKind::Usage, format!("the command {why}")),
        RconError::WrongPassword => (
            ErrorKind::RconRefused,
            format!("instance {name} refuses its RCON password"),
            format!("it runs with the one of its start: `l4d2ctl restart {name}`"),
        ),
        RconError::Banned => (
            ErrorKind::RconRefused,
            format!("instance {name} hung up before it answered the RCON password"),
            format!("it ended just then (`l4d2ctl status {name}`), or has banned this host, which a restart lifts"),
        ),
        RconError::Closed => (
            ErrorKind::NoAnswer,
            format!("instance {name} does not listen for RCON"),
            format!("it may still be starting, or be at its end: `l4d2ctl logs {name}` shows it"),
        ),
        RconError::Timeout(_) => (
            ErrorKind::Timeout,
            format!("instance {name} does not reply"),
            format!("it may be changing its map, or hang: `l4d2ctl logs {name}` shows it"),
        ),
        _ => (
            ErrorKind::NoAnswer,
            format!("instance {name} does not reply as it should"),
            format!("`l4d2ctl logs {name}` may say why"),
        ),
    };
    Error::new(kind, message).because(error).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_becomes_a_second_command() {
        for text in ["a; quit", "a\"; quit; \"", "a // b", "\"", "", "%s {x}"] {
            let word = quoted(text).unwrap();
            let inner = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap();
            assert!(!inner.contains('"') && inner == text.replace('"', "'"), "{word}");
        }
        for text in ["a\nquit", "a\rquit", "a\0quit", "\u{1b}[2J", "\u{85}"] {
            assert!(quoted(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn commands_that_end_the_server() {
        for command in ["quit", " exit", "say bye; quit", "_restart 1"] {
            assert!(is_last(command), "{command}");
        }
        for command in ["", "say quit", "quitter", "status;"] {
            assert!(!is_last(command), "{command}");
        }
    }

    #[test]
    fn every_error_names_the_instance_and_what_to_do() {
        let name: InstanceName = "friday".parse().unwrap();
        let errors =
            [RconError::WrongPassword, RconError::Banned, RconError::Closed, RconError::HungUp, RconError::TooLarge(1)];
        for error in errors {
            let told = explain(&name, error);
            assert!(told.to_string().contains("friday") && told.hint_text().is_some_and(|h| h.contains("friday")));
        }
    }
}
