//! Asks servers for all that A2S has, in one sweep, and prints a line of JSON for each:
//!
//!     cargo run -p srcds-query --example query -- 192.0.2.1:27015 192.0.2.1:27016
//!
//! With `--rcon ADDRESS COMMAND…` it runs commands and prints a list of what they print; the password is a line of stdin,
//! since everybody sees a program's arguments.
//!
//! With `--bench COUNT FIRST-ADDRESS` it asks so many at successive ports for info and players, and prints how long that
//! took and how many answered both.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use srcds_query::a2s::{Info, Player, Rule};
use srcds_query::rcon::{Client, Password};
use srcds_query::sweep::{Answer, Target, ask};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            Err("usage: query ADDRESS:PORT…, query --rcon ADDRESS:PORT COMMAND…, or query --bench COUNT ADDRESS:PORT"
                .into())
        }
        ["--rcon", address, commands @ ..] => rcon(address, commands),
        ["--bench", count, first] => bench(count, first),
        addresses => print(addresses),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(addresses: &[&str]) -> Result<(), Box<dyn Error>> {
    let addresses = addresses.iter().map(|address| address.parse()).collect::<Result<Vec<SocketAddr>, _>>()?;
    let targets: Vec<Target> =
        addresses.iter().map(|&address| Target::new(address).with_players().with_rules()).collect();
    for answer in ask(&targets, Duration::from_secs(5)) {
        println!("{}", json(&answer));
    }
    Ok(())
}

fn rcon(address: &str, commands: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password)?;
    let password = Password::new(password.trim_end_matches('\n'))?;
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut client = Client::connect(address.parse()?, &password, deadline)?;
    let mut replies = Vec::new();
    for command in commands {
        replies.push(text(&String::from_utf8_lossy(&client.run(command, deadline)?)));
    }
    println!("[{}]", replies.join(","));
    Ok(())
}

fn bench(count: &str, first: &str) -> Result<(), Box<dyn Error>> {
    let (count, first): (u16, SocketAddr) = (count.parse()?, first.parse()?);
    let target = |n| Target::new((first.ip(), first.port() + n).into()).with_players();
    let targets: Vec<Target> = (0..count).map(target).collect();
    let start = Instant::now();
    let answers = ask(&targets, Duration::from_secs(5));
    let seconds = start.elapsed().as_secs_f64();
    let whole = answers.iter().filter(|answer| matches!(answer.players, Some(Ok(_)))).count();
    println!("{{\"seconds\":{seconds},\"whole\":{whole}}}");
    Ok(())
}

fn json(answer: &Answer) -> String {
    let info = match &answer.info {
        Ok(info) => json_info(info),
        Err(error) => return format!("{{\"error\":{}}}", text(&error.to_string())),
    };
    let players = answer.players.iter().flatten().flatten().map(json_player).collect::<Vec<_>>();
    let rules = answer.rules.iter().flatten().flatten().map(json_rule).collect::<Vec<_>>();
    format!("{{\"info\":{info},\"players\":[{}],\"rules\":{{{}}}}}", players.join(","), rules.join(","))
}

fn json_info(info: &Info) -> String {
    format!(
        "{{\"protocol\":{},\"name\":{},\"map\":{},\"folder\":{},\"game\":{},\"app_id\":{},\"players\":{},\"max_players\":{},\
         \"bots\":{},\"server_type\":{},\"environment\":{},\"password\":{},\"secure\":{},\"version\":{},\"port\":{},\
         \"steam_id\":{},\"keywords\":{},\"game_id\":{}}}",
        info.protocol,
        text(&info.name),
        text(&info.map),
        text(&info.folder),
        text(&info.game),
        info.app_id,
        info.players,
        info.max_players,
        info.bots,
        text(&format!("{:?}", info.server_type).to_lowercase()),
        text(&format!("{:?}", info.environment).to_lowercase()),
        info.password,
        info.secure,
        text(&info.version),
        info.port.map_or("null".to_owned(), |port| port.to_string()),
        id(info.steam_id),
        info.keywords.as_deref().map_or("null".to_owned(), text),
        id(info.game_id),
    )
}

fn json_player(player: &Player) -> String {
    let seconds = player.duration.as_secs_f64();
    format!("{{\"name\":{},\"score\":{},\"seconds\":{seconds}}}", text(&player.name), player.score)
}

fn json_rule(rule: &Rule) -> String {
    format!("{}:{}", text(&rule.name), text(&rule.value))
}

/// As a text, since JSON's numbers are floats to many.
fn id(id: Option<u64>) -> String {
    id.map_or("null".to_owned(), |id| format!("\"{id}\""))
}

/// A text as JSON has it. Whatever is not printable ASCII is escaped, so that a terminal takes no harm.
fn text(text: &str) -> String {
    let escape = |unit: u16| match char::from_u32(unit.into()) {
        Some(c) if (' '..='~').contains(&c) && c != '"' && c != '\\' => c.to_string(),
        _ => format!("\\u{unit:04x}"),
    };
    format!("\"{}\"", text.encode_utf16().map(escape).collect::<String>())
}
