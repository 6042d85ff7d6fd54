use tokio::time::Instant;

use super::*;
use crate::aws::scripted::{Calls, clients, sqs_batch};
use crate::receive::{Budget, Permit};
use crate::visibility::Visibility;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Deletes three messages, with these failed entries in the answer to each call; the calls made.
async fn delete_three(
    failed: impl Fn(usize) -> Vec<(usize, &'static str, bool)> + Send + Sync + 'static,
    stale: Option<usize>,
) -> Calls {
    let (clients, calls) = clients(move |call, number| sqs_batch(call, &failed(number)));
    let metrics = Arc::new(Metrics::new(false));
    let visibility = Visibility::new(clients.sqs.clone(), Arc::clone(&metrics), TIMEOUT);
    let (deleter, run) = Deleter::new(clients.data_plane, Arc::clone(&metrics));
    let running = tokio::spawn(run);
    let budget = Budget::new(10, 1 << 20, Arc::clone(&metrics));
    let mut reserved: Permit = budget.reserve().await;
    for index in 0..3 {
        let receipt = Receipt::for_tests(&format!("receipt-{index}"), &visibility, reserved.split(1), Instant::now());
        if stale == Some(index) {
            receipt.hold.mark_stale();
        }
        deleter.delete(receipt, Reached::for_tests());
    }
    drop(deleter);
    running.await.unwrap();
    assert_eq!(visibility.in_flight(), 0, "every hold is gone when every delete was answered");
    calls
}

#[tokio::test(start_paused = true)]
async fn deletes_of_one_queue_travel_in_one_call() {
    let calls = delete_three(|_| Vec::new(), None).await;
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_failed_in_passing_is_tried_again_alone() {
    let calls =
        delete_three(|number| if number < 2 { vec![(number, "InternalError", false)] } else { vec![] }, None).await;
    let calls = calls.lock().unwrap();
    assert_eq!(calls.iter().map(|call| call.count("\"Id\"")).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(calls[1].count("receipt-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_sqs_does_not_know_any_more_is_not_tried_again() {
    let calls = delete_three(|_| vec![(1, "ReceiptHandleIsInvalid", true)], None).await;
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_went_stale_is_left_to_its_new_owner() {
    let calls = delete_three(|_| Vec::new(), Some(1)).await;
    let calls = calls.lock().unwrap();
    assert_eq!((calls[0].count("\"Id\""), calls[0].count("receipt-1")), (2, 0));
}
