//! The laws of what SteamCMD prints and leaves behind, for `fuzz/`.

use std::sync::LazyLock;

use overlay::beneath::Dir;

use super::app_info::{Public, Told, read};
use super::failure::Failure;
use super::manifest;
use super::output::{Event, Lines, is_prompt, parse};
use super::run::{Ended, How};

/// The first byte says how long the pieces are in which the rest comes: the lines are the same.
pub(crate) fn steam_lines(input: &[u8]) {
    let Some((&size, text)) = input.split_first() else { return };
    let (mut whole, mut cut) = (Lines::default(), Lines::default());
    let lines = whole.push(text);
    let pieces = text.chunks(usize::from(size).max(1));
    assert_eq!(pieces.flat_map(|piece| cut.push(piece)).collect::<Vec<_>>(), lines);
    assert_eq!(whole.unfinished(), cut.unfinished());
    // A byte that is no UTF-8 becomes three.
    assert!(lines.iter().all(|line| line.len() <= 3 * 4096 && !line.chars().any(|c| c.is_control() && c != '\t')));
    for line in lines.iter().chain([&whole.unfinished()]) {
        check_event(line);
    }
}

fn check_event(line: &str) {
    let told = match parse(line) {
        Event::Update { phase, .. } => phase,
        Event::SelfUpdate(text) | Event::Failed(text) | Event::Login(text) | Event::Notice(text) => text,
        Event::Success | Event::State(_) | Event::Other => return,
    };
    assert!(told.len() <= line.len());
    assert!(is_prompt(line) == is_prompt(line.trim_end()));
}

/// The first byte says how it ended, the rest what it printed.
pub(crate) fn steam_end(input: &[u8]) {
    static PLACE: LazyLock<Dir> = LazyLock::new(|| Dir::open_root("/".as_ref()).expect("the root"));
    let Some((&code, text)) = input.split_first() else { return };
    let how = match code {
        0xff => How::Silent,
        0xfe => How::Prompted,
        0xfd => How::Signalled(9),
        code => How::Exited(code.into()),
    };
    let last_lines = Lines::default().push(text);
    let events: Vec<Event> = last_lines.iter().map(|line| parse(line)).collect();
    let ended = Ended { how, events, last_lines };
    let said = ended
        .events
        .iter()
        .rev()
        .find(|event| matches!(event, Event::Success | Event::State(_) | Event::Failed(_) | Event::Login(_)));
    let Some(failure) = Failure::of(&ended) else {
        // The only way to have gone well.
        assert!(how == How::Exited(0) && matches!(said, None | Some(Event::Success)), "{ended:?}");
        return;
    };
    assert!(failure.retries() <= 5 && !failure.to_string().is_empty());
    let error = failure.error(&ended, &PLACE, None);
    assert_ne!(error.exit_code(), 0, "a failure that programs would take for success");
}

pub(crate) fn manifest(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some(values) = manifest::parse(&text) else { return };
    assert!(!values.is_empty() && values.keys().all(|key| *key == key.to_ascii_lowercase()));
    assert!(values.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= text.len());
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let lines: String = values.iter().map(|(key, value)| format!("\t{}\t\t{}\n", quoted(key), quoted(value))).collect();
    assert_eq!(manifest::parse(&format!("\"AppState\"\n{{\n{lines}}}\n")), Some(values));
}

/// What is told does not change with what SteamCMD says in between, nor when it then says nothing.
pub(crate) fn app_info(input: &[u8]) {
    let lines = Lines::default().push(&[input, b"\n"].concat());
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let told = read(&text);
    let noisy: String = lines.iter().map(|line| format!("[  0%] Checking\n{line}\n")).collect();
    assert_eq!(read(&noisy), told);
    if let Told::Build(Public { build_id, updated }) = told {
        assert!(build_id > 0 && updated != Some(0));
    }
    if told != Told::Silence {
        assert_eq!(read(&format!("{text}\"222860\"\n{{\n}}\n")), told, "nothing is less than anything");
    }
}
