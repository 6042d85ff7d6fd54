//! The messages of the archive, and its gaps.

use super::super::archived;
use super::*;
use crate::message::Message;
use crate::store::Store;
use crate::store::archive::test_rows::{declared, sparse, stored};
use crate::store::archive::{Declaration, Row};

/// A message of the archive that was finished at this second.
fn row(folder: &Folder, in_force: &Offline, id: &str, second: i64, message: Value) -> Row {
    let case: Case = serde_json::from_value(message).unwrap();
    let message = case.message(in_force, folder.path()).unwrap_or_else(|error| panic!("{}", error.message));
    let settled_at = second * 1_000_000;
    let sparse = sparse(id, settled_at, settled_at);
    let message = Message { message_id: id.to_owned(), sent: sparse.message.sent, ..message };
    Row { message: message.into(), ..sparse }
}

#[tokio::test]
async fn the_messages_of_the_archive_are_compared_and_its_gaps_are_told() {
    let folder = Folder::new();
    let in_force = folder.in_force();
    let candidate = folder.write("order.binpb", order("string remark", "string comment"));
    let (candidate, _) = candidate::load(&[candidate], in_force.config()).await.unwrap();
    let store = Store::folder(folder.path().join("store")).unwrap();
    let rows: Vec<Row> = (0_i64..)
        .zip(messages())
        .map(|(index, message)| row(&folder, &in_force, &format!("id-{index:02}"), index, message))
        .collect();
    let (first, second) = rows.split_at(6);
    stored(&store, first, &declared(first, 0, (0, 6)), &[]).await;
    let last = declared(second, 1, (6, 20));
    stored(&store, second, &Declaration { is_last: true, ..last.clone() }, &[]).await;
    let read = async |candidate: &Offline, limit: Option<u64>, share: f64| {
        let filter = Filter::default();
        let mut engine = Engine::new([&in_force, candidate], &filter, share, limit);
        let source = archived::read(store.clone(), &in_force, 0..15_000_000, &mut engine).await.unwrap();
        let (comparison, read) = engine.finish();
        let (recognized, refused) = (Vec::new(), Vec::new());
        let report = Report { recognized, refused, source, share, read, comparison: &comparison, is_paths_only: true };
        let mut out = Vec::new();
        report.write_text(&mut out).unwrap();
        report.write_json(&mut out).unwrap();
        let error = report.verdict(FailOn::Breaking).err().map(|error| error.to_string()).unwrap_or_default();
        (String::from_utf8(out).unwrap(), read, error, comparison)
    };
    let (text, numbers, error, comparison) = read(&candidate, None, 1.0).await;
    assert_eq!(numbers, Read { messages: 11, taken: 11, is_limited: false }, "{text}");
    assert_eq!(comparison.totals().breaking, 3, "{text}");
    assert_eq!(error, "the candidate breaks consumers with 3 of 11 message(s)");
    assert!(
        text.contains("Read 11 message(s) that were finished from 1970-01-01 00:00:00 to 00:00:15 UTC.\n"),
        "{text}"
    );
    assert!(text.contains("example: message id-0"), "{text}");

    let (text, numbers, ..) = read(&candidate, Some(4), 1.0).await;
    assert_eq!(numbers, Read { messages: 4, taken: 4, is_limited: true }, "{text}");
    assert!(text.contains("stopped at --limit (the segments of this time have 11 rows)"), "{text}");
    let (text, numbers, ..) = read(&candidate, Some(11), 1.0).await;
    assert!(!numbers.is_limited, "nothing is left: {text}");
    let (text, numbers, ..) = read(&candidate, None, 0.5).await;
    assert!(numbers.messages == 11 && numbers.taken < 11, "{text}");
    assert!(text.contains(&format!("and took {} of them (--sample 0.5)", numbers.taken)), "{text}");

    // The first segment is gone.
    store.delete(&declared(first, 0, (0, 6)).key()).await.unwrap();
    let (text, numbers, ..) = read(&candidate, None, 1.0).await;
    assert_eq!(numbers.messages, 5, "{text}");
    assert!(text.contains("Gap in the archive: pod-a: a segment of the process 1a is gone"), "{text}");
    assert!(text.contains("\"kind\": \"missing\""), "{text}");
    let (.., error, comparison) = read(&in_force, None, 1.0).await;
    assert_eq!(comparison.totals().different, 0);
    assert_eq!(error, "the archive has a gap in this window, so messages can be missing in the comparison");
}
