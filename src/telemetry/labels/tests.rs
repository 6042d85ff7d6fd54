use super::super::label_set::LabelSet;
use super::*;

/// Returns the labels as they are shown, and checks that they are read back from their values.
fn shown<'v, L: LabelSet>(labels: L::With<'v>) -> Vec<(&'static str, &'v str)> {
    let mut shown = Vec::new();
    L::each(labels, |name, value| shown.push((name, value)));
    let again = L::read(shown.iter().map(|(_, value)| *value));
    assert_eq!(format!("{again:?}"), format!("{labels:?}"));
    shown
}

#[test]
fn labels_are_shown_by_the_names_of_their_fields() {
    let labels = PollLabels { queue: "orders", result: PollResult::Empty };
    assert_eq!(shown::<PollLabels<'_>>(labels), [("queue", "orders"), ("result", "empty")]);
    assert_eq!(PollLabels::names(), ["queue", "result"]);
}

#[test]
fn an_operation_is_two_labels_and_a_hidden_customer_is_none() {
    let operation = Operation::PublishBatch;
    let billable = |customer| shown::<BillableLabels<'_>>(BillableLabels { operation, customer });
    let (service, name) = (("service", "sns"), ("operation", "PublishBatch"));
    assert_eq!(billable(CustomerLabel::Hidden), [service, name]);
    assert_eq!(billable(CustomerLabel::NoCustomer), [service, name, ("customer", "none")]);
    assert_eq!(billable(CustomerLabel::Id("acme")), [service, name, ("customer", "acme")]);
    assert_eq!(BillableLabels::names(), ["service", "operation", "customer"]);
}

#[test]
#[should_panic = "PollResult has no `nothing`"]
fn a_value_that_is_not_on_the_closed_list_panics() {
    PollLabels::read(["orders", "nothing"].into_iter());
}

#[test]
#[should_panic = "the metrics have no label `customer`"]
fn a_hidden_customer_cannot_be_compared() {
    CustomerLabel::Hidden.is("acme");
}
