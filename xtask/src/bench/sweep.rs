//! A sweep of 1000 answering servers on loopback, info and players, against clients that nobody here wrote. It runs on this
//! machine itself; each program takes the time of its sweep alone, without its own start.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::report::{Finding, Row, Target};
use crate::clients::{Clients, Sim};

pub(super) const PART: &str = "sweep";

const COUNT: &str = "1000";

/// Below the ports that the kernel gives to others, and above those of simulated games that other tests run here.
const FIRST: &str = "30000";
const FIRST_LOSSY: &str = "31000";

/// The foreign clients take seconds for each.
const ROUNDS: usize = 7;

pub(super) fn run() -> Result<Vec<Finding>> {
    let clients = Clients::ready("release")?;
    let _servers = many(&clients, FIRST, "0")?;
    let _lossy = many(&clients, FIRST_LOSSY, "0.01")?;
    let address = |first: &str| format!("127.0.0.1:{first}");
    let ours = || time(&clients.ours(&["--bench", COUNT, &address(FIRST)])?);
    let (mut a, mut python, mut gamedig) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(ours()?);
        python.push(time(&clients.a2s(&["bench", COUNT, FIRST])?)?);
        gamedig.push(time(&clients.gamedig(&["bench", COUNT, FIRST])?)?);
    }
    // Within the deadline that it sets itself, or there are fewer answers, which is an error.
    let mut lossy = Vec::new();
    for _ in 0..ROUNDS {
        lossy.push(
            time(&clients.ours(&["--bench", COUNT, &address(FIRST_LOSSY)])?).context("with 1 % of packets lost")?,
        );
    }
    Ok([
        Row::compared("sweep of 1000 servers / python-a2s, asyncio", "ms", Some(Target::AtMost(0.05)), &a, &python),
        Row::compared("sweep of 1000 servers / gamedig, 100 at a time", "ms", Some(Target::AtMost(0.2)), &a, &gamedig),
        Row::compared("sweep, 1 % of packets lost, all answered / none lost", "ms", None, &lossy, &a),
    ]
    .map(Finding::Row)
    .into())
}

fn many(clients: &Clients, first: &str, loss: &str) -> Result<Sim> {
    let args = ["many", "--count", COUNT, "--first-port", first, "--loss", loss, "+sim_players", "4"];
    clients.sim(Path::new("/"), &args, "1000 answer")
}

/// In milliseconds, of a sweep that all have answered.
fn time(result: &Value) -> Result<f64> {
    ensure!(result["whole"] == 1000, "of 1000 servers not all have answered: {result}");
    result["seconds"].as_f64().map(|seconds| seconds * 1e3).with_context(|| format!("no time in {result}"))
}
