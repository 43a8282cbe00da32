//! What must hold of whatever a server sends.

use super::{Error, Event, MAX_FRAME, Password, Session};

/// The bytes of a server, to a client that always has one more command: it does not matter how they are cut, nothing is
/// kept beyond the limit, and nothing is made up.
pub(crate) fn session(input: &[u8]) {
    let whole = run(input, input.len().max(1), usize::MAX);
    for piece in [1, 7] {
        assert_eq!(run(input, piece, usize::MAX), whole, "in pieces of {piece}");
    }
    let replied: usize = whole.0.iter().map(Vec::len).sum();
    assert!(replied <= input.len());
    for limit in [0, 100] {
        let (replies, _) = run(input, 16, limit);
        assert!(replies.iter().all(|reply| reply.len() <= limit));
    }
}

/// The replies, and how it ended.
fn run(input: &[u8], piece: usize, limit: usize) -> (Vec<Vec<u8>>, String) {
    let Ok(password) = Password::new("secret") else { return (Vec::new(), String::new()) };
    let mut session = Session::new(&password).limit_replies(limit);
    let mut replies = Vec::new();
    for bytes in input.chunks(piece) {
        session.receive(bytes);
        loop {
            let event = match session.next_event() {
                Ok(None) => break,
                Ok(Some(event)) => event,
                Err(error) => return (replies, told(&error)),
            };
            replies.extend(match event {
                Event::Admitted => None,
                Event::Reply(reply) => Some(reply),
            });
            session.sent(usize::MAX);
            if let Err(error) = session.command("status") {
                return (replies, told(&error));
            }
        }
        // A frame that is not whole, and no more of a reply than may come.
        let kept = session.kept();
        assert!(kept <= MAX_FRAME + 4 + limit.saturating_add(piece).min(input.len()), "{kept} bytes are kept");
    }
    (replies, String::new())
}

fn told(error: &Error) -> String {
    let told = error.to_string();
    assert!(!told.chars().any(char::is_control) && !matches!(error, Error::InvalidCommand(_)), "{told}");
    told
}
