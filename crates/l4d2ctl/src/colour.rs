//! Colours by what they mean. Each says again what a word says already, and is legible on black and on white.

use anstyle::{Ansi256Color, Style};
use l4d2host::InstanceState;

/// What a colour is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Heading,
    Good,
    Busy,
    Bad,
    Advice,
}

/// Of the 256 colours, whose upper 240 are the same on every terminal: the first sixteen are whatever a theme makes of them,
/// and yellow on white is nothing to read in most.
const GOOD: u8 = 28;
const BUSY: u8 = 130;
const BAD: u8 = 160;
const ADVICE: u8 = 30;

impl Tone {
    /// The colour; none where it is none that says it.
    pub(crate) const fn colour(self) -> Option<u8> {
        match self {
            Self::Heading => None,
            Self::Good => Some(GOOD),
            Self::Busy => Some(BUSY),
            Self::Bad => Some(BAD),
            Self::Advice => Some(ADVICE),
        }
    }

    fn style(self) -> Style {
        match self.colour() {
            Some(colour) => of(colour),
            None => Style::new().bold(),
        }
    }

    /// Of an instance's state.
    pub(crate) fn of(state: InstanceState) -> Option<Self> {
        match state {
            InstanceState::Running => Some(Self::Good),
            InstanceState::Starting | InstanceState::Stopping => Some(Self::Busy),
            InstanceState::Failed | InstanceState::CrashLooping => Some(Self::Bad),
            InstanceState::Stopped | InstanceState::Unknown => None,
        }
    }
}

const fn of(colour: u8) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi256(Ansi256Color(colour))))
}

/// The same for what clap prints: help. Its usage errors we print ourselves.
pub(crate) const HELP: clap::builder::Styles =
    clap::builder::Styles::styled().header(Style::new().bold()).usage(Style::new().bold()).literal(Style::new().bold());

/// A text in its colour, where colours are wanted.
pub(crate) fn paint(text: &str, tone: Option<Tone>, coloured: bool) -> String {
    match tone {
        Some(tone) if coloured && !text.is_empty() => format!("{0}{text}{0:#}", tone.style()),
        _ => text.to_owned(),
    }
}

/// The words before a message, which stand at the beginning of a line.
const LABELS: [(&str, Tone); 4] =
    [("error:", Tone::Bad), ("warning:", Tone::Busy), ("hint:", Tone::Advice), ("caused by:", Tone::Heading)];

/// A text whose lines may begin with a label, which gets its colour.
pub(crate) fn labels(text: &str, coloured: bool) -> String {
    let line = |line: &str| {
        let rest = line.strip_prefix("  ").unwrap_or(line);
        let label = LABELS.into_iter().find(|(label, _)| rest.starts_with(label)).filter(|_| coloured);
        let Some((label, tone)) = label else { return line.to_owned() };
        let indentation = &line[..line.len() - rest.len()];
        format!("{indentation}{}{}", paint(label, Some(tone), true), &rest[label.len()..])
    };
    text.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, as WCAG 2 has it, of one of the cube's 216 colours.
    fn luminance(colour: u8) -> f64 {
        let at = colour - 16;
        let light = |step: u8| {
            let value = if step == 0 { 0.0 } else { f64::from(55 + u16::from(step) * 40) / 255.0 };
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055_f64).powf(2.4) }
        };
        0.2126 * light(at / 36) + 0.7152 * light(at / 6 % 6) + 0.0722 * light(at % 6)
    }

    #[test]
    fn every_colour_is_legible_on_black_and_on_white() {
        for tone in [Tone::Good, Tone::Busy, Tone::Bad, Tone::Advice] {
            let light = luminance(tone.colour().unwrap());
            let (on_white, on_black) = (1.05 / (light + 0.05), (light + 0.05) / 0.05);
            // Both can be 4.58 at most. 3 is what WCAG wants of bold text.
            assert!(on_white > 3.5 && on_black > 3.5, "{tone:?}: {on_white} on white, {on_black} on black");
        }
    }

    #[test]
    fn labels_are_coloured_and_nothing_else() {
        let text = "error: no\n  caused by: x\n2 | hint: y\n  hint: z: error: a\n";
        assert_eq!(labels(text, false), text);
        let red = of(BAD);
        let cyan = of(ADVICE);
        let bold = Style::new().bold();
        let expected = format!(
            "{red}error:{red:#} no\n  {bold}caused by:{bold:#} x\n2 | hint: y\n  {cyan}hint:{cyan:#} z: error: a\n"
        );
        assert_eq!(labels(text, true), expected);
    }
}
