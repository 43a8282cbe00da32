//! The console: what cfg files, the command line and RCON say is run here, and all of them by the same rules.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::cvars::{Cvars, commands};
use super::files::Files;
use super::log::Log;
use super::{players, say, version};

/// A file that execs itself ends somewhere.
const MAX_DEPTH: usize = 8;

#[derive(Debug)]
pub(super) struct Console {
    pub(super) cvars: Cvars,
    /// Somebody has said `quit`.
    pub(super) quit: bool,
    /// The port that was bound; none is yet while the first files are read.
    pub(super) port: u16,
    started: Instant,
    log: Log,
    files: Files,
}

impl Console {
    pub(super) fn new() -> Self {
        let mut cvars = Cvars::new();
        cvars.set("sim_version", &version());
        let (log, files) = (Log::default(), Files::default());
        Self { cvars, quit: false, port: 0, started: Instant::now(), log, files }
    }

    /// Runs what the command line says, `+command word…`, then the files that every map begins with. Those have the
    /// last word, as in the real game.
    pub(super) fn start(&mut self, args: &[String]) {
        let mut printed = String::new();
        for words in arguments(args) {
            self.command(&words, 0, &mut printed);
        }
        self.begin_map(&mut printed);
        printed.lines().for_each(say);
    }

    /// A text of the console, as RCON sends it; what it prints.
    pub(super) fn run(&mut self, text: &str, from: SocketAddr) -> String {
        self.log.line(&format!("rcon from \"{from}\": command \"{text}\""));
        let mut printed = String::new();
        for words in commands(text) {
            self.command(&words.iter().map(String::as_str).collect::<Vec<_>>(), 0, &mut printed);
        }
        printed
    }

    /// Begins to read all files again and again, if `sim_rehash` says so.
    pub(super) fn watch_files(&mut self) {
        let Some(pause) = self.cvars.number("sim_rehash").filter(|pause| *pause > 0).map(Duration::from_millis) else {
            return;
        };
        match Files::watch(pause) {
            Ok(files) => self.files = files,
            Err(error) => say(&format!("can't start a thread: {error}")),
        }
    }

    /// Ends the log.
    pub(super) fn close(&mut self) {
        self.log.close();
    }

    fn command(&mut self, words: &[&str], depth: usize, printed: &mut String) {
        match words {
            [] => {}
            ["status"] => printed.push_str(&players::status(&self.cvars, self.port)),
            ["stats"] => printed.push_str(&self.stats()),
            ["sim_files"] => printed.push_str(&self.files.report()),
            ["quit" | "exit"] => self.quit = true,
            ["say", text @ ..] => self.say(&text.join(" ")),
            // Not the game's: prints a line on the console, which the real `echo` does to whoever gave the command.
            ["sim_print", text @ ..] => say(&text.join(" ")),
            ["kick" | "kickid", player, reason @ ..] => {
                printed.push_str(&players::kick(&mut self.cvars, player, &reason.join(" ")));
            }
            ["banid", _minutes, player, rest @ ..] => self.ban(player, rest == ["kick"], printed),
            ["writeid"] => self.write_bans(printed),
            // Whoever changes who plays has all of them there.
            ["sim_players" | "sim_bots", value] => {
                self.cvars.set(words[0], value);
                players::come_back(&mut self.cvars);
            }
            ["echo", text @ ..] => printed.push_str(&format!("{} \n", text.join(" "))),
            ["changelevel", map] => self.change_level(map, printed),
            ["exec", file] => self.exec(file, depth, printed),
            ["log", "on" | "1"] => self.log.open().unwrap_or_else(|error| say(&format!("can't log: {error}"))),
            ["log", "off" | "0"] => self.log.close(),
            ["log", ..] => printed.push_str("Usage:  log < on | off >\n"),
            ["cvarlist"] => printed.push_str(&self.cvars.list()),
            [name] => printed.push_str(&self.cvars.show(name)),
            // Source takes the rest of the line, so that `hostname My server` needs no quotes.
            [name, value @ ..] => self.cvars.set(name, &value.join(" ")),
        }
    }

    fn say(&mut self, text: &str) {
        say(&format!("Console: {text}"));
        self.log.line(&format!("\"Console<0><Console><Console>\" say \"{text}\""));
    }

