//! Who writes to the terminal: one thread, so that lines and the line of counters do not get into each other.
//!
//! A reader who is slow holds up those who write lines, and nobody else: the thread does the waiting. A reader who is
//! gone is noticed, and the demo ends.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The way to the terminal. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    pieces: mpsc::Sender<Piece>,
    gone: CancellationToken,
}

/// Something to write.
#[derive(Debug)]
enum Piece {
    /// A result, for standard output.
    Result(String),
    /// A remark, for standard error.
    Remark(String),
    /// The counters at the moment: they overwrite each other on a terminal.
    Counters(String),
}

impl Screen {
    /// The screen, and a receiver that is answered when everything was written and the last handle is gone.
    pub(super) fn start() -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (pieces, mut incoming) = mpsc::channel(256);
        let gone = CancellationToken::new();
        let (finished, done) = oneshot::channel();
        let reader_gone = gone.clone();
        std::thread::Builder::new().name("screen".to_owned()).spawn(move || {
            let mut writer = Writer::new();
            if let Err(error) = writer.run(&mut incoming)
                && error.kind() == io::ErrorKind::BrokenPipe
            {
                reader_gone.cancel();
            }
            // Nobody waits for it any more if the demo was ended at once.
            let _gone = finished.send(());
        })?;
        Ok((Self { pieces, gone }, done))
    }

    /// Writes a result, such as an event, to standard output. Waits if there is much to write.
    pub(super) async fn result(&self, text: String) {
        self.send(Piece::Result(text)).await;
    }

    /// Writes a remark to standard error.
    pub(super) async fn remark(&self, text: String) {
        self.send(Piece::Remark(text)).await;
    }

    /// Shows the counters on standard error. If there is much to write, they are left out.
    pub(super) fn counters(&self, text: String) {
        let _left_out = self.pieces.try_send(Piece::Counters(text));
    }

    /// How often counters are worth showing.
    pub(super) fn counters_period() -> Duration {
        if is_live() { Duration::from_millis(200) } else { Duration::from_secs(5) }
    }

    /// Returns when whoever read standard output has gone.
    pub(super) async fn reader_gone(&self) {
        self.gone.cancelled().await;
    }

    async fn send(&self, piece: Piece) {
        // The thread ends early only if nobody reads what it writes.
        let _gone = self.pieces.send(piece).await;
    }
}

/// Whether counters can be overwritten.
fn is_live() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes pieces as they come.
#[derive(Debug)]
struct Writer {
    live: bool,
    /// The counters that are on the screen.
    counters: Option<String>,
}

impl Writer {
    fn new() -> Self {
        Self { live: is_live(), counters: None }
    }

    /// Writes until there is no handle any more.
    fn run(&mut self, incoming: &mut mpsc::Receiver<Piece>) -> io::Result<()> {
        while let Some(first) = incoming.blocking_recv() {
            let mut results = String::new();
            let mut counters = None;
            let mut next = Some(first);
            while let Some(piece) = next {
                match piece {
                    // Writing to a String does not fail.
                    Piece::Result(text) => _ = writeln!(results, "{text}"),
                    Piece::Remark(text) => self.write(&std::mem::take(&mut results), &(text + "\n"), None)?,
                    Piece::Counters(text) => counters = Some(text),
                }
                next = if results.len() < 64 * 1024 { incoming.try_recv().ok() } else { None };
            }
            self.write(&results, "", counters)?;
        }
        self.clear()
    }

    fn write(&mut self, results: &str, remarks: &str, counters: Option<String>) -> io::Result<()> {
        if !self.live {
            write(anstream::stdout(), results)?;
            write(anstream::stderr(), remarks)?;
            return counters.map_or(Ok(()), |counters| writeln!(io::stderr(), "{counters}"));
        }
        let shown = counters.or_else(|| self.counters.clone());
        self.clear()?;
        write(anstream::stdout(), results)?;
        write(anstream::stderr(), remarks)?;
        if let Some(counters) = &shown {
            // What does not fit on the line is cut off rather than wrapped.
            write(io::stderr(), &format!("\x1b[?7l{counters}\x1b[?7h"))?;
        }
        self.counters = shown;
        Ok(())
    }

    /// Takes the counters off the screen.
    fn clear(&mut self) -> io::Result<()> {
        if self.live && self.counters.take().is_some() {
            write(io::stderr(), "\r\x1b[K")?;
        }
        Ok(())
    }
}

fn write(mut to: impl io::Write, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    to.write_all(text.as_bytes())?;
    to.flush()
}
