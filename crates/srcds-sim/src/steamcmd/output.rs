//! Printing as SteamCMD does: in blocks of 4 KiB where there is no terminal, at once where there is one.

use std::io::{BufWriter, IsTerminal, Stdout, Write};
use std::time::Duration;

pub(super) struct Output {
    out: BufWriter<Stdout>,
    terminal: bool,
    pause: Option<Duration>,
}

impl Output {
    pub(super) fn new() -> Self {
        let out = std::io::stdout();
        let pause = std::env::var("LEFT4ME_SIM_STEAM_SLOW").ok().and_then(|ms| ms.parse().ok());
        Self {
            terminal: out.is_terminal(),
            out: BufWriter::with_capacity(4096, out),
            pause: pause.map(Duration::from_millis),
        }
    }

    /// A line. That nobody reads any more is no reason for SteamCMD to stop.
    pub(super) fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
        self.after();
    }

    /// A line that the next one writes over.
    pub(super) fn progress(&mut self, text: &str) {
        let _ = write!(self.out, "{text}\r");
        self.after();
    }

    pub(super) fn state(&mut self, code: &str, word: &str, done: u64, total: u64) {
        let hundredths = (done * 10_000).checked_div(total).unwrap_or(0);
        let (percent, rest) = (hundredths / 100, hundredths % 100);
        self.line(&format!(" Update state ({code}) {word}, progress: {percent}.{rest:02} ({done} / {total})"));
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let _ = self.out.write_all(bytes);
        self.after();
    }

    fn after(&mut self) {
        if self.terminal {
            self.flush();
        }
        if let Some(pause) = self.pause {
            // What is simulated is time that passes.
            std::thread::sleep(pause);
        }
    }

    pub(super) fn flush(&mut self) {
        let _ = self.out.flush();
    }
}
