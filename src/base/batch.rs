//! Batches by count, bytes and age, as for DeleteMessageBatch and similar calls.
//!
//! [`Packer`] decides which entries share a batch and does no I/O. [`run`] is the task around it: it takes entries from a
//! channel and passes full or old batches to a call, several calls at a time. When the channel closes, the task sends the
//! remaining entries and waits for every call, so no batch is forgotten.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// When a batch is closed: when one more entry would exceed a limit, or when the batch is `linger` old.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest number of entries per batch. SQS and SNS accept 10.
    pub entries: usize,
    /// The largest size of a batch in bytes, as [`Item::bytes`] counts them.
    pub bytes: usize,
    /// How long a batch that is not full waits for more entries.
    pub linger: Duration,
}

/// An entry that waits for its batch.
#[derive(Debug)]
pub struct Item<K, T> {
    /// The key that all entries of a batch share, for example the queue.
    pub key: K,
    /// The size of the entry in bytes.
    pub bytes: usize,
    /// The entry.
    pub entry: T,
}

/// Sorts entries into batches, with one open batch per key.
#[derive(Debug)]
pub struct Packer<K, T> {
    limits: Limits,
    open: HashMap<K, Open<T>>,
    /// The open batches by age. The linger is the same for all, so they close in the order in which they opened. A batch
    /// that was closed early stays listed here until its time; its number tells it from a later batch of the same key.
    by_age: VecDeque<(Instant, K, u64)>,
    opened: u64,
}

#[derive(Debug)]
struct Open<T> {
    number: u64,
    bytes: usize,
    entries: Vec<T>,
}

impl<K: Clone + Eq + Hash, T> Packer<K, T> {
    /// Creates a packer without entries.
    pub fn new(limits: Limits) -> Self {
        Self { limits, open: HashMap::new(), by_age: VecDeque::new(), opened: 0 }
    }

    /// Adds an entry, and moves the batches that it closes to `ready`. An entry that exceeds the limit by itself becomes a
    /// batch of its own.
    pub fn push(&mut self, item: Item<K, T>, now: Instant, ready: &mut Vec<(K, Vec<T>)>) {
        let Item { key, bytes, entry } = item;
        if let Some(batch) = self.open.get(&key)
            && batch.bytes + bytes > self.limits.bytes
        {
            self.close(&key, ready);
        }
        let batch = self.open.entry(key.clone()).or_insert_with(|| {
            self.opened += 1;
            self.by_age.push_back((now + self.limits.linger, key.clone(), self.opened));
            Open { number: self.opened, bytes: 0, entries: Vec::with_capacity(self.limits.entries) }
        });
        batch.entries.push(entry);
        batch.bytes += bytes;
        if batch.entries.len() >= self.limits.entries || batch.bytes >= self.limits.bytes {
            self.close(&key, ready);
        }
    }

    /// Moves the batches that have reached the linger to `ready`.
    pub fn take_due(&mut self, now: Instant, ready: &mut Vec<(K, Vec<T>)>) {
        while let Some((_, key, number)) = self.by_age.pop_front_if(|(due, _, _)| *due <= now) {
            if self.open.get(&key).is_some_and(|batch| batch.number == number) {
                self.close(&key, ready);
            }
        }
    }

    /// Returns when the oldest open batch reaches the linger.
    pub fn next_due(&mut self) -> Option<Instant> {
        let open = &self.open;
        let closed = |(_, key, number): &mut (Instant, K, u64)| open.get(key).is_none_or(|b| b.number != *number);
        while self.by_age.pop_front_if(closed).is_some() {}
        self.by_age.front().map(|(due, _, _)| *due)
    }

    /// Moves all open batches to `ready`.
    pub fn take_all(&mut self, ready: &mut Vec<(K, Vec<T>)>) {
        for (_, key, number) in std::mem::take(&mut self.by_age) {
            if self.open.get(&key).is_some_and(|batch| batch.number == number) {
                self.close(&key, ready);
            }
        }
    }

    fn close(&mut self, key: &K, ready: &mut Vec<(K, Vec<T>)>) {
        if let Some((key, batch)) = self.open.remove_entry(key) {
            ready.push((key, batch.entries));
        }
    }
}

