//! The customers file: read, admitted, shown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::sleep;
use tracing::{error, info};

use super::{Reload, SETTLED};
use crate::route;
use crate::telemetry::{ReloadResult, ReloadSubject};

impl Reload {
    /// Reads the file, and admits it once it is unchanged.
    pub(super) async fn customers(self: &Arc<Self>) {
        let read = |this: &Self| this.routes.read().map(|text| (this.routes.is_current(&text), text));
        let Some(found) = self.blocking(ReloadSubject::Customers, read).await else { return self.customers_failed() };
        let text = match found {
            Ok((true, _)) => return self.show_customers(true),
            // The first half of a customers file is a valid file with fewer customers. So the file must be unchanged for a
            // while before it is admitted.
            Ok((false, text)) => {
                sleep(SETTLED).await;
                match self.blocking(ReloadSubject::Customers, read).await {
                    Some(Ok((_, again))) if again == text => Ok(text),
                    // The file is being written. The next change or poll reads it again.
                    Some(Ok(_)) => return self.count(ReloadSubject::Customers, ReloadResult::Unsettled),
                    Some(Err(error)) => Err(error),
                    None => return self.customers_failed(),
                }
            }
            Err(error) => Err(error),
        };
        self.admit_text(text).await;
    }

    /// Admits a text on a thread for blocking work, and shows the result.
    pub(super) async fn admit_text(self: &Arc<Self>, text: Result<String, route::Error>) {
        let _turn = self.admission.lock().await;
        if self.blocking(ReloadSubject::Customers, move |this| this.admit_customers(text)).await.is_none() {
            self.customers_failed();
        }
    }

    fn customers_failed(&self) {
        self.customers_refused.store(true, Ordering::Release);
        self.show_customers(true);
    }

    fn admit_customers(&self, text: Result<String, route::Error>) {
        let result = match text.and_then(|text| self.routes.admit(&text)) {
            Ok(None) => return self.show_customers(true),
            Ok(Some(router)) => {
                self.customers_refused.store(false, Ordering::Release);
                info!(customers = router.customers().count(), "customers reloaded");
                self.warn_about(&router);
                ReloadResult::Admitted
            }
            Err(error) if error.is_unreadable() => {
                if let Some(suppressed) = self.unreadable.permit() {
                    error!(%error, suppressed, "keeping the customers in force");
                }
                ReloadResult::Unreadable
            }
            Err(error) => {
                self.customers_refused.store(true, Ordering::Release);
                error!("{error}; keeping the customers in force");
                ReloadResult::Refused
            }
        };
        self.show_customers(result != ReloadResult::Unreadable);
        self.count(ReloadSubject::Customers, result);
    }
}
