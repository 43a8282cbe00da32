//! The page of the spec (`docs/man/left4me-spec.md`, of which `left4me-spec`(5) is made), held against the parser.

use super::{MAX_ARGUMENTS, MAX_LINE, MAX_LINES, MAX_SIZE, RESERVED_ARGUMENTS, SpecSource};

const PAGE: &str = include_str!("../../../../docs/man/left4me-spec.md");

fn refusal(text: &str) -> String {
    SpecSource { file_name: "s".to_owned(), bytes: text.as_bytes().to_vec() }.parse().unwrap_err().to_string()
}

/// What a list of the page explains: the words in backticks before the colon.
fn explained() -> Vec<&'static str> {
    let heads = PAGE.lines().filter_map(|line| line.strip_prefix("- `")?.split_once(": "));
    heads.flat_map(|(head, _)| head.split('`').filter(|word| !word.is_empty() && *word != ", ")).collect()
}

#[test]
fn every_key_is_on_the_page_and_no_other() {
    let known = refusal("port: 27015\nzzzzzzzz: 1\n");
    let (_, known) = known.lines().next().unwrap().split_once("the keys are ").unwrap();
    let mut keys: Vec<&str> = known.split(", ").collect();
    let aliased = refusal("port: 27015\noverlays: [{zzzz: 1}]\n");
    assert!(aliased.contains("`{path: REF, alias: NAME}`"), "{aliased}");
    keys.extend(["path", "alias"]);
    keys.extend(RESERVED_ARGUMENTS.map(|(word, _)| word));
    let mut explained = explained();
    explained.sort_unstable();
    keys.sort_unstable();
    assert_eq!(explained, keys);
}

#[test]
fn every_example_on_the_page_is_a_spec() {
    let (_, examples) = PAGE.split_once("\n## Examples\n").unwrap();
    let blocks: Vec<String> = examples
        .split("\n\n")
        .filter(|block| block.starts_with("    "))
        .map(|block| block.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap())).collect())
        .collect();
    assert_eq!(blocks.len(), 2);
    for bytes in blocks.into_iter().map(String::into_bytes) {
        SpecSource { file_name: "page".to_owned(), bytes }.parse().unwrap();
    }
}

#[test]
fn every_limit_on_the_page_is_the_parser_s() {
    let limits = [MAX_ARGUMENTS, MAX_LINE, MAX_LINES, MAX_SIZE, names::MAX_LAYERS - 1];
    for number in limits.map(|number| number.to_string()) {
        assert!(PAGE.split(|c: char| !c.is_ascii_digit()).any(|word| word == number), "{number} is not on the page");
    }
}
