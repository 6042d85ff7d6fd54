use tokio::time::Instant;

use super::*;
use crate::aws::scripted::{Calls, clients, sqs_batch};
use crate::aws::sqs::budget::{Budget, Permit};
use crate::aws::sqs::visibility::Visibility;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The proof that these tests require of a delete.
struct Proof;

/// Deletes three messages. The answer to each call has the failed entries that `failed` gives for its number. Returns the
/// calls.
async fn delete_three(
    failed: impl Fn(usize) -> Vec<(usize, &'static str, bool)> + Send + Sync + 'static,
    stale: Option<usize>,
) -> Calls {
    let (clients, calls) = clients(move |call, number| sqs_batch(call, &failed(number)));
    let metrics = Arc::new(Metrics::new(false));
    let visibility = Visibility::new(clients.lean.clone(), Arc::clone(&metrics), TIMEOUT);
    let (deleter, run) = Deleter::new(clients.lean, Arc::clone(&metrics));
    let running = tokio::spawn(run);
    let budget = Budget::new(10, 1 << 20, [&Queue::for_tests().url], &metrics);
    let mut reserved: Permit = budget.reserve(&Queue::for_tests().url).await;
    for index in 0..3 {
        let receipt = crate::aws::sqs::Receipt::for_tests(
            &format!("receipt-{index}"),
            &visibility,
            reserved.split(1),
            Instant::now(),
        );
        if stale == Some(index) {
            receipt.hold.mark_stale();
        }
        deleter.delete(receipt.settled(), Proof);
    }
    drop(deleter);
    running.await.unwrap();
    assert_eq!(visibility.in_flight(), 0, "every hold is dropped when every delete was answered");
    calls
}

#[tokio::test(start_paused = true)]
async fn deletes_of_one_queue_share_one_call() {
    let calls = delete_three(|_| Vec::new(), None).await;
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_repeated_alone() {
    let calls =
        delete_three(|number| if number < 2 { vec![(number, "InternalError", false)] } else { vec![] }, None).await;
    let calls = calls.lock().unwrap();
    assert_eq!(calls.iter().map(|call| call.count("\"Id\"")).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(calls[1].count("receipt-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_denied_entry_is_repeated_while_its_receipt_is_valid() {
    let calls = delete_three(|number| if number < 3 { vec![(0, "AccessDenied", true)] } else { vec![] }, None).await;
    let calls = calls.lock().unwrap();
    assert_eq!(calls.iter().map(|call| call.count("\"Id\"")).collect::<Vec<_>>(), [3, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_receipt_is_not_repeated() {
    let calls = delete_three(|_| vec![(1, "ReceiptHandleIsInvalid", true)], None).await;
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_message_is_left_to_its_new_owner() {
    let calls = delete_three(|_| Vec::new(), Some(1)).await;
    let calls = calls.lock().unwrap();
    assert_eq!((calls[0].count("\"Id\""), calls[0].count("receipt-1")), (2, 0));
}
