use super::run::MAX_GAPS;
use super::*;

mod random;

const SECOND: u64 = 1_000;
const INTERVAL: u64 = 10 * SECOND;
const PATIENCE: u64 = 3 * INTERVAL;
const GRACE: u64 = PATIENCE + 3 * SECOND;

fn heard(number: u64, sent: u64) -> Heard {
    Heard { number, sent, grace: GRACE, patience: PATIENCE }
}

fn recent(heard: &[Heard]) -> Contribution {
    Contribution { recent: heard.to_vec(), ..Contribution::default() }
}

/// Shows a list: its first and last number, and the gaps at this time.
fn shown(list: &GapList, now: u64) -> String {
    let gap = |missing: &Missing| match missing.count() {
        1 => format!(" {}", missing.first),
        _ => format!(" {}-{}", missing.first, missing.last),
    };
    let run = list.run();
    format!("{}..{}:{}", run.lowest(), run.highest(), run.gaps(now).map(gap).collect::<String>())
}

/// Adds heartbeats with these numbers and times in seconds, one after the other. Returns the list long after the last one.
fn play(heartbeats: &[(u64, u64)]) -> String {
    let (mut list, mut now) = (None, 0);
    for (number, sent) in heartbeats {
        now = now.max(sent * SECOND);
        list = GapList::after(list.as_ref(), &recent(&[heard(*number, sent * SECOND)]), now);
        let kept = list.as_ref().map(GapList::write).and_then(|value| GapList::read(value.as_bytes()));
        assert_eq!(kept, list, "the store keeps the list");
    }
    shown(&list.expect("there is a list"), now + GRACE)
}

#[test]
fn a_list_has_the_numbers_that_are_missing_since_the_last_restart() {
    for (heartbeats, expected) in [
        (&[(5, 0), (6, 10), (7, 20)][..], "5..7:"),
        (&[(5, 0), (8, 30), (10, 50)], "5..10: 6-7 9"),
        // Heartbeats that arrive late fill a gap at its start, at its end and in its middle.
        (&[(5, 0), (10, 50), (6, 51), (9, 52)], "5..10: 7-8"),
        (&[(5, 0), (9, 40), (7, 900), (6, 910)], "5..9: 8"),
        // The list begins with the number that was added first.
        (&[(5, 10), (3, 0), (4, 5), (6, 20)], "5..6:"),
        (&[(5, 10), (6, 9), (7, 30)], "5..7:"),
        // A restart is certain once the source counts on from the small number for a while.
        (&[(40, 0), (44, 40), (1, 50), (2, 60)], "40..44: 41-43"),
        (&[(40, 0), (44, 40), (1, 50), (2, 60), (4, 80)], "1..4: 3"),
        (&[(40, 0), (1, 50), (2, 60), (41, 5), (3, 70), (4, 80)], "1..4:"),
        (&[(40, 0), (1, 50), (2, 60), (3, 70), (4, 80), (41, 5), (39, 1)], "1..4:"),
        // A late heartbeat is added again, and an old one is sent again, before the source is restarted.
        (&[(80, 0), (89, 40), (87, 900), (87, 900), (1, 910), (2, 920), (3, 930), (4, 940)], "1..4:"),
        (&[(1_000, 0), (980, 50), (1, 60), (2, 70), (3, 80), (4, 90)], "1..4:"),
        // More numbers are lost after the restart than a queue can swap.
        (&[(40, 0), (1, 50), (2, 60), (25, 70), (26, 80)], "1..26: 3-24"),
        // An old heartbeat that is sent again is no restart, because the source goes on.
        (&[(90, 0), (30, 5), (31, 6), (91, 10), (92, 20)], "90..92:"),
        (&[(90, 0), (30, 5), (31, 40), (91, 38), (92, 48)], "30..92: 32-90"),
        // The source was restarted long after its last heartbeat, with a number that is not far below.
        (&[(20, 0), (21, 10), (17, 500), (18, 510), (19, 520), (20, 530)], "17..20:"),
        (&[(1, 0), (u64::MAX, 10)], "1..18446744073709551615: 2-18446744073709551614"),
        (&[(0, 0), (0, 10), (1, 20), (0, 60), (1, 70), (2, 80)], "0..2:"),
    ] {
        assert_eq!(play(heartbeats), expected, "{heartbeats:?}");
    }
}

