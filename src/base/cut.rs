//! Text that comes from outside, cut to a length that a log line or a page can show.

use std::fmt::{self, Write as _};

/// The most bytes of one value that a log line, a span or a page shows. Error messages of AWS, the longest texts that
/// help an operator, stay below it.
pub const MAX_SHOWN_BYTES: usize = 1024;

/// Formats a value and cuts the text to [`MAX_SHOWN_BYTES`], at the boundary of a character. A text that was cut ends
/// in the number of bytes left out. Memory is bounded too, however long the text of the value is.
pub fn cut(value: impl fmt::Display) -> String {
    let mut cut = Cut { text: String::new(), left_out: 0 };
    // Writing into memory does not fail. If the value itself fails, its text ends there.
    let _failed = write!(cut, "{value}");
    if cut.left_out > 0 {
        let _infallible = write!(cut.text, "… ({} bytes left out)", cut.left_out);
    }
    cut.text
}

struct Cut {
    text: String,
    left_out: usize,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = if self.left_out > 0 { 0 } else { MAX_SHOWN_BYTES - self.text.len() };
        let kept = more.floor_char_boundary(room);
        self.text.push_str(&more[..kept]);
        self.left_out += more.len() - kept;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_tells_how_much_is_missing() {
        assert_eq!(cut("short"), "short");
        let full = "x".repeat(MAX_SHOWN_BYTES);
        assert_eq!(cut(&full), full);
        assert_eq!(cut(format_args!("{full}{}{}", 1, "yz")), format!("{full}… (3 bytes left out)"));
        let text = cut(format_args!("x{}", "ü".repeat(150_000)));
        let kept = MAX_SHOWN_BYTES - 1;
        assert_eq!(text, format!("x{}… ({} bytes left out)", "ü".repeat(kept / 2), 300_001 - 2 * (kept / 2) - 1));
    }
}
