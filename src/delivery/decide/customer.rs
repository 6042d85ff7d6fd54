//! The customer of an event: the attribute and the payload can both name one.

use super::Rules;
use crate::config::CustomerMismatch;
use crate::message::{QuarantineKind, QuarantineReason};
use crate::route::Router;

/// The ids of the customers that an event names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Customers<'e> {
    /// The id in the customer attribute, or in the CloudEvent's attribute of that name.
    pub(super) attribute: Option<&'e str>,
    /// The id in the payload, read by a tap.
    pub(super) payload: Option<&'e str>,
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
        event_type: &str,
    ) -> Result<Option<&'e str>, QuarantineReason> {
        let attribute = customers.attribute.filter(|id| !id.is_empty());
        let (Some(by_attribute), Some(by_payload)) = (attribute, customers.payload) else {
            return Ok(attribute.or(customers.payload));
        };
        match self.customer_mismatch {
            _ if by_attribute == by_payload => Ok(attribute),
            CustomerMismatch::Attribute => Ok(attribute),
            CustomerMismatch::Payload => Ok(customers.payload),
            CustomerMismatch::Quarantine if router.is_broadcast(event_type) => Ok(attribute),
            CustomerMismatch::Quarantine => Err(QuarantineKind::CustomerMismatch.because(format_args!(
                "the attribute `{}` names customer {by_attribute}, and the payload names {by_payload}; fix the \
                 producer, or set `route.customer_mismatch` to the one to trust (`attribute` or `payload`)",
                self.customer_attribute
            ))),
        }
    }
}