#[test]
fn a_number_is_a_gap_after_its_grace_and_no_gap_after_it_arrived() {
    let list = GapList::after(None, &recent(&[heard(1, 0), heard(4, SECOND)]), 5 * SECOND).unwrap();
    assert_eq!(shown(&list, 5 * SECOND + GRACE - 1), "1..4:");
    assert_eq!(shown(&list, 5 * SECOND + GRACE), "1..4: 2-3");
    let gap = *list.run().gaps(5 * SECOND + GRACE).next().unwrap();
    assert_eq!((gap.first, gap.last, gap.noticed), (2, 3, 5 * SECOND));
    // Another replica had the number, and could not share it for long.
    let list = GapList::after(Some(&list), &recent(&[heard(3, 700)]), 900 * SECOND).unwrap();
    assert_eq!(shown(&list, 900 * SECOND), "1..4: 2");
    let again = GapList::after(Some(&list), &recent(&[heard(1, 0), heard(3, 700), heard(4, SECOND)]), 990 * SECOND);
    assert_eq!(again.as_ref(), Some(&list), "numbers that the list has change nothing");
    let week = 7 * 24 * 3_600 * SECOND;
    let list = GapList::after(Some(&list), &recent(&[heard(5, week), heard(7, week)]), week).unwrap();
    assert_eq!(shown(&list, week + GRACE), "1..7: 2 6");
    let list = GapList::after(Some(&list), &recent(&[heard(8, week)]), week + 5 * SECOND).unwrap();
    assert_eq!(shown(&list, week + GRACE), "1..8: 6", "a gap is listed for seven days");
}

#[test]
fn old_numbers_begin_no_list_that_recent_ones_can_begin() {
    let contribution = Contribution { old: vec![heard(1, 0), heard(3, 20)], ..recent(&[heard(8, 70), heard(7, 60)]) };
    let list = GapList::after(None, &contribution, 0).unwrap();
    assert_eq!(shown(&list, GRACE), "7..8:");
    let list = GapList::after(None, &Contribution { recent: Vec::new(), ..contribution }, 0).unwrap();
    assert_eq!(shown(&list, GRACE), "3..3:");
    assert_eq!(GapList::after(None, &Contribution::default(), 0), None);
}

#[test]
fn numbers_that_a_replica_forgot_are_not_judged() {
    let list = GapList::after(None, &recent(&[heard(1, 0), heard(5, 40), heard(9, 80)]), 0).unwrap();
    let forgotten = Some(Forgotten { first: 3, last: 20, sent: 190, grace: GRACE });
    let contribution = Contribution { forgotten, ..recent(&[heard(22, 210)]) };
    let list = GapList::after(Some(&list), &contribution, 0).unwrap();
    assert_eq!(shown(&list, GRACE), "1..22: 2 21");
    assert_eq!(list.run().not_judged(), 2 + 3 + 11);
    assert_eq!(GapList::after(Some(&list), &contribution, 5), Some(list), "nothing is forgotten twice");
}

#[test]
fn the_oldest_gaps_beyond_the_limit_are_counted_and_not_listed() {
    let numbers: Vec<Heard> = (0..100).map(|number| heard(3 * number, number)).collect();
    let list = GapList::after(None, &recent(&numbers), 0).unwrap();
    assert_eq!(list.run().gaps(GRACE - 1).count(), 0, "another replica can have these numbers");
    let others: Vec<Heard> =
        (0..80).flat_map(|number| [3 * number + 1, 3 * number + 2]).map(|it| heard(it, 5)).collect();
    let completed = GapList::after(Some(&list), &recent(&others), 0).unwrap();
    assert_eq!((completed.run().gaps(GRACE).count(), completed.run().unlisted(GRACE)), (19, (0, 0)));
    for written in [false, true] {
        let number = recent(&[heard(298, 101)]);
        let list = if written { GapList::after(Some(&list), &number, GRACE).unwrap() } else { list.clone() };
        let gaps: Vec<_> = list.run().gaps(GRACE).collect();
        assert_eq!((gaps.len(), gaps[0].first), (MAX_GAPS, 3 * (99 - MAX_GAPS as u64) + 1), "written: {written}");
        let unlisted = 99 - MAX_GAPS as u64;
        assert_eq!(list.run().unlisted(GRACE), (unlisted, 2 * unlisted), "written: {written}");
    }
    let many: Vec<Heard> = (0..10_000).map(|number| heard(2 * number, number)).collect();
    let list = GapList::after(None, &recent(&many), 0).unwrap();
    assert!(list.write().len() < 16_000, "{}", list.write().len());
    let unlisted = list.run().unlisted(GRACE);
    assert_eq!(unlisted.0 as usize + list.run().gaps(GRACE).count(), 9_999);
}

#[test]
fn a_value_that_no_replica_writes_is_no_list() {
    let list = GapList::after(None, &recent(&[heard(1, 0), heard(4, 5), heard(7, 9)]), 0).unwrap().write();
    let expected = r#"{"run":{"begun":0,"lowest":1,"highest":7,"highest_sent":9,"missing":[[2,3,0,33000],[5,6,0,33000]]},"written":0}"#;
    assert_eq!(list, expected);
    for (from, to) in [
        ("[2,3,", "[3,2,"),
        ("[2,3,", "[1,3,"),
        ("[5,6,", "[3,6,"),
        ("[5,6,", "[5,7,"),
        ("\"lowest\":1", "\"lowest\":8"),
        ("\"lowest\":1", "\"lowest\":-1"),
        ("}", ""),
    ] {
        let planted = list.replacen(from, to, 1);
        assert_ne!(planted, list);
        assert_eq!(GapList::read(planted.as_bytes()), None, "{planted}");
    }
}
