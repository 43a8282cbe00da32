//! The figures as a picture: a bar for each row, and small plots of what grows with the number of instances.
//!
//! It is shown on light and on dark pages, so it has no ground of its own, and colours that can be read on either.

use std::fmt::Write as _;

use super::report::{Line, Report, Row, Target};
use super::table::{number, verdict};

const WIDTH: f64 = 900.0;
const ROW: f64 = 19.0;
const TOP: f64 = 40.0;

/// Names end here and bars begin.
const BARS: f64 = 465.0;
const BAR_WIDTH: f64 = 250.0;

/// Bars are as long as the logarithm says, from this part of the target to as much of it, where the target stands in the
/// middle.
const DECADES: f64 = 1.5;

const PLOTS_IN_A_LINE: usize = 4;
const PLOT_WIDTH: f64 = WIDTH / 4.0;
const PLOT_HEIGHT: f64 = 150.0;

/// `order` is that of the parts.
pub(super) fn draw(report: &Report, order: &[&str]) -> String {
    let rows: Vec<&Row> = report.rows(order).into_iter().filter(|row| row.target.is_some()).collect();
    let lines: Vec<&Line> = report.lines().collect();
    let plots_at = TOP + ROW * len(rows.len()) + 30.0;
    let height = plots_at + PLOT_HEIGHT * len(lines.len().div_ceil(PLOTS_IN_A_LINE));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"left4me's figures beside their targets\">\n\
         <style>text{{font:12px sans-serif;fill:#6e7681}}.v{{text-anchor:end}}.m{{text-anchor:middle}}.s{{font-size:10px}}\
         .ok{{fill:#2f81f7}}.missed{{fill:#db6d28}}.axis{{stroke:#8b949e;fill:none}}.line{{stroke:#2f81f7;fill:none;\
         stroke-width:2}}</style>\n"
    );
    text(&mut svg, 0.0, 14.0, "", "Each row beside its target: left of the line is better.");
    text(&mut svg, BARS + BAR_WIDTH / 2.0, 32.0, "m s", "target");
    for (at, row) in rows.iter().enumerate() {
        bar(&mut svg, TOP + ROW * len(at), row);
    }
    let middle = BARS + BAR_WIDTH / 2.0;
    let bottom = TOP + ROW * len(rows.len());
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M{middle} {TOP}V{bottom}\"/>");
    for (at, line) in lines.iter().enumerate() {
        let (x, y) = (PLOT_WIDTH * len(at % PLOTS_IN_A_LINE), plots_at + PLOT_HEIGHT * len(at / PLOTS_IN_A_LINE));
        plot(&mut svg, x, y, line);
    }
    svg.push_str("</svg>\n");
    svg
}

/// So much of its target a row takes, less being better: 1 is the target.
fn share(row: &Row) -> Option<f64> {
    let value = row.ratio.map_or(row.ours, |ratio| ratio.median);
    Some(match row.target? {
        Target::AtMost(most) => value / most,
        Target::AtLeast(least) => least / value,
    })
}

fn bar(svg: &mut String, y: f64, row: &Row) {
    let (Some(share), Some(target)) = (share(row), row.target) else { return };
    let length = BAR_WIDTH * ((share.log10() + DECADES) / (2.0 * DECADES)).clamp(0.01, 1.0);
    let base = y + 13.0;
    text(svg, BARS - 8.0, base, "v", &row.name);
    let class = if row.is_missed() { "missed" } else { "ok" };
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{BARS}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"11\" rx=\"2\"/>",
        y + 3.0
    );
    let value = match row.ratio {
        Some(ratio) => number(ratio.median),
        None => format!("{} {}", number(row.ours), row.unit),
    };
    let word = if row.is_missed() { format!(" {}", verdict(row)) } else { String::new() };
    text(svg, BARS + BAR_WIDTH + 8.0, base, "", &format!("{value} ({target}){word}"));
}

/// Both axes begin at 0, so that what is flat looks flat and what is linear is a straight line.
fn plot(svg: &mut String, x: f64, y: f64, line: &Line) {
    let (left, bottom, width, height) = (x + 8.0, y + PLOT_HEIGHT - 26.0, PLOT_WIDTH - 30.0, PLOT_HEIGHT - 60.0);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MIN_POSITIVE, f64::max);
    let most_x = most(&mut line.points.iter().map(|point| point.0));
    let most_y = most(&mut line.points.iter().map(|point| point.1));
    text(svg, left, y + 12.0, "", &line.name);
    text(svg, left, y + 26.0, "s", &format!("{} {} at {most_x}", number(most_y), line.unit));
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M{left:.1} {:.1}V{bottom:.1}h{width:.1}\"/>", bottom - height);
    let place = |&(x, y): &(f64, f64)| (left + width * x / most_x, bottom - height * y / most_y);
    let path: Vec<String> = line.points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", path.join(" "));
    for (x, y) in line.points.iter().map(place) {
        let _ = writeln!(svg, "<circle class=\"ok\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
    }
    text(svg, left, bottom + 13.0, "s", "0");
    text(svg, left + width, bottom + 13.0, "s v", &format!("{most_x} instances"));
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\"{class}>{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number of rows as a length.
fn len(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::super::report::Part;
    use super::*;

    /// Every tag that is opened is closed, in order, and nothing stands between that would have to be escaped.
    fn check_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some((before, after)) = rest.split_once('<') {
            for piece in before.split('&').skip(1) {
                assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|name| piece.starts_with(name)), "{before}");
            }
            let (tag, after) = after.split_once('>').expect("a tag without an end");
            assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag}");
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
                None if tag.ends_with('/') => {}
                None => open.push(tag.split(' ').next().unwrap_or_default().to_owned()),
            }
            rest = after;
        }
        assert!(open.is_empty() && rest == "\n", "{open:?} {rest:?}");
    }

    #[test]
    fn any_name_gives_a_picture_that_is_well_formed() {
        let name = "a < b && \"c\" </svg> ÷";
        let line = |points| Line { name: name.to_owned(), unit: "<ms>".to_owned(), points };
        let report = Report {
            parts: [(
                "a".to_owned(),
                Part {
                    rows: vec![
                        Row::single(name, "<KiB>", Target::AtMost(64.0), 0.0),
                        Row::single(name, "<KiB>", Target::AtMost(64.0), f64::INFINITY),
                        Row::compared(name, "ms", Some(Target::AtLeast(0.9)), &[1.0], &[2.0]),
                        Row::compared(name, "ms", None, &[], &[]),
                    ],
                    lines: vec![line(vec![]), line(vec![(1.0, 0.0), (300.0, 9.5)])],
                    ..Part::default()
                },
            )]
            .into(),
        };
        let svg = draw(&report, &[]);
        check_well_formed(&svg);
        assert!(svg.contains("a &lt; b &amp;&amp; &quot;c&quot; &lt;/svg&gt; ÷"));
        assert!(
            !svg.contains("NaN") && !svg.contains("inf\"") && svg.matches("class=\"missed\"").count() == 2,
            "{svg}"
        );
        check_well_formed(&draw(&Report::default(), &[]));
    }

    #[test]
    fn what_meets_its_target_ends_left_of_it() {
        let of = |target, value| share(&Row::single("a", "ms", target, value)).unwrap();
        assert!(of(Target::AtMost(2.0), 1.0) < 1.0 && of(Target::AtMost(2.0), 3.0) > 1.0);
        assert!(of(Target::AtLeast(2.0), 3.0) < 1.0 && of(Target::AtLeast(2.0), 1.0) > 1.0);
    }
}
