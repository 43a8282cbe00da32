//! `cargo xtask docs`: man pages, completions and the reference of the commands, from the description of the arguments that
//! `--help` is made of. They are committed, and `cargo xtask check` holds them against what would be written now.

mod completions;
mod man;
mod reference;
mod text;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::build::project;

/// What stands in `l4d2ctl.1` and in the reference behind the commands.
const SECTIONS: &str = "docs/man/l4d2ctl.md";

/// What says when this version was made.
const CHANGELOG: &str = "CHANGELOG.md";

/// Pages of their own, and the texts that they are made of.
const PAGES: [(&str, &str); 2] = [
    ("dist/man/left4me-spec.5", "docs/man/left4me-spec.md"),
    ("dist/man/left4me-server@.service.8", "docs/man/left4me-server.md"),
];

/// What limits a server.
const UNIT: &str = "dist/systemd/system/left4me-server@.service";

/// The settings of the unit that are named as limits, and what each is.
const LIMITS: [(&str, &str); 7] = [
    ("MemoryHigh", "memory, from which on the kernel takes back what it can, and slows the server down"),
    ("MemoryMax", "memory; a server that needs more is killed, and started again"),
    ("TasksMax", "processes and threads"),
    ("LimitNOFILE", "open files and sockets"),
    ("LimitCORE", "size of a core dump"),
    ("Nice", "its frames come before the rest of the host"),
    ("OOMScoreAdjust", "where the host itself has no memory left, it is among the last to be killed"),
];

/// Where all that lies in them is generated.
const DIRECTORIES: [&str; 4] = ["dist/man", "dist/completions/bash", "dist/completions/zsh", "dist/completions/fish"];

/// A file of the project, and what it is to hold.
type Generated = (String, String);

fn read(name: &str) -> Result<String> {
    fs::read_to_string(project().join(name)).with_context(|| format!("can't read {name}"))
}

/// Everything that is generated.
fn generate() -> Result<Vec<Generated>> {
    let mut command = l4d2ctl::command().disable_help_subcommand(true);
    command.build();
    let sections = read(SECTIONS)?;
    let sections = text::sections(&sections);
    let operating = read("docs/operating.md")?;
    let changelog = read(CHANGELOG)?;
    let day = day(&changelog)?;
    let mut files = vec![
        ("docs/cli.md".to_owned(), reference::of(&command, sections)),
        ("dist/man/l4d2ctl.1".to_owned(), man::of_command(&command, day, &main_sections(sections, &operating)?)?),
    ];
    for of in command.get_subcommands() {
        let see_also = see_also(&command, of.get_name());
        files.push((format!("dist/man/l4d2ctl-{}.1", of.get_name()), man::of_command(of, day, &see_also)?));
    }
    for (page, text) in PAGES {
        let filled = read(text)?.replace("@LIMITS@", &limits(&read(UNIT)?)?);
        files.push((page.to_owned(), man::of_text(&filled, day).with_context(|| format!("in {text}"))?));
    }
    files.extend(completions::all()?.map(|(name, script)| (name.to_owned(), script)));
    Ok(files)
}

/// The day of this version, which its pages are as of: `## VERSION, DAY` is its heading.
fn day(changelog: &str) -> Result<&str> {
    const HEADING: &str = concat!("## ", env!("CARGO_PKG_VERSION"), ", ");
    changelog
        .lines()
        .find_map(|line| line.strip_prefix(HEADING))
        .with_context(|| format!("{CHANGELOG} has no heading `{HEADING}DAY`"))
}

/// The sections of the main page, that of errors in its place.
fn main_sections(sections: &str, operating: &str) -> Result<String> {
    const LAST: &str = "## See also\n";
    let (before, last) = sections.split_once(LAST).with_context(|| format!("{SECTIONS} does not end with {LAST:?}"))?;
    Ok(format!("{before}{}\n{LAST}{last}", errors(operating)?))
}

/// The kinds of errors, from the table of `docs/operating.md`, which a test holds against the program.
fn errors(operating: &str) -> Result<String> {
    let rows = operating.lines().skip_while(|line| *line != "| kind | meaning |").skip(2);
    let rows: Vec<String> = rows
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .map(|(kind, meaning)| format!("- {kind}: {meaning}\n"))
        .collect();
    ensure!(!rows.is_empty(), "docs/operating.md has no table of the kinds of errors");
    Ok(format!("## Errors\n\nThe kinds of errors, as `--json` has them:\n\n{}", rows.concat()))
}

/// The unit's limits, as it has them.
fn limits(unit: &str) -> Result<String> {
    let line = |(setting, what): (&str, &str)| {
        let value = unit.lines().find_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
        Ok(format!("- `{setting}={}`: {what}.\n", value.with_context(|| format!("{UNIT} has no {setting}="))?))
    };
    LIMITS.into_iter().map(line).collect()
}

/// The page of all, and those that the command's own description names: other commands, and pages of their own.
fn see_also(all: &clap::Command, name: &str) -> String {
    let own = all.find_subcommand(name);
    let long = own.and_then(clap::Command::get_long_about).map(ToString::to_string).unwrap_or_default();
    let named = |of: &&clap::Command| of.get_name() != name && long.contains(&format!("l4d2ctl {}`", of.get_name()));
    let others = all.get_subcommands().filter(named).map(|of| format!(", `l4d2ctl-{}`(1)", of.get_name()));
    let pages = PAGES.iter().filter_map(|(page, _)| page.strip_prefix("dist/man/")?.rsplit_once('.'));
    let pages = pages.filter(|(page, _)| long.contains(&format!("`man {page}`")));
    let pages = pages.map(|(page, section)| format!(", `{page}`({section})"));
    format!("\n## See also\n\n`l4d2ctl`(1){}\n", others.chain(pages).collect::<String>())
}

/// Writes the files that differ, and removes what is generated no more.
pub(crate) fn write() -> Result<()> {
    let files = generate()?;
    for (name, text) in &files {
        if read(name).ok().as_ref() != Some(text) {
            let path = project().join(name);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            fs::write(&path, text).with_context(|| format!("can't write {name}"))?;
            println!("wrote {name}");
        }
    }
    for name in left_over(&files)? {
        fs::remove_file(project().join(&name)).with_context(|| format!("can't remove {name}"))?;
        println!("removed {name}");
    }
    Ok(())
}

/// Refuses a file that is not what would be written now.
pub(crate) fn check() -> Result<()> {
    let files = generate()?;
    for (name, text) in &files {
        if read(name)? != *text {
            bail!("{name} is not what `--help` and docs/man say now: `cargo xtask docs` writes it");
        }
    }
    match left_over(&files)?.first() {
        Some(name) => bail!("{name} is generated no more: `cargo xtask docs` removes it"),
        None => Ok(()),
    }
}

fn left_over(files: &[Generated]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        for entry in fs::read_dir(project().join(directory)).with_context(|| format!("can't list {directory}"))? {
            let name = format!("{directory}/{}", entry?.file_name().display());
            if files.iter().all(|(generated, _)| *generated != name) {
                found.push(name);
            }
        }
    }
    Ok(found)
}
