//! One root directory and one supervisor: the value that everything is a function on.

/// A host: where everything lies and who runs it.
#[derive(Debug)]
pub struct Host {}
