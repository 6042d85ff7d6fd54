//! The page `/trace/ID`: rows of the journal that are not in the store yet.

use axum::http::StatusCode;
use axum::response::Json;
use serde::Serialize;

use crate::message::EventId;
use crate::store::journal::{Journal, Row, Wanted};

/// The rows of one replica that are not in the store yet.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    /// The name of the replica, as in its rows. `None` if it keeps no journal.
    replica: Option<String>,
    /// The rows with the id, in the order in which they were settled.
    rows: Vec<Row>,
    note: &'static str,
}

const NOTE: &str = "rows of this replica that are not in the store yet";
const NO_JOURNAL: &str = "this replica keeps no journal: it needs `store.url`, and `journal.enabled`";

/// Returns the rows with this id: that of an event, of an SQS message or of an SNS message. The status is 404 if there is
/// none.
pub(super) async fn answer(journal: Option<&Journal>, id: &str) -> (StatusCode, Json<Page>) {
    let Some(journal) = journal else {
        return (StatusCode::NOT_FOUND, Json(Page { replica: None, rows: Vec::new(), note: NO_JOURNAL }));
    };
    // SNS does not accept every event id, so the journal has its hash.
    let event = EventId::new(id).as_str().to_owned();
    let mut rows: Vec<Row> = Vec::new();
    for wanted in [Wanted::Event(event), Wanted::Message(id.to_owned()), Wanted::SnsMessage(id.to_owned())] {
        for row in journal.unstored(&wanted).await {
            // Two of its ids can be equal.
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    rows.sort_by_key(|row| row.settled_at);
    let status = if rows.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    (status, Json(Page { replica: Some(journal.replica().to_owned()), rows, note: NOTE }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config;
    use crate::store::Store;
    use crate::store::journal::Writer;
    use crate::telemetry::Metrics;

    fn journal() -> (tempfile::TempDir, Arc<Journal>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path().to_owned()).unwrap();
        let metrics = Arc::new(Metrics::new(false));
        let (journal, _writer) = Writer::new(store, &config::Journal::default(), "pod-a".into(), &metrics);
        (folder, journal)
    }

    fn row<'r>(event: &'r str, message: &'r str, sns: &'r str) -> Row<&'r str> {
        Row {
            event_id: Some(event),
            queue: "events",
            message_id: message,
            receive_count: 1,
            outcome: "published",
            sns_message_id: Some(sns),
            replica: "pod-a",
            ..Row::default()
        }
    }

    #[tokio::test]
    async fn a_row_that_is_not_stored_is_found_by_each_of_its_ids() {
        let (_folder, journal) = journal();
        journal.record(&row("e-1", "m-1", "s-1"));
        journal.record(&row(EventId::new("zwölf").as_str(), "m-2", "m-2"));
        for (id, message) in [("e-1", "m-1"), ("m-1", "m-1"), ("s-1", "m-1"), ("zwölf", "m-2"), ("m-2", "m-2")] {
            let (status, Json(page)) = answer(Some(&journal), id).await;
            let messages: Vec<&str> = page.rows.iter().map(|row| row.message_id.as_str()).collect();
            assert_eq!((status, messages.as_slice()), (StatusCode::OK, [message].as_slice()), "{id}");
        }
        let (status, Json(page)) = answer(Some(&journal), "e-2").await;
        let page = serde_json::to_value(page).unwrap();
        assert_eq!(page, serde_json::json!({"replica": "pod-a", "rows": [], "note": NOTE}));
        assert_eq!(status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_replica_without_a_journal_says_so() {
        let (status, Json(page)) = answer(None, "e-1").await;
        assert_eq!((status, page.note, page.rows.len()), (StatusCode::NOT_FOUND, NO_JOURNAL, 0));
    }
}