/// Packs the items that arrive and calls `send` for each batch, at most `concurrency` calls at a time. Returns when the
/// channel is closed and every call has returned. Dropping the future aborts the calls.
pub async fn run<K, T, F, Fut>(
    limits: Limits,
    concurrency: usize,
    mut items: mpsc::UnboundedReceiver<Item<K, T>>,
    send: F,
) where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    F: Fn(K, Vec<T>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    const TAKE_AT_ONCE: usize = 64;
    let permits = Arc::new(Semaphore::new(concurrency));
    let mut calls = JoinSet::new();
    let mut packer = Packer::new(limits);
    let mut arrived = Vec::with_capacity(TAKE_AT_ONCE);
    let mut ready = Vec::new();
    loop {
        let due = packer.next_due();
        let due_or_never = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let open = tokio::select! {
            biased;
            count = items.recv_many(&mut arrived, TAKE_AT_ONCE) => count > 0,
            () = due_or_never => true,
        };
        let now = Instant::now();
        for item in arrived.drain(..) {
            packer.push(item, now, &mut ready);
        }
        packer.take_due(now, &mut ready);
        if !open {
            packer.take_all(&mut ready);
        }
        for (key, entries) in ready.drain(..) {
            let (permits, call) = (Arc::clone(&permits), send(key, entries));
            calls.spawn(async move {
                // The semaphore is never closed, so the permit is always granted.
                let _permit = permits.acquire_owned().await.ok();
                call.await;
            });
        }
        while calls.try_join_next().is_some() {}
        if !open {
            break;
        }
    }
    while calls.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packer(entries: usize, bytes: usize) -> Packer<&'static str, u32> {
        Packer::new(Limits { entries, bytes, linger: Duration::from_millis(10) })
    }

    fn push(packer: &mut Packer<&'static str, u32>, key: &'static str, bytes: usize, entry: u32) -> Vec<Vec<u32>> {
        let mut ready = Vec::new();
        packer.push(Item { key, bytes, entry }, Instant::now(), &mut ready);
        ready.into_iter().map(|(_, entries)| entries).collect()
    }

    #[test]
    fn a_batch_closes_at_its_largest_number_of_entries() {
        let mut packer = packer(3, 100);
        assert!(push(&mut packer, "a", 1, 1).is_empty());
        assert!(push(&mut packer, "b", 1, 9).is_empty());
        assert!(push(&mut packer, "a", 1, 2).is_empty());
        assert_eq!(push(&mut packer, "a", 1, 3), [[1, 2, 3]]);
    }

    #[test]
    fn an_entry_that_does_not_fit_closes_the_previous_batch() {
        let mut packer = packer(10, 100);
        assert!(push(&mut packer, "a", 60, 1).is_empty());
        assert_eq!(push(&mut packer, "a", 60, 2), [[1]]);
        assert_eq!(push(&mut packer, "a", 40, 3), [[2, 3]], "a batch of exactly the limit is full");
        assert_eq!(push(&mut packer, "a", 500, 4), [[4]], "an entry above the limit gets its own batch");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_not_full_closes_once_at_the_linger() {
        let mut packer = packer(2, 100);
        push(&mut packer, "full", 1, 1);
        push(&mut packer, "full", 1, 2);
        tokio::time::advance(Duration::from_millis(4)).await;
        push(&mut packer, "old", 1, 3);
        push(&mut packer, "full", 1, 4);
        let mut ready = Vec::new();
        tokio::time::advance(Duration::from_millis(6)).await;
        packer.take_due(Instant::now(), &mut ready);
        assert!(ready.is_empty(), "the first batch closed early; the others are 6 ms old");
        assert_eq!(packer.next_due(), Some(Instant::now() + Duration::from_millis(4)));
        tokio::time::advance(Duration::from_millis(4)).await;
        packer.take_due(Instant::now(), &mut ready);
        assert_eq!(ready, [("old", vec![3]), ("full", vec![4])]);
        assert_eq!(packer.next_due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_channel_sends_the_remaining_entries() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
        let record = Arc::clone(&sent);
        let limits = Limits { entries: 2, bytes: 100, linger: Duration::from_secs(60) };
        let runner = tokio::spawn(run(limits, 1, receiver, move |key, entries: Vec<u32>| {
            let record = Arc::clone(&record);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                record.lock().unwrap().push((key, entries));
            }
        }));
        for entry in 1..=3 {
            sender.send(Item { key: "a", bytes: 1, entry }).unwrap();
        }
        drop(sender);
        runner.await.unwrap();
        assert_eq!(*sent.lock().unwrap(), [("a", vec![1, 2]), ("a", vec![3])]);
    }
}
