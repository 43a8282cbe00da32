//! Drawing. Every state is a word, so that nothing is lost without colours.

use l4d2host::InstanceState;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState};
use unicode_width::UnicodeWidthStr;

use super::model::{Column, Mode, Model, Row};
use crate::colour::Tone;
use crate::figures;
use crate::table::cut;
use crate::text::harmless;
use crate::ui::Look;

const KEYS: &str = "q leave  Enter one  s start  x stop  r restart  c console  o/O sort  / filter";
const KEYS_OF_ONE: &str = "Esc back  s start  x stop  r restart  c console  up/down another";

/// What the columns need, with a space between them. Names and maps get what they need and there is.
const WIDTHS: [u16; 10] = [0, 13, 7, 0, 4, 5, 5, 9, 4, 3];
const SPACE: u16 = 1;

pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(2)]).areas(frame.area());
    frame.render_widget(Paragraph::new(summary(model)).style(Style::new().add_modifier(Modifier::BOLD)), head);
    if model.mode == Mode::One {
        one(frame, model, body);
    } else {
        table(frame, model, body);
    }
    frame.render_widget(Paragraph::new(footer(model)), foot);
}

fn summary(model: &Model) -> String {
    let (mut running, mut humans, mut problems, mut all) = (0, 0, 0_u32, 0);
    for row in model.all() {
        all += 1;
        running += usize::from(row.status.state == InstanceState::Running);
        humans += u32::from(row.humans().unwrap_or(0));
        problems += u32::try_from(row.status.problems.len()).unwrap_or(u32::MAX);
    }
    if !model.has_looked() {
        return "left4me".to_owned();
    }
    let sorted = format!("sorted by {}{}", model.sort.heading(), if model.reversed { ", turned round" } else { "" });
    let filter = if model.filter.is_empty() { String::new() } else { format!("  with {:?}", model.filter) };
    let (humans, problems) = (counted(humans, "player"), counted(problems, "problem"));
    format!("left4me  {running} of {all} run  {humans}  {problems}  {sorted}{filter}")
}

fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn footer(model: &Model) -> Vec<Line<'static>> {
    let line = match &model.mode {
        Mode::Filter => format!("names with: {}_  (Enter keeps it, Esc forgets it)", model.filter),
        Mode::Confirm(verb, name) => {
            let humans = model.selected_row().and_then(Row::humans);
            let who = humans.map_or("maybe somebody".to_owned(), |humans| counted(humans.into(), "player"));
            format!("{} {name}, with {who} on it? y does it, any other key does not", verb.as_str())
        }
        _ => match (&model.error, &model.message) {
            (Some(error), _) => format!("can't look: {error}"),
            (None, message) if message.is_empty() => problem(model),
            (None, message) => message.clone(),
        },
    };
    let keys = if model.mode == Mode::One { KEYS_OF_ONE } else { KEYS };
    vec![Line::from(harmless(line.as_bytes(), false)), Line::from(keys)]
}

/// What is wrong with the chosen one.
fn problem(model: &Model) -> String {
    let row = model.selected_row();
    let problem = row.and_then(|row| Some((row.status.name.as_str(), row.status.problems.first()?)));
    problem.map_or_else(String::new, |(name, problem)| format!("{name}: {}; {}", problem.message, problem.hint))
}

fn table(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let rows = model.visible();
    if rows.is_empty() {
        let text = match (model.has_looked(), model.filter.is_empty()) {
            (false, _) => "looking...",
            (true, true) => "no instances yet: `l4d2ctl initialize NAME -f SPEC.yaml` makes one",
            (true, false) => "no instance has that in its name",
        };
        return frame.render_widget(Paragraph::new(text), area);
    }
    let look = Look::of(&std::io::stdout());
    let now = figures::now();
    let at = rows.iter().position(|row| Some(&row.status.name) == model.selected.as_ref());
    let headings = Column::ALL.map(|column| {
        let style = Style::new().add_modifier(Modifier::UNDERLINED);
        Cell::from(aligned(column, column.heading().to_owned())).style(if column == model.sort {
            style.add_modifier(Modifier::BOLD)
        } else {
            style
        })
    });
    let cells: Vec<_> = rows.iter().map(|row| cells(row, now)).collect();
    let widths = widths(&cells, area.width);
    let lines = rows.iter().zip(cells).map(|(row, cells)| {
        let cells = Column::ALL.into_iter().zip(cells).zip(widths).map(|((column, text), width)| {
            let line = aligned(column, cut(&text, width.into(), look.cut_mark()));
            Cell::from(line).style(style(row, column, look.coloured))
        });
        TableRow::new(cells)
    });
    let table = Table::new(lines, widths.map(Constraint::Length))
        .column_spacing(SPACE)
        .header(TableRow::new(headings))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(at));
}

