//! The laws of what systemd's programs print, for `fuzz/`.

use names::InstanceName;

use super::{journal, parse};
use crate::InstanceState;

pub(crate) fn list_units(input: &[u8]) {
    let Ok(units) = parse::list_units(input) else { return };
    // In fields that nobody asks for, there may be what is no JSON: it is passed over.
    let Ok(there) = serde_json::from_slice::<serde_json::Value>(input) else { return };
    let is = |field: &serde_json::Value, text: &str| field.as_str() == Some(text);
    for (name, unit) in units {
        let mut listed = there.as_array().into_iter().flatten().filter(|listed| is(&listed["unit"], &name.unit()));
        assert!(listed.any(|l| is(&l["active"], &unit.active_state) && is(&l["sub"], &unit.sub_state)), "{name}");
        assert!(unit.since.is_none() && !unit.enabled, "this question does not tell");
        // Whatever words systemd finds, each is a state.
        assert!(!InstanceState::from_unit(&unit.active_state, &unit.sub_state).as_str().is_empty());
        assert_eq!(InstanceName::from_unit(&name.unit()), Some(name));
    }
}

pub(crate) fn show(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let units = parse::show(text);
    assert!(units.len() <= text.split("\n\n").count());
    for (name, details) in units {
        assert!(text.contains(&format!("Id={}", name.unit())) && details.main_pid != Some(0));
    }
}

pub(crate) fn journal(input: &[u8]) {
    let Ok(entry) = journal::parse(input) else { return };
    assert!(entry.message.len() <= input.len());
    assert!(entry.priority.is_none_or(|priority| priority <= 7), "syslog has eight: {:?}", entry.priority);
    assert!(entry.time.is_none_or(|time| time.duration_since(std::time::UNIX_EPOCH).is_ok()));
}
