//! What a start costs: of a whole instance, of its mount alone, also beside 300 others; what `status` costs; what an instance
//! costs on disk, and its embedded supervisor in memory.

use std::fs;

use anyhow::{Context, Result};

use super::measure::{ROOT, as_user, compare, initialize, number, shell, word};
use super::report::{Finding, Row, Target};

/// The same program as a unit with nothing around it.
const BARE: &str =
    "[Service]\nType=exec\nUser=left4me\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

pub(super) fn run() -> Result<Vec<Finding>> {
    prepare()?;
    let mut rows = Vec::from(starts("")?);
    rows.push(mounts()?);
    let mut of_100 = None;
    for n in 0..300_u16 {
        initialize(&format!("n{n}"), 28000 + n, "")?;
        if n == 99 {
            of_100 = Some(status(100)?);
        }
    }
    rows.extend(of_100);
    rows.push(status(300)?);
    enable_all()?;
    rows.extend(starts(", 300 enabled instances")?);
    rows.extend(sizes()?);
    Ok(rows.into_iter().map(Finding::Row).collect())
}

/// Ten overlays, the units to compare with, and an instance of ten overlays.
fn prepare() -> Result<()> {
    let overlays: Vec<String> = (0..10).map(|n| format!("o{n}")).collect();
    for overlay in &overlays {
        shell(&format!("sudo -u left4me mkdir -p {ROOT}/overlays/{overlay}/left4dead2"))?;
    }
    shell(&format!(
        "printf 'port: 27500\\noverlays: [{}]\\n' | sudo -u left4me l4d2ctl initialize bench -f -",
        overlays.join(", ")
    ))?;
    fs::write("/etc/systemd/system/bare.service", BARE)?;
    // The same unit without its mount: the lines that make it, and what would need it, are taken away.
    let drop_in = "/run/systemd/system/left4me-server@nomount.service.d";
    fs::create_dir_all(drop_in)?;
    fs::write(
        format!("{drop_in}/nomount.conf"),
        "[Service]\nExecStartPre=\nExecStopPost=\nExecStop=\nExecStart=\nExecStart=/usr/bin/sleep infinity\n",
    )?;
    initialize("nomount", 27501, "")?;
    fs::write("/etc/sudoers.d/bench", "left4me ALL=(root) NOPASSWD: /usr/bin/systemctl\n")?;
    shell("systemctl daemon-reload")
}

/// As after a start of each: a link, which is what makes the manager's reload slow.
fn enable_all() -> Result<()> {
    shell(
        "for i in $(seq 0 299); do ln -s /usr/local/lib/systemd/system/left4me-server@.service \
         /etc/systemd/system/multi-user.target.wants/left4me-server@n$i.service; done; systemctl daemon-reload",
    )
}

fn starts(more: &str) -> Result<[Row; 2]> {
    let (start, stop) = (as_user("l4d2ctl start bench"), as_user("l4d2ctl stop bench"));
    let bare_start = as_user("sudo -n systemctl enable --now bare");
    let bare_stop = "systemctl disable --now bare; systemctl reset-failed bare; true";
    let (no_mount_start, no_mount_stop) = (as_user("l4d2ctl start nomount"), as_user("l4d2ctl stop nomount"));
    Ok([
        compare(
            &format!("start, 10 overlays / enable --now of a bare unit{more}"),
            Target::AtMost(1.25),
            15,
            (&start, &stop),
            (&bare_start, bare_stop),
        )?,
        compare(
            &format!("start / the same unit without its mount lines{more}"),
            Target::AtMost(1.2),
            15,
            (&start, &stop),
            (&no_mount_start, &no_mount_stop),
        )?,
    ])
}

fn mounts() -> Result<Row> {
    let lower: Vec<String> =
        (0..10).map(|n| format!("{ROOT}/overlays/o{n}")).chain([format!("{ROOT}/installation")]).collect();
    shell("mkdir -p /srv/bench/upper /srv/bench/work /srv/bench/merged")?;
    let reference = format!(
        "nsenter --mount=/proc/1/ns/mnt -- mount -t overlay bench \
         -o lowerdir={},upperdir=/srv/bench/upper,workdir=/srv/bench/work /srv/bench/merged",
        lower.join(":")
    );
    let helper = "/usr/local/libexec/left4me/left4me-overlay";
    compare(
        "left4me-overlay mount, 11 layers / nsenter … mount -t overlay",
        Target::AtMost(0.6),
        50,
        (&format!("{helper} mount bench"), &format!("{helper} umount bench")),
        (&reference, "umount /srv/bench/merged"),
    )
}

fn status(count: usize) -> Result<Row> {
    let ours = as_user("l4d2ctl status --no-query --json >/dev/null");
    let reference = as_user("systemctl list-units --all -o json 'left4me-server@*' >/dev/null");
    let name = format!("status --no-query --json of {count} / systemctl list-units");
    compare(&name, Target::AtMost(2.0), 21, (&ours, "true"), (&reference, "true"))
}

/// What an instance costs on disk, and a running embedded supervisor in memory.
fn sizes() -> Result<[Row; 3]> {
    let disk = number(&format!("du -skc {ROOT}/instances/n7 {ROOT}/runtime/n7 | tail -n 1"))?;
    shell(&as_user("env LEFT4ME_SUPERVISOR=embedded l4d2ctl start n7"))?;
    let pid = word("pgrep -f 'supervise-init .* n7'")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the supervisor does not run")?;
    let kib = |key: &str| -> Result<f64> {
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next());
        Ok(value.with_context(|| format!("no {key}"))?.parse()?)
    };
    let (resident, own) = (kib("VmRSS:")?, kib("RssAnon:")?);
    shell(&as_user("env LEFT4ME_SUPERVISOR=embedded l4d2ctl stop n7"))?;
    Ok([
        Row::single("disk of a fresh instance", "KiB", Target::AtMost(64.0), disk),
        Row::single("resident memory of an embedded supervisor", "KiB", Target::AtMost(3072.0), resident),
        Row::without_target("of that: its own, not pages of the program that all share", "KiB", own),
    ])
}
