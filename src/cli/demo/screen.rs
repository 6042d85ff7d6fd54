//! The output of the demo. One thread writes all of it, so that events and the line of counters do not mix.
//!
//! A slow reader, such as a paused terminal, delays only the tasks that print lines: the writing thread does the
//! waiting. If the reader closes the pipe, the demo ends.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::time::Duration;

use terminal_size::Width;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A handle to the thread that writes the output. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    pieces: mpsc::Sender<Piece>,
    gone: CancellationToken,
}

/// A piece of output.
#[derive(Debug)]
enum Piece {
    /// A result, such as an event, for standard output.
    Result(String),
    /// A remark to the user, for standard error.
    Remark(String),
    /// The current counters, for standard error. On a terminal they overwrite the previous counters.
    Counters(String),
}

impl Screen {
    /// Starts the thread. Returns a handle, and a receiver that resolves after the last handle is dropped and
    /// everything is written.
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
            // The receiver is gone if the user ended the demo at once.
            let _gone = finished.send(());
        })?;
        Ok((Self { pieces, gone }, done))
    }

    /// Writes a result, such as an event, to standard output. Waits while the channel is full.
    pub(super) async fn result(&self, text: String) {
        self.send(Piece::Result(text)).await;
    }

    /// Writes a remark to standard error, or where a pager shows it. Waits while the channel is full.
    pub(super) async fn remark(&self, text: String) {
        self.send(Piece::Remark(text)).await;
    }

    /// Shows the counters on standard error, unless they would damage the page of a pager. Skips them if the channel is
    /// full.
    pub(super) fn counters(&self, text: String) {
        if is_paged() {
            return;
        }
        let _skipped = self.pieces.try_send(Piece::Counters(text));
    }

    /// How often the counters are shown.
    pub(super) fn counters_period() -> Duration {
        if is_live() { Duration::from_millis(200) } else { Duration::from_secs(5) }
    }

    /// Returns when the reader of standard output has closed the pipe.
    pub(super) async fn reader_gone(&self) {
        self.gone.cancelled().await;
    }

    async fn send(&self, piece: Piece) {
        // An error means that the thread has ended, because the reader closed the pipe.
        let _gone = self.pieces.send(piece).await;
    }
}

/// Whether the counters can overwrite each other: standard error is a terminal that can.
fn is_live() -> bool {
    !is_paged() && io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether a program reads standard output while standard error is the user's terminal. That program can be a pager, and
/// whatever else is written to the terminal would damage its page.
fn is_paged() -> bool {
    let is_pipe = || {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        io::Result::Ok(stdout.metadata()?.file_type().is_fifo())
    };
    io::stderr().is_terminal() && is_pipe().unwrap_or_default()
}

/// Returns the number of columns of the terminal that shows the results, or `None` if they go elsewhere.
pub(super) fn columns() -> Option<usize> {
    let (Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(columns.into())
}

/// Returns the text, cut at a number of columns. An ellipsis takes the last column of a text that is cut.
pub(super) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return text.into();
    }
    let (mut used, mut end) = (0, 0);
    for (start, c) in text.char_indices() {
        used += c.width().unwrap_or_default();
        if used >= columns {
            break;
        }
        end = start + c.len_utf8();
    }
    format!("{}…", &text[..end]).into()
}

/// The state of the thread that writes.
#[derive(Debug)]
struct Writer {
    live: bool,
    paged: bool,
    /// The counters that are on the screen now.
    counters: Option<String>,
}

impl Writer {
    fn new() -> Self {
        Self { live: is_live(), paged: is_paged(), counters: None }
    }

    /// Writes pieces until the last handle is dropped.
    fn run(&mut self, incoming: &mut mpsc::Receiver<Piece>) -> io::Result<()> {
        while let Some(first) = incoming.blocking_recv() {
            let mut results = String::new();
            let mut counters = None;
            let mut next = Some(first);
            while let Some(piece) = next {
                match piece {
                    // Writing to a `String` cannot fail.
                    Piece::Result(text) => _ = writeln!(results, "{text}"),
                    Piece::Remark(text) if self.paged => _ = writeln!(results, "{text}"),
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
            // The escape codes turn off line wrapping, so that a narrow terminal cuts the line off.
            write(io::stderr(), &format!("\x1b[?7l{counters}\x1b[?7h"))?;
        }
        self.counters = shown;
        Ok(())
    }

    /// Removes the counters from the screen.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_the_width_of_the_terminal() {
        for (text, columns, expected) in [
            ("acme", 4, "acme"),
            ("acme {", 4, "acm…"),
            ("Zażółć gęślą", 7, "Zażółć…"),
            // A wide character that does not fit is left out whole.
            ("日本語です", 6, "日本…"),
            ("日本語です", 5, "日本…"),
            ("acme", 1, "…"),
        ] {
            let cut = fit(text, columns);
            assert_eq!(cut, expected);
            assert!(cut.width() <= columns, "{cut}");
        }
    }
}
