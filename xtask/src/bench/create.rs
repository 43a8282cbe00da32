//! From nothing to a server that answers: ours beside a container of podman, and beside a full copy of the game.

use std::time::Duration;

use anyhow::Result;

use super::measure::{ROOT, as_user, first_answer, initialize, make_copy_unit, shell, time};
use super::report::{Finding, Row, Target};

const ROUNDS: u16 = 9;
const LIMIT: Duration = Duration::from_secs(60);

/// One way to get a server at a port, and to be rid of it.
struct Way {
    create: fn(u16) -> Result<()>,
    delete: fn(u16) -> Result<()>,
    milliseconds: Vec<f64>,
}

pub(super) fn run() -> Result<Vec<Finding>> {
    prepare()?;
    let way = |create, delete| Way { create, delete, milliseconds: Vec::new() };
    let mut ways = [
        way(create_ours, delete_ours),
        way(create_podman, delete_podman),
        way(|port| create_copy(port, false), delete_copy),
        way(|port| create_copy(port, true), delete_copy),
    ];
    let mut initialized = Vec::new();
    for port in 27100..27100 + ROUNDS {
        for way in &mut ways {
            // What one wrote is not to be paid for by the next.
            shell("sync")?;
            way.milliseconds.push(time(|| {
                (way.create)(port)?;
                first_answer(port, LIMIT)
            })?);
            (way.delete)(port)?;
        }
        // Once more, to know where the time goes.
        shell("sync")?;
        initialized.push(time(|| create_ours_only(port))?);
        delete_ours(port)?;
    }
    let [ours, podman, copy, synced] = ways.map(|way| way.milliseconds);
    let row = |name, target, reference: &[f64]| Finding::Row(Row::compared(name, "ms", target, &ours, reference));
    Ok(vec![
        row("create + start to first answer / podman run", Some(Target::AtMost(0.2)), &podman),
        row("create + start to first answer / copy 200 MB + start", Some(Target::AtMost(0.05)), &copy),
        row("create + start to first answer / the same, copy synced", None, &synced),
        Finding::Row(Row::compared("of that: initialize / the whole", "ms", None, &initialized, &ours)),
    ])
}

/// The game as a container's root, and the unit of a copy.
fn prepare() -> Result<()> {
    shell("mkdir -p /srv/bench/image/tmp")?;
    shell(&format!("cp -a {ROOT}/installation /srv/bench/image/game"))?;
    make_copy_unit("")?;
    // Its first run makes its store.
    create_podman(27099)?;
    first_answer(27099, LIMIT)?;
    delete_podman(27099)
}

fn create_ours_only(port: u16) -> Result<()> {
    initialize(&format!("c{port}"), port, "")
}

fn create_ours(port: u16) -> Result<()> {
    create_ours_only(port)?;
    shell(&as_user(&format!("l4d2ctl start c{port}")))
}

fn delete_ours(port: u16) -> Result<()> {
    shell(&as_user(&format!("l4d2ctl delete c{port}")))
}

/// `:O` is a writable layer of its own on a tree that stays as it is, which a container of an image has.
fn create_podman(port: u16) -> Result<()> {
    shell(&format!(
        "podman run --detach --name p{port} --cgroups=disabled --network=host --workdir /game --rootfs /srv/bench/image:O \
         /game/srcds_linux -game left4dead2 -norestart -strictportbind +hostport {port}"
    ))
}

fn delete_podman(port: u16) -> Result<()> {
    shell(&format!("podman rm --force --time 5 p{port}"))
}

fn create_copy(port: u16, synced: bool) -> Result<()> {
    shell(&format!("cp -a {ROOT}/installation /srv/bench/copy-{port}"))?;
    if synced {
        shell(&format!("sync -f /srv/bench/copy-{port}"))?;
    }
    shell(&format!("systemctl start copy@{port}"))
}

fn delete_copy(port: u16) -> Result<()> {
    shell(&format!("systemctl stop copy@{port}"))?;
    shell(&format!("rm -rf /srv/bench/copy-{port}"))
}
