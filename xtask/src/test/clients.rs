//! Clients that nobody here wrote read from the simulated server what we read.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Options;
use crate::clients::{Clients, Sim, missing};
use crate::summary::Summary;

const PASSWORD: &str = "a \"password";

/// Quotes, the engine's and a terminal's colours, markup, letters of two to four bytes.
const HOSTNAME: &str = "Näme \"quoted\" ^1red \u{1}green \u{1b}[31m <b>名前</b> | # 🧟";

/// Short, long, one that prints players' names, one that prints nothing, one that is not known.
const COMMANDS: [&str; 5] = ["hostname", "cvarlist", "status", "say hello", "no_such_thing"];

type Test = (&'static str, fn(&World) -> Result<()>);

const TESTS: [Test; 4] = [
    ("srcds-query reads what the server was told", ours),
    ("python-a2s reads what srcds-query reads", python_a2s),
    ("gamedig reads what srcds-query reads", gamedig),
    ("the client rcon reads what srcds-query reads", rcon),
];

struct World {
    clients: Clients,
    port: u16,
    _game: Sim,
    dir: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        // What is left is in the temporary directory.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub(super) fn stage(options: &Options, summary: &mut Summary) {
    let tests: Vec<_> = TESTS.iter().filter(|(name, _)| name.contains(&options.filter)).collect();
    if tests.is_empty() {
        return;
    }
    let missing = missing();
    if !missing.is_empty() {
        let packages = missing.join(" ");
        return summary.skip(tests.len(), format!("with foreign clients: `sudo apt-get install {packages}`"));
    }
    println!("foreign clients");
    let world = match World::new() {
        Ok(world) => world,
        Err(error) => return summary.fail("a simulated server and the foreign clients", &format!("{error:#}")),
    };
    for (name, test) in tests {
        summary.test(name, || test(&world));
    }
}

impl World {
    fn new() -> Result<Self> {
        let clients = Clients::ready("dev")?;
        let dir = std::env::temp_dir().join(format!("left4me-clients-{}", std::process::id()));
        let cfg = dir.join("left4dead2/cfg");
        fs::create_dir_all(&cfg).with_context(|| format!("can't make {}", cfg.display()))?;
        // Makes the list of cvars some 30 KB.
        let cvars: String = (0..500).map(|n| format!("sm_cvar_with_a_long_name_{n} \"värde {n}\"\n")).collect();
        fs::write(cfg.join("server.cfg"), cvars)?;
        let port = free_port()?;
        let game = start(&clients, &dir, port)?;
        Ok(Self { clients, port, _game: game, dir })
    }

    /// What we read over A2S.
    fn read(&self) -> Result<Value> {
        self.clients.ours(&[&format!("127.0.0.1:{}", self.port)])
    }
}

fn start(clients: &Clients, dir: &Path, port: u16) -> Result<Sim> {
    let port = port.to_string();
    let args = ["srcds_linux", "-strictportbind", "+ip", "127.0.0.1", "+hostport", &port, "+hostname", HOSTNAME];
    let more = ["+rcon_password", PASSWORD, "+sim_players", "7", "+sim_bots", "2", "+sim_rules", "400"];
    clients.sim(dir, &[&args[..], &more].concat(), "Network: ")
}

/// Free for both protocols.
fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        let port = udp.local_addr()?.port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free for UDP and TCP")
}

fn ours(world: &World) -> Result<()> {
    let read = world.read()?;
    let info = &read["info"];
    ensure!(info["name"] == HOSTNAME, "{}", info["name"]);
    ensure!((&info["players"], &info["bots"]) == (&9.into(), &2.into()), "{info}");
    let names: Vec<&str> =
        read["players"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
    ensure!(names.len() == 9 && names.contains(&"a \"quoted\" | name") && names.contains(&"名前 # 3"), "{names:?}");
    ensure!(read["rules"]["sim_rule_399"] == "399", "{}", read["rules"]);
    let replies = world.clients.our_rcon(world.port, PASSWORD, &COMMANDS)?;
    ensure!(replies[0] == format!("\"hostname\" = \"{HOSTNAME}\"\n"), "{}", replies[0]);
    ensure!(replies[1].as_str().is_some_and(|list| list.len() > 20_000), "{}", replies[1]);
    ensure!(replies[2].as_str().is_some_and(|status| status.contains("\"a \"quoted\" | name\"")), "{}", replies[2]);
    Ok(())
}

fn python_a2s(world: &World) -> Result<()> {
    let (ours, theirs) = (world.read()?, world.clients.a2s(&[&world.port.to_string()])?);
    same("all", &ours, &theirs)
}

fn gamedig(world: &World) -> Result<()> {
    let (ours, theirs) = (world.read()?, world.clients.gamedig(&[&world.port.to_string()])?);
    same("players", &ours["players"], &theirs["players"])?;
    same("rules", &ours["rules"], &theirs["rules"])?;
    let info = theirs["info"].as_object().context("gamedig has no info")?;
    ensure!(info.len() == 14, "{info:?}");
    info.iter().try_for_each(|(field, value)| same(field, &ours["info"][field], value))
}

fn rcon(world: &World) -> Result<()> {
    let ours = world.clients.our_rcon(world.port, PASSWORD, &COMMANDS)?;
    let theirs = world.clients.rcon(world.port, PASSWORD, &COMMANDS)?;
    same("replies", &ours, &theirs)
}

fn same(what: &str, ours: &Value, theirs: &Value) -> Result<()> {
    // Times are whole seconds here, written as 1 or 1.0.
    ensure!(whole(ours) == whole(theirs), "{what}: we read {ours}, and they {theirs}");
    Ok(())
}

/// With every number as a float.
fn whole(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(values) => values.iter().map(whole).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), whole(value))).collect(),
        other => other.clone(),
    }
}
