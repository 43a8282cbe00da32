//! `l4d2ctl top` at a terminal of 80×24. It draws only what has changed, word by word, so single words are looked for.

use std::os::unix::process::ExitStatusExt;

use std::process::Command;

use crate::Sandbox;
use crate::console::Seat;

/// The same that `top` draws on.
#[path = "../../src/commands/top/screen.rs"]
mod screen;

/// What takes the screen, hides the cursor, and shows the screen as it was, with its cursor.
const SCREEN_TAKEN: &str = "\u{1b}[?1049h";
const CURSOR_HIDDEN: &str = "\u{1b}[?25l";
const SCREEN_GIVEN_BACK: &str = "\u{1b}[?1049l\u{1b}[?25h";

fn top(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Seat {
    Seat::at(sandbox, &["top"], environment)
}

#[test]
fn all_instances_are_seen_and_the_screen_is_given_back() {
    let sandbox = Sandbox::with_game();
    sandbox.up("friday", &["sim_players 3", "map c2m1_highway", "hostname x"]);
    sandbox.make("spare", &crate::live::spec(crate::port(), &[]));
    let mut seat = top(&sandbox, &[]);
    for text in ["PLAYERS", "friday", "running", "3/4", "c2m1_highw", "spare", "stopped"] {
        seat.see(text);
    }
    // The frames come from the console, which is asked at the second look.
    seat.see("30");
    seat.type_in("q");
    seat.see(SCREEN_GIVEN_BACK);
    let (status, _) = seat.end();
    assert!(status.success());
}

#[test]
fn a_filter_a_sort_and_one_instance() {
    let sandbox = Sandbox::with_game();
    sandbox.up("friday", &["sim_players 1"]);
    sandbox.make("spare", &crate::live::spec(crate::port(), &[]));
    let mut seat = top(&sandbox, &[]);
    seat.see("spare");
    seat.type_in("/par\r");
    seat.see("spare stopped");
    seat.type_in("\u{1b}");
    seat.see("friday");
    seat.type_in("o");
    seat.see("STATE");
    seat.type_in("\u{1b}[H\r");
    // Its players, and its log.
    seat.see("Coach");
    seat.see("successful.");
    seat.type_in("q");
    seat.see("PLAYERS");
    seat.type_in("q");
    assert!(seat.end().0.success());
}

#[test]
fn nobody_is_thrown_out_by_a_key() {
    let sandbox = Sandbox::with_game();
    sandbox.up("friday", &["sim_players 2"]);
    let mut seat = top(&sandbox, &[]);
    seat.see("2/4");
    seat.type_in("x");
    seat.see("it?");
    seat.type_in("n");
    seat.see("done");
    assert_eq!(sandbox.state("friday"), "running");
    seat.type_in("x");
    seat.see("it?");
    seat.type_in("y");
    seat.see("done");
    assert_eq!(sandbox.state("friday"), "stopped");
    // Nobody is asked before a start.
    seat.type_in("s");
    sandbox.wait("it runs", |s| s.state("friday") == "running");
    seat.type_in("q");
    assert!(seat.end().0.success());
}

#[test]
fn a_signal_gives_the_screen_back_and_ends_it() {
    let sandbox = Sandbox::with_game();
    for (name, number) in [("TERM", 15), ("HUP", 1), ("INT", 2)] {
        let mut seat = top(&sandbox, &[]);
        seat.see("initialize");
        seat.signal(name);
        seat.see(SCREEN_GIVEN_BACK);
        // Compares the terminal's modes with those before.
        let (status, seen) = seat.end();
        assert_eq!(status.signal(), Some(number), "{seen:?}");
    }
}

#[test]
fn the_console_opens_and_what_it_says_at_its_end_is_read() {
    let sandbox = Sandbox::with_game();
    sandbox.up("friday", &[]);
    sandbox.make("spare", &crate::live::spec(crate::port(), &[]));
    let mut seat = top(&sandbox, &[]);
    seat.see("spare");
    seat.type_in("c");
    seat.see("friday> ");
    seat.type_in("echo from the console\r");
    seat.see("from the console \r\n");
    seat.type_in("\u{4}");
    seat.see("PLAYERS");
    seat.type_in("jc");
    seat.see("instance spare does not run");
    seat.see("Enter goes back");
    seat.type_in("\r");
    seat.see("PLAYERS");
    seat.type_in("q");
    seat.see(SCREEN_GIVEN_BACK);
    assert!(seat.end().0.success());
}

/// This program is the one that panics, in a process of its own: `top` does not where anybody wants it to.
#[test]
fn a_panic_gives_the_screen_back_and_ends_it() {
    const PART: &str = "TEST_PANICS_IN";
    const THREADS: [&str; 2] = ["the drawing thread", "another thread"];
    let panics = |thread: &str| panic!("the reason, in {thread}");
    if let Ok(thread) = std::env::var(PART) {
        screen::on_the_screen(|terminal| {
            terminal.draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
            if thread == THREADS[0] {
                panics(&thread);
            }
            std::thread::spawn(move || panics(&thread));
            // As a program that hears keys would: until it is ended.
            loop {
                std::thread::park();
            }
        })
        .unwrap();
    }
    for thread in THREADS {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "top::a_panic_gives_the_screen_back_and_ends_it", "--nocapture"]).env(PART, thread);
        let mut seat = Seat::of(command);
        for text in [SCREEN_TAKEN, "drawn", CURSOR_HIDDEN, SCREEN_GIVEN_BACK, "panicked at ", "the reason, in "] {
            seat.see(text);
        }
        // A newline goes to the line's beginning: the terminal is in its own mode again.
        seat.see(&format!("{thread}\r\n"));
        // Compares the terminal's modes with those before.
        let (status, seen) = seat.end();
        assert_eq!(status.code(), Some(101), "{seen:?}");
        assert!(!seen.contains(SCREEN_TAKEN) && !seen.contains(CURSOR_HIDDEN), "{seen:?}");
    }
}

#[test]
fn it_does_not_outlive_its_terminal() {
    let sandbox = Sandbox::with_game();
    let mut seat = top(&sandbox, &[]);
    seat.see("initialize");
    let status = seat.hang_up();
    assert!(status.code().is_some_and(|code| code <= 1), "it was to end by itself: {status}");
}

#[test]
fn without_colour_nothing_is_coloured_and_problems_are_marked() {
    let sandbox = Sandbox::with_game();
    sandbox.make("bad", &crate::live::spec(crate::port(), &["sim_exit_after 0"]));
    sandbox.ok(&["start", "bad"]);
    sandbox.wait("it crashes", |s| s.state("bad") == "crash-looping");
    let mut seat = top(&sandbox, &[("NO_COLOR", "1")]);
    seat.see("!bad");
    seat.type_in("q");
    let (_, seen) = seat.end();
    assert!(!seen.contains("\u{1b}[31") && !seen.contains("\u{1b}[38"), "{seen:?}");
}

#[test]
fn what_is_no_terminal_is_not_drawn_on() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["top"]);
    assert!(
        ran.code == 2 && ran.stderr.contains("top draws on a terminal") && ran.stderr.contains("status"),
        "{ran:?}"
    );
    assert_eq!(sandbox.run(&["top", "--json"]).code, 2);
}