    fn ban(&mut self, player: &str, kick: bool, printed: &mut String) {
        let Some(id) = players::ban(&mut self.cvars, player) else {
            return printed.push_str(&format!("Can't find {player}\n"));
        };
        say(&format!("Banned {id}"));
        // Without `kick`, who is banned plays on.
        if kick {
            printed.push_str(&players::kick(&mut self.cvars, player, "You have been banned"));
        }
    }

    fn write_bans(&self, printed: &mut String) {
        if let Err(error) = fs::write("left4dead2/cfg/banned_user.cfg", players::bans(&self.cvars)) {
            printed.push_str(&format!("can't write banned_user.cfg: {error}\n"));
        }
    }

    fn change_level(&mut self, map: &str, printed: &mut String) {
        self.cvars.set("map", map);
        say(&format!("-------- Mapchange to {map} --------"));
        self.log.next_map(map);
        self.begin_map(printed);
    }

    fn begin_map(&mut self, printed: &mut String) {
        // sim.cfg is nothing of the game's: without it, silence.
        if fs::exists("left4dead2/cfg/sim.cfg").unwrap_or(false) {
            self.exec("sim.cfg", 0, printed);
        }
        self.exec("server.cfg", 0, printed);
    }

    /// Runs a file of the cfg directory; a missing one is said, and no error.
    fn exec(&mut self, file: &str, depth: usize, printed: &mut String) {
        if depth == MAX_DEPTH || file.starts_with('/') || file.split('/').any(|part| part == "..") {
            return printed.push_str(&format!("exec: refused {file}\n"));
        }
        // Without an ending it is `.cfg`.
        let name = if file.contains('.') { file.to_owned() } else { format!("{file}.cfg") };
        let Ok(bytes) = fs::read(format!("left4dead2/cfg/{name}")) else {
            return printed.push_str(&format!("exec: couldn't exec {file}\n"));
        };
        for words in commands(&String::from_utf8_lossy(&bytes)) {
            self.command(&words.iter().map(String::as_str).collect::<Vec<_>>(), depth + 1, printed);
        }
    }

    fn stats(&self) -> String {
        let (uptime, players) = (self.started.elapsed().as_secs() / 60, players::all(&self.cvars).len());
        format!(
            "CPU    In (KB/s)  Out (KB/s)  Uptime  Map changes  FPS      Players  Connects\n\
             0.00   0.00       0.00        {uptime:<6}  0            30.00    {players:<7}  0\n"
        )
    }
}

/// The commands of the command line: `+name` and what follows it, up to the next option.
fn arguments(args: &[String]) -> Vec<Vec<&str>> {
    let mut commands: Vec<Vec<&str>> = Vec::new();
    let mut in_command = false;
    for arg in args {
        // `-1` is a value, `-game` an option.
        let option = arg.strip_prefix('-').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(name) = arg.strip_prefix('+') {
            commands.push(vec![name]);
            in_command = true;
        } else if option {
            in_command = false;
        } else if in_command {
            commands.last_mut().into_iter().for_each(|words| words.push(arg));
        }
    }
    // A word alone shows a cvar's value, and here nobody asked for it.
    commands.retain(|words| words.len() > 1 || words == &["quit"]);
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_commands() {
        let args = ["-game", "left4dead2", "+hostport", "27016", "+map", "c2m1", "-x", "y", "+flag", "+n", "-1", "2"];
        let args = args.map(str::to_owned);
        assert_eq!(arguments(&args), [vec!["hostport", "27016"], vec!["map", "c2m1"], vec!["n", "-1", "2"]]);
    }

    #[test]
    fn nothing_outside_of_cfg_is_run() {
        let mut console = Console::new();
        for file in ["../motd.txt", "/etc/passwd", "a/../../b"] {
            let mut printed = String::new();
            console.exec(file, 0, &mut printed);
            assert_eq!(printed, format!("exec: refused {file}\n"));
        }
    }

    #[test]
    fn the_rest_of_a_line_is_the_value() {
        let mut console = Console::new();
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(console.run("hostname My  server; echo a; hostname", from), "a \n\"hostname\" = \"My server\"\n");
    }
}
