//! The customer of an event: the attribute and the payload can both name one.

use std::fmt;

use super::Rules;
use crate::config::CustomerMismatch;
use crate::message::envelope::Origin;
use crate::message::steps::{About, Step, Witness};
use crate::message::{QuarantineKind, QuarantineReason};
use crate::route::Router;
use crate::schema::registry::EventType;

/// The ids of the customers that an event names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Customers<'e> {
    /// The id in the customer attribute, or in the CloudEvent's attribute of that name, with the part that has it.
    pub(super) attribute: Option<(&'e str, Origin)>,
    /// The id in the payload, with the tap that read it.
    pub(super) payload: Option<(&'e str, usize)>,
    /// The event's type.
    pub(super) event_type: &'e EventType,
}

impl Rules {
    /// Returns the id of the event's customer, if the event names one. Of two different ids, the configuration says
    /// which one counts. An empty id counts as absent.
    ///
    /// # Errors
    /// Returns a reason for quarantine if the two ids differ and the configuration trusts neither. A broadcast is never
    /// refused, because its destinations do not depend on its customer.
    pub(super) fn customer<'e>(
        &self,
        customers: Customers<'e>,
        router: &Router,
        witness: &mut impl Witness,
    ) -> Result<Option<&'e str>, QuarantineReason> {
        let attribute = customers.attribute.filter(|(id, _)| !id.is_empty());
        let event_type = customers.event_type;
        let mut chosen = |id: Option<&'e str>, why: &dyn fmt::Display| {
            witness.note(|| Step::new(About::Customer, id.unwrap_or("none"), why));
            Ok(id)
        };
        let key = format_args!("`{}` (route.customer_attribute)", self.customer_attribute);
        let path = |tap| format!("the field {} (taps.customer)", event_type.path(tap));
        let ((by_attribute, origin), (by_payload, tap)) = match (attribute, customers.payload) {
            (Some(by_attribute), Some(by_payload)) => (by_attribute, by_payload),
            (Some((id, origin)), None) => {
                return chosen(Some(id), &format_args!("{origin} has the attribute {key}"));
            }
            (None, Some((id, tap))) => {
                return chosen(Some(id), &Lazy(|| format!("{} has it; there is no attribute {key}", path(tap))));
            }
            (None, None) => {
                return chosen(
                    None,
                    &format_args!("there is no attribute {key}, and no path of `taps.customer` has a value"),
                );
            }
        };
        let trusted =
            |name| Lazy(move || format!("`route.customer_mismatch` is {name}; {} names {by_payload}", path(tap)));
        match self.customer_mismatch {
            _ if by_attribute == by_payload => {
                let why = Lazy(|| format!("{origin} has the attribute {key}; {} has the same id", path(tap)));
                chosen(Some(by_attribute), &why)
            }
            CustomerMismatch::Attribute => chosen(Some(by_attribute), &trusted("attribute")),
            CustomerMismatch::Payload => chosen(Some(by_payload), &trusted("payload")),
            CustomerMismatch::Quarantine if router.is_broadcast(&event_type.name) => {
                chosen(Some(by_attribute), &"the destinations of a broadcast do not depend on its customer")
            }
            CustomerMismatch::Quarantine => Err(QuarantineKind::CustomerMismatch.because(format_args!(
                "the attribute `{}` names customer {by_attribute}, and the payload names {by_payload}; fix the \
                 producer, or set `route.customer_mismatch` to the one to trust (`attribute` or `payload`)",
                self.customer_attribute
            ))),
        }
    }
}

/// A text that is made when it is displayed.
struct Lazy<F>(F);

impl<F: Fn() -> String> fmt::Display for Lazy<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&(self.0)())
    }
}
