//! What keys mean.

use names::InstanceName;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::act::Verb;
use super::model::{Column, Mode, Model};

/// A page of rows.
const PAGE: isize = 15;

/// A longer text than any name.
const MAX_FILTER: usize = 64;

/// What the keys ask of others than the model.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Leave,
    Show(Option<InstanceName>),
    Do(Verb, InstanceName),
    Console(InstanceName),
}

pub(super) fn hear(model: &mut Model, event: &Event) -> Wish {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => press(model, *key),
        _ => Wish::Nothing,
    }
}

fn press(model: &mut Model, key: KeyEvent) -> Wish {
    if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
        return Wish::Leave;
    }
    match model.mode.clone() {
        Mode::Filter => filter(model, key.code),
        Mode::Confirm(verb, name) => {
            model.mode = Mode::Table;
            model.message = format!("{} {name}: not done", verb.as_str());
            if key.code == KeyCode::Char('y') { Wish::Do(verb, name) } else { Wish::Nothing }
        }
        Mode::One => match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') | KeyCode::Backspace => {
                model.mode = Mode::Table;
                Wish::Show(None)
            }
            code => act(model, code),
        },
        Mode::Table => match key.code {
            KeyCode::Char('q') => Wish::Leave,
            KeyCode::Esc => {
                model.filter.clear();
                Wish::Nothing
            }
            code => act(model, code),
        },
    }
}

fn filter(model: &mut Model, code: KeyCode) -> Wish {
    match code {
        KeyCode::Enter => model.mode = Mode::Table,
        KeyCode::Esc => {
            model.filter.clear();
            model.mode = Mode::Table;
        }
        KeyCode::Backspace => drop(model.filter.pop()),
        KeyCode::Char(c) if !c.is_control() && model.filter.len() < MAX_FILTER => model.filter.push(c),
        _ => {}
    }
    model.choose(0);
    Wish::Nothing
}

/// Keys of the table that are those of one instance, too.
fn act(model: &mut Model, code: KeyCode) -> Wish {
    let by = match code {
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::PageUp => -PAGE,
        KeyCode::PageDown => PAGE,
        KeyCode::Home | KeyCode::Char('g') => isize::MIN,
        KeyCode::End | KeyCode::Char('G') => isize::MAX,
        _ => 0,
    };
    if by != 0 {
        model.choose(by);
        return if model.mode == Mode::One { Wish::Show(model.selected.clone()) } else { Wish::Nothing };
    }
    let Some(name) = model.selected.clone() else { return sort(model, code) };
    match code {
        KeyCode::Enter => {
            model.mode = Mode::One;
            model.shown = None;
            Wish::Show(Some(name))
        }
        KeyCode::Char('s') => Wish::Do(Verb::Start, name),
        KeyCode::Char('x') => unless_played_on(model, Verb::Stop, name),
        KeyCode::Char('r') => unless_played_on(model, Verb::Restart, name),
        KeyCode::Char('c') => Wish::Console(name),
        code => sort(model, code),
    }
}

fn sort(model: &mut Model, code: KeyCode) -> Wish {
    match code {
        KeyCode::Char('o') => {
            let at = Column::ALL.iter().position(|column| *column == model.sort).unwrap_or(0);
            model.sort = Column::ALL[(at + 1) % Column::ALL.len()];
            model.reversed = false;
        }
        KeyCode::Char('O') => model.reversed = !model.reversed,
        KeyCode::Char('/') if model.mode == Mode::Table => model.mode = Mode::Filter,
        _ => {}
    }
    Wish::Nothing
}

fn unless_played_on(model: &mut Model, verb: Verb, name: InstanceName) -> Wish {
    if !model.is_played_on(&name) {
        return Wish::Do(verb, name);
    }
    let shown = model.mode == Mode::One;
    model.mode = Mode::Confirm(verb, name);
    if shown { Wish::Show(None) } else { Wish::Nothing }
}
