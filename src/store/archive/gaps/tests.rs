use super::super::test_rows::declared;
use super::GapKind::{Died, Missing, NotStoredYet};
use super::*;

const SECOND: i64 = 1_000_000;

/// The segment of the process `1a` of `pod-a` from one second to another.
fn segment(number: u64, times: (i64, i64)) -> Declaration {
    declared(&[], number, times)
}

fn last(declaration: Declaration) -> Declaration {
    Declaration { is_last: true, ..declaration }
}

fn of(replica: &str, incarnation: &str, declaration: Declaration) -> Declaration {
    Declaration { replica: replica.into(), incarnation: incarnation.into(), ..declaration }
}

/// Returns the gaps, in seconds.
fn gaps(declarations: &[Declaration], window: Range<i64>, now: i64) -> Vec<(String, i64, Option<i64>, GapKind)> {
    let declarations: Vec<&Declaration> = declarations.iter().collect();
    let gaps = between(&declarations, &(window.start * SECOND..window.end * SECOND), now * SECOND);
    let seconds = |gap: Gap| (gap.replica, gap.from / SECOND, gap.to.map(|to| to / SECOND), gap.kind);
    gaps.into_iter().map(seconds).collect()
}

#[test]
fn a_process_that_stopped_in_order_has_no_gap() {
    let all = [segment(0, (0, 60)), segment(1, (60, 120)), last(segment(2, (120, 180)))];
    assert_eq!(gaps(&all, 0..1_000, 1_000), []);
    assert_eq!(gaps(&[], 0..1_000, 1_000), []);
}

#[test]
fn a_missing_number_and_a_break_in_time_are_gaps() {
    let a = || "pod-a".to_owned();
    let (first, second, third) = (segment(0, (0, 60)), segment(1, (60, 120)), last(segment(2, (120, 180))));
    let gone = [third.clone(), first.clone()];
    assert_eq!(gaps(&gone, 0..1_000, 1_000), [(a(), 60, Some(120), Missing)]);
    assert_eq!(gaps(&gone, 119..1_000, 1_000), [(a(), 60, Some(120), Missing)]);
    assert_eq!(gaps(&gone, 120..1_000, 1_000), []);
    assert_eq!(gaps(&gone, 0..60, 1_000), []);
    // The first segments are gone. The window tells how far back that matters.
    let beginning = [second.clone(), third.clone()];
    assert_eq!(gaps(&beginning, 10..1_000, 1_000), [(a(), 10, Some(60), Missing)]);
    assert_eq!(gaps(&beginning, 60..1_000, 1_000), []);
    // Numbers without a break, but a break in time.
    let late = last(segment(1, (70, 120)));
    assert_eq!(gaps(&[first.clone(), late], 0..1_000, 1_000), [(a(), 60, Some(70), Missing)]);
    // No break in time, but a number is missing: the clock was set back.
    let jumped = last(segment(2, (60, 120)));
    assert_eq!(gaps(&[first.clone(), jumped.clone()], 0..1_000, 1_000), [(a(), 60, Some(60), Missing)]);
    assert_eq!(gaps(&[first.clone(), jumped.clone()], 60..1_000, 1_000), [(a(), 60, Some(60), Missing)]);
    assert_eq!(gaps(&[first.clone(), jumped], 61..1_000, 1_000), []);
    let earlier = last(segment(2, (50, 120)));
    assert_eq!(gaps(&[first, earlier], 0..1_000, 1_000), [(a(), 50, Some(60), Missing)]);
    // Segments of two processes do not complete each other.
    let other = of("pod-a", "2b", third);
    assert_eq!(gaps(&[last(segment(0, (0, 60))), other], 0..1_000, 1_000), [(a(), 0, Some(120), Missing)]);
}

#[test]
fn a_process_without_an_end_has_a_gap_until_another_one_of_its_replica_began() {
    let a = || "pod-a".to_owned();
    let unfinished = [segment(0, (0, 60)), segment(1, (60, 120))];
    // The next segment is due 120 s after the last one.
    assert_eq!(gaps(&unfinished, 0..150, 150), [(a(), 120, None, NotStoredYet)]);
    assert_eq!(gaps(&unfinished, 0..120, 150), []);
    assert_eq!(gaps(&unfinished, 0..300, 300), [(a(), 120, None, Died)]);
    let end = 120 + MAX_SPAN.as_secs() as i64;
    assert_eq!(gaps(&unfinished, 0..1_000, end), [(a(), 120, Some(end), Died)]);
    assert_eq!(gaps(&unfinished, end..end + 9, end + 9), []);
    // Another replica proves nothing about this one.
    let with = |other: Declaration| [unfinished[0].clone(), unfinished[1].clone(), last(other)];
    let survivor = with(of("pod-b", "3c", segment(0, (200, 260))));
    assert_eq!(gaps(&survivor, 0..300, 300), [(a(), 120, None, Died)]);
    // The successor ends the gap, and does not fill it.
    let successor = with(of("pod-a", "2b", segment(0, (130, 400))));
    assert_eq!(gaps(&successor, 0..1_000, 1_000), [(a(), 120, Some(130), Died)]);
    assert_eq!(gaps(&successor, 130..1_000, 1_000), []);
}

#[test]
fn a_gap_says_what_it_means() {
    let gap = |to, kind| Gap { replica: "pod-a".into(), incarnation: "1a".into(), from: 0, to, kind };
    let lost = |count| GapKind::Lost { queue: "events".into(), count };
    let begin = "1970-01-01 00:00:00.000 UTC";
    for (gap, text) in [
        (
            gap(Some(SECOND), lost(2)),
            format!(
                "pod-a: 2 messages of the queue events were deleted without the archive, between {begin} and \
                 1970-01-01 00:00:01.000 UTC"
            ),
        ),
        (
            gap(Some(0), lost(1)),
            format!("pod-a: 1 message of the queue events was deleted without the archive, at {begin}"),
        ),
        (
            gap(Some(SECOND), Missing),
            format!(
                "pod-a: a segment of the process 1a is gone, for the time from {begin} to 1970-01-01 00:00:01.000 UTC"
            ),
        ),
        (
            gap(None, Died),
            format!("pod-a: the process 1a did not stop in order; its messages from {begin} on can be missing"),
        ),
        (
            gap(None, NotStoredYet),
            format!("pod-a: the messages from {begin} on are not stored yet; wait and try again"),
        ),
    ] {
        assert_eq!(gap.to_string(), text);
    }
    let json = serde_json::to_value(gap(None, lost(2))).unwrap();
    let expected = serde_json::json!({
        "replica": "pod-a", "incarnation": "1a", "from": "1970-01-01T00:00:00.000000Z", "to": null, "kind": "lost",
        "queue": "events", "count": 2,
    });
    assert_eq!(json, expected);
}
