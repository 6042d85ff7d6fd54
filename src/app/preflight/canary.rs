//! Asks for the permissions of `protobridge canary`.

use super::{Permission, Preflight, Receives};

impl Preflight<'_> {
    /// Asks for the permissions on the input queue and on the return queue of canaries. The topic is asked for with the
    /// topics of customers.
    pub(super) async fn canary(&mut self, receives: Receives) {
        let Some(path) = self.config.canary_path() else { return };
        let url = path.queue.url.as_str();
        let send = Permission::of_queue("sqs:SendMessage", url, self.region.as_deref(), "canary.queue");
        self.send(url, &send).await;
        self.return_queue(path.return_queue_url, receives).await;
    }
}
