use std::path::Path;

use super::*;

const TYPES: [&str; 3] = ["shop.v1.OrderPlaced", "shop.v1.PaymentFailed", "protobridge.v1.Heartbeat"];

fn settings() -> config::Route {
    config::Route { topic_template: Some("arn:aws:sns:eu-west-1:123456789012:{customer}".into()), ..Default::default() }
}

fn router(settings: &config::Route, yaml: &str) -> Result<Router, Error> {
    let profiles = Profiles::new(&Default::default());
    let template = settings.topic_template.as_deref();
    let customers = customers::parse(Path::new("customers.yaml"), yaml, template, &profiles)?;
    Ok(Router::new(settings, customers, TYPES))
}

const TWO: &str = "
customers:
  - id: acme
    events: [shop.v1.Order*]
  - id: globex
    topic: arn:aws:sns:eu-west-1:123456789012:own.fifo
  - id: gone
    enabled: false
";

fn check(event_type: &str, customer: Option<&str>, expected: &str) {
    let decision = match router(&settings(), TWO).unwrap().route(event_type, customer) {
        Routing::To(to) => {
            to.iter().map(|d| d.topic.as_str().rsplit(':').next().unwrap_or("")).collect::<Vec<_>>().join(" ")
        }
        Routing::Filtered(filtered) => format!("out: {}", filtered.rule()),
        Routing::Unroutable(reason) => format!("{}: {}", reason.kind, reason.detail),
    };
    assert_eq!(decision, expected, "{event_type} {customer:?}");
}

#[test]
fn an_event_goes_to_its_customers_topic_if_the_customer_asks_for_the_type() {
    check("shop.v1.OrderPlaced", Some("acme"), "acme");
    check("shop.v1.PaymentFailed", Some("acme"), "out: the customer does not ask for this type");
    check("shop.v1.PaymentFailed", Some("globex"), "own.fifo");
    check("shop.v1.OrderPlaced", Some("gone"), "out: the customer is disabled");
}

#[test]
fn a_broadcast_type_goes_to_everyone_who_asks_whatever_customer_it_names() {
    check("protobridge.v1.Heartbeat", Some("acme"), "own.fifo");
}

#[test]
fn an_event_that_is_nobodys_follows_the_policy() {
    check("shop.v1.OrderPlaced", Some("who"), "no_customer: customer who is not in the customers file");
    check(
        "shop.v1.OrderPlaced",
        None,
        "no_customer: the event names no customer: neither the attribute nor a tap has a value",
    );
    let other = config::Route {
        without_customer: Nobody::Drop,
        unknown_customer: Nobody::Topic("arn:aws:sns:eu-west-1:123456789012:rest".into()),
        ..settings()
    };
    let router = router(&other, TWO).unwrap();
    assert!(matches!(router.route("shop.v1.OrderPlaced", None), Routing::Filtered(_)));
    assert!(matches!(router.route("shop.v1.OrderPlaced", Some("who")), Routing::To(to) if to[0].customer.is_none()));
    assert_eq!(router.topics().len(), 3, "both enabled customers and the topic for the rest");
}

#[test]
fn impossible_customers_are_refused_all_at_once() {
    let yaml = "
customers:
  - {id: a, topic: arn:aws:sns:eu-west-1:123456789012:t}
  - {id: b, topic: arn:aws:sns:eu-west-1:123456789012:t}
  - {id: a}
  - {id: c, profile: fancy}
  - {id: d, topic: my-topic}
";
    let error = router(&settings(), yaml).unwrap_err().to_string();
    insta::assert_snapshot!(error, @r"
    4 problems in customers.yaml:
      line 4: customers[1].topic: a has the same topic arn:aws:sns:eu-west-1:123456789012:t, so each would get the other's events
      line 5: customers[2].id: a is listed twice
      line 6: customers[3].profile: there is no profile fancy; the configuration has: default
      line 7: customers[4].topic: my-topic is not the ARN of an SNS topic such as `arn:aws:sns:eu-west-1:123456789012:events`
    ");
}

#[test]
fn a_glob_that_fits_nothing_and_a_type_that_nobody_receives_are_pointed_out() {
    let yaml = "customers: [{id: acme, events: [shop.v1.Order*, shop.v1.Refund*]}]";
    let router = router(&settings(), yaml).unwrap();
    assert_eq!(
        warnings(&router, &TYPES, &TYPES[..2]),
        [
            "customer acme: events `shop.v1.Refund*` fits no known message type",
            "nobody receives shop.v1.PaymentFailed: no enabled customer's events fit it",
        ]
    );
}

#[test]
fn the_example_customers_file_loads() {
    let profiles = Profiles::new(&Default::default());
    let path = Path::new("config/customers.yaml");
    let yaml = include_str!("../../config/customers.yaml");
    assert!(!customers::parse(path, yaml, None, &profiles).unwrap().is_empty());
}
