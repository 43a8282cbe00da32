//! What servers use, as their control groups and their metrics have it, and what others make of these.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Host;
use crate::machine::promtool;

const GROUP: &str = "/sys/fs/cgroup/left4me.slice/left4me-game.slice/left4me-server@a.service";

const UNITS: [(&str, &str); 3] = [
    ("left4me-metrics.service", include_str!("../../../examples/metrics/left4me-metrics.service")),
    ("left4me-textfile.service", include_str!("../../../examples/metrics/left4me-textfile.service")),
    ("left4me-textfile.timer", include_str!("../../../examples/metrics/left4me-textfile.timer")),
];

/// The value of a sample, where there is one.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
}

pub(super) fn figures_are_systemd_s(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["sim_alloc_mb 64"])?;
    host.make("b", 27102, &[])?;
    host.l4_ok("start a")?;
    host.wait_for_line("a", "Server is hibernating")?;
    let show = |host: &mut Host, property: &str| host.ok(&format!("systemctl show -P {property} left4me-server@a"));
    let before: f64 = show(host, "CPUUsageNSec")?.trim().parse()?;
    let text = host.l4_ok("metrics --no-disk --format prometheus")?;
    let after: f64 = show(host, "CPUUsageNSec")?.trim().parse()?;
    let cpu = value(&text, "left4me_instance_cpu_seconds_total{name=\"a\"}").context("no processor time")? * 1e9;
    // Systemd's figure is the older one by up to a microsecond.
    ensure!(before - 1e3 <= cpu && cpu <= after + 1e3, "processor time is {cpu}, and systemd says {before} to {after}");
    ensure!(!text.contains("cpu_seconds_total{name=\"b\"}"), "b does not run");
    ensure!(value(&text, "left4me_instance_restarts_total{name=\"a\"}") == Some(0.0), "{text}");
    // A container's kernel may have no memory and pids to count; then there is nothing to be told.
    let counted = |host: &mut Host, file: &str| {
        Ok::<_, anyhow::Error>(host.machine.run(&format!("cat {GROUP}/{file}"))?.code == 0)
    };
    for (file, sample) in [
        ("memory.current", "left4me_instance_memory_bytes{name=\"a\"}"),
        ("pids.current", "left4me_instance_tasks{name=\"a\"}"),
        ("cpu.pressure", "left4me_instance_pressure_waiting_seconds_total{name=\"a\",resource=\"cpu\"}"),
        ("memory.pressure", "left4me_instance_pressure_stalled_seconds_total{name=\"a\",resource=\"memory\"}"),
        ("io.pressure", "left4me_instance_pressure_waiting_seconds_total{name=\"a\",resource=\"io\"}"),
    ] {
        let counted = counted(host, file)?;
        ensure!(value(&text, sample).is_some() == counted, "{sample}, and {file} is there: {counted}:\n{text}");
    }
    if let Some(memory) = value(&text, "left4me_instance_memory_bytes{name=\"a\"}") {
        let systemd: f64 = show(host, "MemoryCurrent")?.trim().parse()?;
        ensure!(memory >= f64::from(64 << 20) && (memory - systemd).abs() < f64::from(8 << 20), "{memory}, {systemd}");
    }
    host.l4_ok("stop a")?;
    let text = host.l4_ok("metrics --no-disk --format prometheus")?;
    ensure!(!text.contains("left4me_instance_cpu_seconds_total"), "nothing runs: {text}");
    Ok(())
}

pub(super) fn served_and_written(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.l4_ok("start a")?;
    host.wait_for_line("a", "Server is hibernating")?;
    for (name, text) in UNITS {
        host.ok(&format!("cat > /etc/systemd/system/{name} <<'UNIT'\n{text}UNIT"))?;
    }
    let names = UNITS.map(|(name, _)| name).join(" ");
    let verified = host.machine.run(&format!("systemctl daemon-reload && systemd-analyze verify {names} 2>&1"))?;
    ensure!(verified.code == 0 && verified.stdout.is_empty(), "the examples do not verify: {}", verified.text());

    // Of one that nothing wants, systemd forgets how it ended.
    host.ok("systemctl enable -q --now left4me-metrics.service")?;
    let ask = "exec 3<>/dev/tcp/127.0.0.1/9550 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
    let answer = host.machine.wait_until(&format!("bash -c \"{ask}\""), Duration::from_secs(30))?;
    let (head, served) = answer.split_once("\r\n\r\n").context("no head")?;
    ensure!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    host.ok("systemctl stop left4me-metrics.service")?;
    let result = host.ok("systemctl show -P Result -P ExecMainStatus left4me-metrics.service")?;
    host.ok("systemctl disable -q left4me-metrics.service")?;
    ensure!(result.split_whitespace().eq(["success", "0"]), "a stop is a clean end: {result}");

    host.ok("systemctl start left4me-textfile.service")?;
    let written = host.ok("cat /run/left4me-metrics/left4me.prom")?;
    let mode = host.ok("stat -c '%a %U' /run/left4me-metrics/left4me.prom")?;
    ensure!(mode.trim() == "644 left4me", "the file is {mode}");
    for text in [served, written.as_str()] {
        let running = value(text, "left4me_instance_state{name=\"a\",state=\"running\"}");
        ensure!(running == Some(1.0) && text.contains("left4me_instance_cpu_seconds_total{name=\"a\"}"), "{text}");
        check(text)?;
    }
    let files: String = UNITS.map(|(name, _)| format!(" /etc/systemd/system/{name}")).concat();
    host.ok(&format!("rm -r{files} /run/left4me-metrics && systemctl daemon-reload")).map(drop)
}

/// By Prometheus' own tool, which says nothing of what it has nothing to say about.
fn check(text: &str) -> Result<()> {
    let mut command = Command::new(promtool()?);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("can't run promtool")?;
    std::io::Write::write_all(&mut child.stdin.take().context("promtool has no stdin")?, text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success() && said.is_empty(), "promtool: {}\n{text}", String::from_utf8_lossy(&said));
    Ok(())
}
