//! The missing heartbeats, as all replicas know them together.

use std::collections::BTreeSet;
use std::io;

use crate::app::admin::{KnownGap, KnownGapList, KnownGaps, KnownSources};

/// Returns the lists that a replica knows; `None` if none knows them.
pub(super) fn known(pages: &[KnownSources]) -> Option<&KnownGaps> {
    pages.iter().filter_map(|page| page.gaps.as_ref()).find(|gaps| gaps.known)
}

/// Returns the count of missing heartbeats on all queues.
pub(super) fn count(lists: &[KnownGapList]) -> u64 {
    lists.iter().fold(0, |sum, list| sum.saturating_add(list.missing))
}

/// Prints a line for each source with missing heartbeats, and why they are unknown, if they are. Counts the sources
/// outside of the table, too.
pub(super) fn print(
    out: &mut impl io::Write,
    pages: &[KnownSources],
    is_in_table: impl Fn(&str) -> bool,
) -> io::Result<()> {
    let Some(known) = known(pages) else {
        let unknown = pages.iter().find_map(|page| page.gaps.as_ref());
        return unknown.map_or(Ok(()), |gaps| writeln!(out, "\nmissing heartbeats: {}", gaps.knowledge));
    };
    let lists: Vec<&KnownGapList> = known.list.iter().filter(|list| is_worth_a_line(list)).collect();
    if !lists.is_empty() {
        writeln!(out)?;
    }
    for list in lists {
        writeln!(out, "{}", line(list))?;
    }
    let others: BTreeSet<&str> =
        known.list.iter().filter(|list| !is_in_table(&list.source)).map(|list| list.source.as_str()).collect();
    if !others.is_empty() {
        writeln!(out, "{} more sources were heard within 7 days, but not since the replicas started", others.len())?;
    }
    if known.left_out > 0 {
        writeln!(out, "{} more sources have no list, because of `heartbeats.max_sources`", known.left_out)?;
    }
    Ok(())
}

fn is_worth_a_line(list: &KnownGapList) -> bool {
    list.missing > 0 || list.not_judged > 0
}

/// Returns the line of a source on one queue.
fn line(list: &KnownGapList) -> String {
    let KnownGapList { source, queue, first, last, missing, ranges, more_ranges, not_judged, .. } = list;
    let mut parts: Vec<String> = ranges.iter().rev().map(range).collect();
    if *more_ranges > 0 {
        parts.push(format!("and {more_ranges} more ranges before"));
    }
    if *not_judged > 0 {
        parts.push(format!("up to {not_judged} not judged"));
    }
    format!("{source} on {queue}: {missing} missing of {first} to {last}: {}", parts.join(", "))
}

fn range(KnownGap { first, last, noticed_at }: &KnownGap) -> String {
    match first == last {
        true => format!("{first} (noticed {noticed_at})"),
        false => format!("{first}-{last} (noticed {noticed_at})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(known: bool, list: Vec<KnownGapList>) -> KnownSources {
        let knowledge = "not known at the moment: no answer within 250ms".to_owned();
        let gaps = Some(KnownGaps { knowledge, known, list, left_out: 2 });
        KnownSources { knowledge: String::new(), list: Vec::new(), gaps }
    }

    fn printed(pages: &[KnownSources]) -> String {
        let mut out = Vec::new();
        print(&mut out, pages, |source| source == "eu").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_command_prints_the_missing_ranges_or_why_they_are_unknown() {
        let noticed_at = "2026-11-27T21:00:00Z".to_owned();
        let range = |first, last| KnownGap { first, last, noticed_at: noticed_at.clone() };
        let list = |source: &str, ranges, more_ranges| KnownGapList {
            source: source.to_owned(),
            queue: "events".to_owned(),
            since: noticed_at.clone(),
            first: 1,
            last: 90,
            missing: 5 + more_ranges,
            ranges,
            more_ranges,
            not_judged: more_ranges,
        };
        let complete = KnownGapList { missing: 0, ..list("de", Vec::new(), 0) };
        let lists = vec![complete, list("eu", vec![range(5, 8), range(70, 70)], 0), list("us", vec![range(80, 84)], 3)];
        assert_eq!(
            printed(&[gaps(false, Vec::new()), gaps(true, lists)]),
            "\n\
            eu on events: 5 missing of 1 to 90: 70 (noticed 2026-11-27T21:00:00Z), 5-8 (noticed 2026-11-27T21:00:00Z)\n\
            us on events: 8 missing of 1 to 90: 80-84 (noticed 2026-11-27T21:00:00Z), and 3 more ranges before, \
            up to 3 not judged\n\
            2 more sources were heard within 7 days, but not since the replicas started\n\
            2 more sources have no list, because of `heartbeats.max_sources`\n"
        );
        let unknown = gaps(false, Vec::new());
        let without = KnownSources { gaps: None, ..unknown.clone() };
        assert_eq!(
            printed(&[without.clone(), unknown]),
            "\nmissing heartbeats: not known at the moment: no answer within 250ms\n"
        );
        assert_eq!(printed(&[without]), "");
    }
}
