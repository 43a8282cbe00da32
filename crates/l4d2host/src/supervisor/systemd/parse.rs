//! What systemctl prints, as values. Pure functions.

use std::collections::BTreeMap;

use names::InstanceName;
use serde::Deserialize;

use crate::{Error, ErrorKind, Result, UnitDetails, UnitState};

/// One element of `systemctl list-units --output=json`.
#[derive(Deserialize)]
struct Listed {
    unit: String,
    active: String,
    sub: String,
}

/// Our units of a `list-units --output=json`.
pub(super) fn list_units(json: &[u8]) -> Result<BTreeMap<InstanceName, UnitState>> {
    let listed: Vec<Listed> = serde_json::from_slice(json)
        .map_err(|e| Error::new(ErrorKind::Internal, "can't read what `systemctl list-units` printed").because(e))?;
    let ours = listed.into_iter().filter_map(|unit| Some((InstanceName::from_unit(&unit.unit)?, unit)));
    let state =
        |unit: Listed| UnitState { active_state: unit.active, sub_state: unit.sub, enabled: false, since: None };
    Ok(ours.map(|(name, unit)| (name, state(unit))).collect())
}

/// The blocks of a `show`: `KEY=value` lines, an empty line between two units.
pub(super) fn show(text: &str) -> BTreeMap<InstanceName, UnitDetails> {
    text.split("\n\n").filter_map(block).collect()
}

fn block(text: &str) -> Option<(InstanceName, UnitDetails)> {
    let values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let number = |key: &str| values.get(key)?.parse().ok();
    let details = UnitDetails {
        result: values.get("Result").map(|result| (*result).to_owned()),
        main_pid: number("MainPID").filter(|&pid| pid != 0),
        restarts: number("NRestarts"),
        // `--timestamp=unix` prints "@1764000000"; a unit that never changed prints nothing.
        since: values.get("StateChangeTimestamp").and_then(|time| time.strip_prefix('@')?.parse().ok()),
    };
    Some((InstanceName::from_unit(values.get("Id")?)?, details))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> InstanceName {
        text.parse().unwrap()
    }

    #[test]
    fn units_of_ours_are_taken_and_others_left() {
        let json = br#"[{"unit":"left4me-server@a.service","load":"loaded","active":"active","sub":"running","description":"x"},
            {"unit":"ssh.service","load":"loaded","active":"active","sub":"running","description":"x"},
            {"unit":"left4me-server@b.service","load":"loaded","active":"activating","sub":"auto-restart","description":"x"}]"#;
        let units = list_units(json).unwrap();
        assert_eq!(units.len(), 2);
        assert_eq!(units[&name("b")].sub_state, "auto-restart");
        assert!(list_units(b"").is_err() && list_units(b"[{}]").is_err());
    }

    #[test]
    fn blocks_of_show() {
        let text = "Result=success\nMainPID=812\nNRestarts=2\nId=left4me-server@a.service\nStateChangeTimestamp=@1764000000\n\n\
            Result=exit-code\nMainPID=0\nNRestarts=0\nId=left4me-server@b.service\nStateChangeTimestamp=\n";
        let details = show(text);
        let a = &details[&name("a")];
        assert_eq!((a.main_pid, a.restarts, a.since), (Some(812), Some(2), Some(1_764_000_000)));
        let b = &details[&name("b")];
        assert_eq!((b.main_pid, b.since, b.result.as_deref()), (None, None, Some("exit-code")));
        assert!(show("").is_empty());
    }
}