/// How wide each column is on a screen of this width.
fn widths(cells: &[[String; 10]], screen: u16) -> [u16; 10] {
    let widest = |column: Column| {
        let at = column as usize;
        let texts = cells.iter().map(|cells| cells[at].width());
        texts.chain([column.heading().len()]).max().and_then(|width| u16::try_from(width).ok()).unwrap_or(u16::MAX)
    };
    let fixed = WIDTHS.iter().map(|width| width + SPACE).sum::<u16>() - SPACE;
    let room = screen.saturating_sub(fixed);
    let (name, map) = (widest(Column::Name), widest(Column::Map));
    // Each may have half of it, and what the other leaves.
    let map = map.min(room.saturating_sub(name.min(room / 2)));
    let mut widths = WIDTHS;
    widths[Column::Name as usize] = name.min(room.saturating_sub(map));
    widths[Column::Map as usize] = map;
    widths
}

/// Numbers are at the right.
fn aligned(column: Column, text: String) -> Line<'static> {
    match column {
        Column::Name | Column::State | Column::Players | Column::Map => Line::from(text),
        _ => Line::from(text).right_aligned(),
    }
}

/// The state has a colour, as in `status`.
fn style(row: &Row, column: Column, coloured: bool) -> Style {
    let tone = match row.status.state {
        _ if column != Column::State => None,
        InstanceState::Running if !row.status.problems.is_empty() => Some(Tone::Busy),
        state => Tone::of(state),
    };
    let colour = tone.and_then(Tone::colour).filter(|_| coloured);
    colour.map_or_else(Style::new, |colour| Style::new().fg(Color::Indexed(colour)))
}

fn cells(row: &Row, now: u64) -> [String; 10] {
    let dash = || "-".to_owned();
    let live = row.status.live.as_ref();
    let silent = live.is_some_and(|live| !live.answering);
    let players = live.and_then(|live| Some(format!("{}/{}", live.humans?, live.max_players?)));
    // A mark, and not only a colour, where something is wrong.
    let mark = if row.status.problems.is_empty() { "" } else { "!" };
    [
        format!("{mark}{}", row.status.name),
        row.status.state.as_str().to_owned(),
        if silent { "silent".to_owned() } else { players.unwrap_or_else(dash) },
        live.and_then(|live| live.map.as_ref()).map_or_else(dash, |map| harmless(map.as_bytes(), false)),
        live.and_then(|live| live.fps).map_or_else(dash, |fps| format!("{fps:.0}")),
        row.processor.map_or_else(dash, |share| format!("{share:.1}")),
        row.memory.map_or_else(dash, figures::short_size),
        live.and_then(|live| Some(format!("{:.0}/{:.0}", live.in_kb?, live.out_kb?))).unwrap_or_else(dash),
        row.status.since.map_or_else(dash, |since| figures::short_ago(since, now)),
        row.status.restarts.map_or_else(dash, |restarts| restarts.to_string()),
    ]
}

/// One instance: what is known, who is on it, and the end of its log.
fn one(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let Some(row) = model.selected_row() else { return };
    let now = figures::now();
    let words: Vec<String> = Column::ALL
        .iter()
        .zip(cells(row, now))
        .map(|(column, cell)| format!("{} {cell}", column.heading().to_ascii_lowercase()))
        .collect();
    let mut lines = vec![words[..4].join("  "), words[4..].join("  ")];
    lines.extend(row.status.problems.iter().map(|problem| format!("! {}; {}", problem.message, problem.hint)));
    let shown = model.shown.as_ref().filter(|shown| shown.name == row.status.name);
    lines.push(String::new());
    match shown.map(|shown| &shown.players) {
        None => lines.push("looking...".to_owned()),
        Some(Err(why)) => lines.push(format!("who is on it is not known: {why}")),
        Some(Ok(players)) if players.is_empty() => lines.push("nobody is on it".to_owned()),
        Some(Ok(players)) => lines
            .extend(players.iter().map(|player| format!("{:>8}  {}", figures::clock(player.duration), player.name))),
    }
    lines.push(String::new());
    // What is left belongs to the log's end.
    let room = usize::from(area.height).saturating_sub(lines.len());
    let log = shown.map(|shown| &shown.log[shown.log.len().saturating_sub(room)..]).unwrap_or_default();
    let log = log.iter().map(|line| harmless(line, false));
    let lines = lines.iter().map(|line| harmless(line.as_bytes(), false)).chain(log).map(Line::from);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}
