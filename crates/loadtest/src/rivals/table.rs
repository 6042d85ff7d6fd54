//! The tables, for the terminal and for Markdown.

use super::contestant::Contestant;
use super::figures::{Figures, Spread};
use super::hard::Row;
use super::{Entered, Measured};
use crate::report;

/// A column: its heading, its figure and the decimals.
type Column = (&'static str, fn(&Figures) -> f64, usize);

const COLUMNS: [Column; 9] = [
    ("CPU, µs per event", |figures| figures.cpu_us_per_event, 1),
    ("events/s", |figures| figures.events_per_second, 0),
    ("peak MiB", |figures| figures.peak_mib, 0),
    ("calls per event", |figures| figures.calls_per_event, 2),
    ("p50 ms", |figures| figures.p50_ms, 1),
    ("p95 ms", |figures| figures.p95_ms, 1),
    ("lost", |figures| figures.lost as f64, 0),
    ("duplicates", |figures| figures.duplicated as f64, 0),
    ("wrong JSON", |figures| figures.wrong as f64, 0),
];

/// Returns the table of a situation: the median and the range of each figure.
pub(super) fn text(measured: &Measured, entered: &[Entered]) -> String {
    aligned(&headings(), &rows(measured, entered))
}

/// Returns the same table as Markdown.
pub(super) fn markdown(measured: &Measured, entered: &[Entered]) -> String {
    let table = as_markdown(&headings(), &rows(measured, entered));
    let differences = measured.differences.iter();
    let differences = differences.map(|(contestant, difference)| format!("\n{contestant} differs: `{difference}`\n"));
    differences.fold(table, |text, difference| text + &difference)
}

/// Returns the table of the hard payloads, followed by the wrong results.
pub(super) fn hard(rows: &[Row]) -> String {
    let (headings, cells) = hard_cells(rows);
    let wrong = wrong(rows).into_iter().map(|(contestant, row, result)| {
        format!("\n{contestant}, {}: expected {}, found {result}", row.payload, row.expected)
    });
    wrong.fold(aligned(&headings, &cells) + "\n", |text, line| text + &line)
}

/// Returns both as Markdown.
pub(super) fn hard_markdown(rows: &[Row]) -> String {
    let (headings, cells) = hard_cells(rows);
    let wrong: Vec<Vec<String>> = wrong(rows)
        .into_iter()
        .map(|(contestant, row, result)| {
            vec![contestant.to_string(), row.payload.clone(), code(&row.expected), code(result)]
        })
        .collect();
    let headings_of_wrong = ["", "payload", "right", "found"].map(str::to_owned);
    as_markdown(&headings, &cells) + "\nThe wrong results:\n\n" + &as_markdown(&headings_of_wrong, &wrong)
}

fn headings() -> Vec<String> {
    let figures = COLUMNS.iter().map(|(heading, _, _)| (*heading).to_owned());
    std::iter::once(String::new()).chain(figures).collect()
}

fn rows(measured: &Measured, entered: &[Entered]) -> Vec<Vec<String>> {
    let row = |entered: &Entered| {
        let name = entered.contestant.to_string();
        match (&entered.absent, measured.runs.get(&entered.contestant)) {
            (Some(absent), _) => vec![name, format!("not measured: {absent}")],
            (None, runs) => {
                let runs = runs.map_or(&[][..], Vec::as_slice);
                let figure = |(_, figure, decimals): &Column| {
                    Spread::of(runs, figure).map_or_else(|| "?".to_owned(), |spread| spread.text(*decimals))
                };
                std::iter::once(name).chain(COLUMNS.iter().map(figure)).collect()
            }
        }
    };
    entered.iter().map(row).collect()
}

fn hard_cells(rows: &[Row]) -> (Vec<String>, Vec<Vec<String>>) {
    let contestants: Vec<Contestant> =
        rows.first().map(|row| row.differences.keys().copied().collect()).unwrap_or_default();
    let mut headings = vec!["payload".to_owned()];
    headings.extend(contestants.iter().map(Contestant::to_string));
    let verdict = |row: &Row, contestant| match row.differences.get(contestant) {
        Some(None) => "right".to_owned(),
        Some(Some(_)) => "WRONG".to_owned(),
        None => "?".to_owned(),
    };
    let cells = rows.iter().map(|row| {
        let verdicts = contestants.iter().map(|contestant| verdict(row, contestant));
        std::iter::once(row.payload.clone()).chain(verdicts).collect()
    });
    (headings, cells.collect())
}

fn wrong(rows: &[Row]) -> Vec<(Contestant, &Row, &str)> {
    let mut all: Vec<(Contestant, &Row, &str)> = Vec::new();
    for row in rows {
        all.extend(row.differences.iter().filter_map(|(who, result)| Some((*who, row, result.as_deref()?))));
    }
    all.sort_by_key(|(contestant, _, _)| *contestant);
    all
}

fn aligned(headings: &[String], rows: &[Vec<String>]) -> String {
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut table = report::table(&headings);
    for cells in rows {
        table.add_row(report::row(cells));
    }
    table.to_string()
}

fn as_markdown(headings: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let missing = headings.len().saturating_sub(cells.len());
        let mut cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        cells.extend(std::iter::repeat_n(String::new(), missing));
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(headings) + &format!("|{}\n", "---|".repeat(headings.len()));
    rows.iter().for_each(|cells| text += &line(cells));
    text
}

/// Returns JSON or an error as it is written in a table.
fn code(text: &str) -> String {
    if text.starts_with("an error") { text.to_owned() } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::situation::Situation;
    use super::*;

    fn entered(contestant: Contestant, absent: Option<&str>) -> Entered {
        Entered { contestant, versions: String::new(), absent: absent.map(str::to_owned) }
    }

    fn measured() -> Measured {
        let run = |cpu_us_per_event| Figures { cpu_us_per_event, calls_per_event: 0.3, ..Figures::default() };
        Measured {
            situation: Situation::OneCustomer,
            events: 500,
            call_ms: 0,
            loops: None,
            runs: BTreeMap::from([(Contestant::Rust, vec![run(90.0), run(110.04), run(100.0)])]),
            differences: BTreeMap::from([(Contestant::Rust, "id: expected 1, found 2".to_owned())]),
        }
    }

    #[test]
    fn a_row_has_the_median_and_the_range_or_why_there_is_none() {
        let entered = [entered(Contestant::Rust, None), entered(Contestant::Go, Some("Go is not installed"))];
        let rows = rows(&measured(), &entered);
        assert_eq!(rows[0][..2], ["Rust", "100.0 (90.0–110.0)"]);
        assert_eq!((rows[0][4].as_str(), rows[0].len()), ("0.30", headings().len()));
        assert_eq!(rows[1], ["Go", "not measured: Go is not installed"]);
        let table = text(&measured(), &entered);
        assert!(table.contains("100.0 (90.0–110.0)") && table.contains("not measured: Go is not installed"), "{table}");
    }

    #[test]
    fn a_markdown_table_has_a_cell_for_each_heading() {
        let entered = [entered(Contestant::Rust, None), entered(Contestant::Go, Some("Go is not installed"))];
        let table = markdown(&measured(), &entered);
        let (table, difference) = table.split_once("\n\n").unwrap();
        let cells: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(cells, [headings().len() + 1; 4], "{table}");
        assert_eq!(difference, "Rust differs: `id: expected 1, found 2`\n");
    }

    #[test]
    fn wrong_results_of_hard_payloads_are_listed_by_contestant() {
        let row = |payload: &str, go: Option<&str>, rust: Option<&str>| Row {
            payload: payload.to_owned(),
            expected: "an error".to_owned(),
            differences: BTreeMap::from([
                (Contestant::Go, go.map(str::to_owned)),
                (Contestant::Rust, rust.map(str::to_owned)),
            ]),
        };
        let rows = [row("one", Some("{}"), None), row("two", None, Some("{\"a|b\":1}"))];
        let text = hard(&rows);
        assert_eq!(text.matches("WRONG").count(), 2, "{text}");
        assert!(
            text.ends_with("Rust, two: expected an error, found {\"a|b\":1}\nGo, one: expected an error, found {}")
        );
        let markdown = hard_markdown(&rows);
        assert!(markdown.contains("| Rust | two | an error | `{\"a\\|b\":1}` |\n"), "{markdown}");
    }
}
