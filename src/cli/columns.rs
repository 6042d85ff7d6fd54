//! How reports lay out tables, numbers and times.

use std::io;

use crate::base::time::rfc3339_of_unix;

/// Writes rows as aligned columns: the first `left` ones to the left, the others, which are numbers, to the right.
pub(super) fn write(out: &mut (impl io::Write + ?Sized), rows: &[Vec<String>], left: usize) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| cell(row, column)).max().unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Returns a number, rounded, with a comma between thousands.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number <= -0.5 { format!("-{text}") } else { text }
}

/// Returns a rate per second: rounded if it is at least 100, with one decimal otherwise.
pub(super) fn rate(per_second: f64) -> String {
    if per_second >= 100.0 { grouped(per_second) } else { format!("{per_second:.1}") }
}

/// Returns two texts as a range, or one if they are equal.
pub(super) fn range(low: String, high: &str) -> String {
    if low == high { low } else { format!("{low}–{high}") }
}

/// Returns a share from 0 to 1 in percent, without the sign.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// Returns a time in UTC, to the second, such as `2026-11-28 12:03:10`.
pub(super) fn utc(micros: i64) -> String {
    let text = rfc3339_of_unix(micros.div_euclid(1_000_000), 0).unwrap_or_default();
    text.trim_end_matches('Z').replace('T', " ")
}

/// Returns two times in UTC, such as `2026-11-28 12:03:10 and 12:03:31`, with `word` between them. The day of the second
/// one is left out if it is that of the first one.
pub(super) fn span(from: i64, word: &str, to: i64) -> String {
    let (from, to) = (utc(from), utc(to));
    let day = "2026-11-28 ".len();
    let same_day = from.get(..day).is_some() && from.get(..day) == to.get(..day);
    format!("{from} {word} {}", if same_day { &to[day..] } else { &to })
}

/// Returns a time in UTC, to the millisecond, such as `2026-11-28 12:03:10.042`.
pub(super) fn utc_millis(micros: i64) -> String {
    format!("{}.{:03}", utc(micros), micros.rem_euclid(1_000_000) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
        let numbers = [0.0, 999.4, 1_000.0, 1_234_567.0, 999_999.6, -0.2, -1_234.0];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "1,234,567", "1,000,000", "0", "-1,234"]);
    }

    #[test]
    fn columns_are_aligned_and_rows_can_be_shorter() {
        let rows = [vec!["A", "B", "C"], vec!["a–b", "x", "1"], vec!["only"], vec!["a", "xyz", "1,000"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect();
        let mut out = Vec::new();
        write(&mut out, &rows, 2).unwrap();
        let lines = ["A     B        C", "a–b   x        1", "only", "a     xyz  1,000", ""];
        assert_eq!(String::from_utf8(out).unwrap(), lines.join("\n"));
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(utc(1_795_867_390_042_999), "2026-11-28 12:03:10");
        assert_eq!(utc_millis(1_795_867_390_042_999), "2026-11-28 12:03:10.042");
        assert_eq!(utc_millis(-1), "1969-12-31 23:59:59.999");
        assert_eq!(span(0, "to", 61_000_000), "1970-01-01 00:00:00 to 00:01:01");
        assert_eq!(span(-1, "to", 0), "1969-12-31 23:59:59 to 1970-01-01 00:00:00");
    }
}
