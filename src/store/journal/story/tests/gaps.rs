//! "No record" and "not known" are never the same answer.

use super::*;

/// Words that only a story from complete rows can have.
const CERTAIN: [&str; 8] = [
    "No record of event",
    "No topic got it",
    "did not get it",
    "did not confirm it",
    "was not routed",
    "got it once",
    "got it twice",
    ": only ",
];

fn assert_not_certain(story: &Story, what: &str) {
    let verdict = story.verdict.join(" ");
    assert!(!story.is_known && !story.not_known.is_empty(), "{what}: {story:?}");
    for word in CERTAIN {
        assert!(!verdict.contains(word), "{what}: `{word}` is certain: {verdict}");
    }
}

#[test]
fn no_record_needs_every_segment_of_the_window() {
    let story = Told::default().of(&[]);
    assert_eq!(
        story.verdict,
        [format!(
            "No record of event {EVENT} between 2026-11-28 11:33:07 and 2026-11-28 12:33:07: every segment of every replica \
             in this window was read (120 segments), and none has it."
        )]
    );
    assert!(story.is_known && !story.is_found && story.not_known.is_empty(), "{story:?}");
    for (gap, looked) in gaps() {
        let story = Told { looked, ..Told::default() }.of(&[]);
        assert!(story.verdict[0].starts_with("Not known: no row about event 9b4eee34-"), "{gap}: {story:?}");
        assert_not_certain(&story, gap);
    }
}

#[test]
fn every_story_is_certain_without_a_gap_and_says_so_with_one() {
    for (name, rows) in stories() {
        let whole = Told::default().of(&rows);
        // What a replica did with a message before it dropped it is unknown in any case.
        assert_eq!(whole.is_known, name != "abandoned", "{name}: {whole:?}");
        assert!(whole.not_known.is_empty(), "{name}: {whole:?}");
        for (gap, looked) in gaps() {
            let story = Told { looked, ..Told::default() }.of(&rows);
            assert_not_certain(&story, &format!("{name}, {gap}"));
            assert_eq!(story.chapters, whole.chapters, "{name}, {gap}");
        }
        let expired = Told { kept_since: START, ..Told::default() }.of(&rows);
        assert_not_certain(&expired, &format!("{name}, deleted segments"));
    }
}

#[test]
fn zero_dropped_rows_are_no_gap() {
    let looked = Looked { dropped: vec![Dropped { rows: 0, ..dropped() }], ..complete() };
    assert!(looked.is_complete() && Told { looked, ..Told::default() }.of(&[]).is_known);
}

#[test]
fn a_sample_makes_no_record_uncertain_unless_a_publication_has_a_row() {
    for (name, rows) in stories() {
        let story = Told { sample_published: 0.1, ..Told::default() }.of(&rows);
        if rows.iter().any(|row| row.outcome == "published") {
            assert!(story.is_known, "{name}: {story:?}");
        } else {
            assert_not_certain(&story, name);
            assert!(story.not_known[0].contains("A share of 0.1 of the published events has rows"), "{story:?}");
        }
    }
}

#[test]
fn rows_that_are_not_stored_yet_leave_the_time_before_them_known() {
    let told = Told { looked: Looked { holes: vec![not_stored_yet()], ..complete() }, ..Told::default() };
    let story = told.of(&stories()[1].1);
    assert_eq!(
        story.verdict[0],
        "acme's topic got it at least once; rows after 2026-11-28 12:03:10 are not all stored yet."
    );
    assert_eq!(
        story.not_known,
        [format!(
            "pod-a has not stored its rows since 2026-11-28 12:03:10 yet; its admin endpoint has them at /trace/{EVENT}."
        )]
    );
}

#[test]
fn a_gap_names_replica_time_and_kind() {
    let told = |looked| Told { looked, ..Told::default() }.of(&[]).not_known;
    let hole = |hole| told(Looked { holes: vec![hole], ..complete() });
    let between = "No record of pod-b between 2026-11-28 12:03:10 and 12:03:41:";
    assert_eq!(hole(died()), [format!("{between} it died; what it did then is unknown.")]);
    let missing = hole(Hole { kind: HoleKind::Missing, ..died() });
    assert_eq!(missing, [format!("{between} a segment is gone; what pod-b did then is unknown.")]);
    let open = hole(Hole { to: None, ..died() });
    assert_eq!(open, ["No record of pod-b since 2026-11-28 12:03:10: it died; what it did then is unknown."]);
    assert_eq!(
        told(Looked { dropped: vec![dropped()], ..complete() }),
        ["pod-a dropped 12 rows between 2026-11-28 12:03:07 and 12:04:07, because the store did not keep up."]
    );
}

/// Random rows, with random holes and drops added one by one: a story that is not certain never becomes certain again, and
/// what the rows prove stays proved.
#[test]
fn a_hole_or_a_drop_never_makes_a_story_certain() {
    let mut uncertain = 0;
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let rows: Vec<Row> = (0..random.usize(0..6)).map(|at| any_row(&mut random, at)).collect();
        let customer = [None, Some("acme"), Some("initech")][random.usize(0..3)];
        let sample_published = if random.u8(0..4) == 0 { 0.5 } else { 1.0 };
        let mut told = Told { customer, sample_published, ..Told::default() };
        let mut before = told.of(&rows);
        for _ in 0..3 {
            if random.bool() {
                told.looked.holes.push(any_hole(&mut random));
            } else {
                told.looked.dropped.push(Dropped { rows: random.u64(1..9), ..dropped() });
            }
            let story = told.of(&rows);
            assert_not_certain(&story, &format!("seed {seed}"));
            assert_eq!(story.chapters, before.chapters, "seed {seed}");
            assert_eq!(story.is_found, before.is_found, "seed {seed}");
            uncertain += usize::from(!before.is_known);
            before = story;
        }
    }
    assert!((4_000..6_000).contains(&uncertain), "{uncertain} stories were not certain before");
}

fn any_row(random: &mut fastrand::Rng, at: usize) -> Row {
    let message = [FIRST, SECOND][random.usize(0..2)];
    let row = received(message, ["pod-a", "pod-b"][random.usize(0..2)], random.i64(0..9_000));
    let row = Row { receive_count: random.u32(1..4), ..row };
    let row = match random.u8(0..4) {
        0 => row,
        1 => to("initech", row),
        _ => to("acme", row),
    };
    match random.u8(0..6) {
        0 | 1 if row.customer.is_some() => published(&format!("sns-{at}"), row),
        2 if row.customer.is_some() => duplicate([FIRST, SECOND][random.usize(0..2)], "producer", row),
        3 => ended("filtered", "types[3]", Row { customer: None, topic: None, ..row }),
        4 => ended("quarantined", "too_large", row),
        5 => Row { outcome: "abandoned".into(), ..row },
        _ => Row { attempts: Some(random.u32(0..3)), ..ended("retried", "publish", row) },
    }
}

fn any_hole(random: &mut fastrand::Rng) -> Hole {
    let kind = [HoleKind::Died, HoleKind::Missing, HoleKind::NotStoredYet][random.usize(0..3)];
    let from = START + random.i64(-9_000..9_000) * MS;
    Hole { from, to: random.bool().then(|| from + 31_000 * MS), kind, ..died() }
}
