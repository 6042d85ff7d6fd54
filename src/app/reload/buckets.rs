//! Places in a bucket: polled, and admitted without a delay.

use std::sync::Arc;

use tracing::warn;

use super::{Reason, Reload, note_request};
use crate::aws::s3::place;
use crate::route::CustomersObject;
use crate::schema::registry::{self, Objects, Polled};
use crate::telemetry::{ReloadSubject, StoreErrorCode};

impl Reload {
    /// Reloads the descriptor sets of a bucket at each poll. Never returns.
    pub(super) async fn poll_sets(self: &Arc<Self>, mut objects: Objects) {
        let mut pace = self.pace.clone();
        loop {
            self.places.is_polled_every(ReloadSubject::Descriptors, pace.poll_seconds());
            let reason = pace.next_poll().await;
            let turn = pace.turn_to_load().await;
            self.look_at_sets(&mut objects).await;
            drop(turn);
            note_request(ReloadSubject::Descriptors, reason);
        }
    }

    /// Reloads the customers file of a bucket at each poll. Never returns.
    pub(super) async fn poll_customers(self: &Arc<Self>, mut object: CustomersObject) {
        let mut pace = self.pace.clone();
        loop {
            self.places.is_polled_every(ReloadSubject::Customers, pace.poll_seconds());
            let reason: Reason = pace.next_poll().await;
            self.look_at_customers(&mut object).await;
            note_request(ReloadSubject::Customers, reason);
        }
    }

    pub(super) async fn look_at_sets(self: &Arc<Self>, objects: &mut Objects) {
        const WHAT: ReloadSubject = ReloadSubject::Descriptors;
        let polled = objects.poll(Some(&self.registry.current())).await;
        if let Some(warning) = self.new_source_warning(objects.source_warning()) {
            warn!("{warning}");
        }
        let read = match polled {
            Ok(Polled::Read(read)) => read,
            Ok(Polled::Unchanged) => {
                self.places.succeeded(WHAT);
                return self.show_descriptors();
            }
            Ok(Polled::Emptied) => {
                let place = objects.location();
                warn!(%place, "there is no descriptor set any more; keeping those in force until the next poll confirms it");
                self.places.succeeded(WHAT);
                return self.show_descriptors();
            }
            Ok(Polled::Failing(errors)) => return self.objects_failed(&errors),
            Err(error) => {
                let code = code_of(&error);
                self.places.failed(WHAT, code, &error);
                return self.sets_unreadable(&error);
            }
        };
        self.places.set_versions(objects.known());
        self.admit_files(read.files).await;
        if read.replaced > 0 {
            let objects = read.replaced;
            warn!(objects, "objects were replaced while they were read; the next poll reads them again");
        }
        self.objects_failed(&read.failed);
        if read.failed.is_empty() && read.replaced == 0 {
            self.places.succeeded(WHAT);
        }
    }

    /// Notes the objects that could not be read, if there are any.
    fn objects_failed(&self, errors: &[place::Error]) {
        for error in errors {
            self.places.failed(ReloadSubject::Descriptors, error.code(), error);
        }
        if let Some(error) = errors.first() {
            self.sets_unreadable(error);
        }
    }

    pub(super) async fn look_at_customers(self: &Arc<Self>, object: &mut CustomersObject) {
        const WHAT: ReloadSubject = ReloadSubject::Customers;
        match object.read().await {
            Ok(None) => {
                self.places.succeeded(WHAT);
                self.show_customers(true);
            }
            Ok(Some(text)) => {
                self.places.succeeded(WHAT);
                self.admit_text(Ok(text)).await;
            }
            Err(error) => {
                let code = match &error {
                    crate::route::Error::Bucket(error) => error.code(),
                    _ => StoreErrorCode::Other,
                };
                self.places.failed(WHAT, code, &error);
                self.admit_text(Err(error)).await;
            }
        }
    }
}

fn code_of(error: &registry::Error) -> StoreErrorCode {
    match error {
        registry::Error::Bucket(error) => place::Error::code(error),
        _ => StoreErrorCode::Other,
    }
}

#[cfg(test)]
mod tests;
