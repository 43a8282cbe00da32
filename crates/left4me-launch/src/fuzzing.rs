//! What must hold of whatever is handed to the parser of this crate. A function breaks where a law does; `fuzz/` calls
//! it, by chance and by libFuzzer.

use names::fuzzing::Target;

use crate::arguments::MAX_SIZE;
use crate::{parse_launch, print_launch};

/// The parsers of this crate.
pub const TARGETS: &[Target] = &[("launch", launch)];

fn launch(input: &[u8]) {
    match parse_launch(input) {
        Ok(arguments) => {
            assert!(!arguments.is_empty() && !arguments.iter().any(|word| word.chars().any(char::is_control)));
            let printed = print_launch(&arguments);
            // What is too long is not read at all where it counts.
            assert!(printed.is_ok() == (input.len() as u64 <= MAX_SIZE));
            assert!(printed.is_ok_and(|text| text.as_bytes() == input) || input.len() as u64 > MAX_SIZE);
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
}
