//! Tests of the customer of an event and of the identity that depends on it.

use super::*;

#[test]
fn the_customer_that_an_event_names_is_a_part_of_its_identity_on_a_topic_of_no_customer() {
    let stage = stage();
    let mut identities = Vec::new();
    for (named, attribute) in [
        (Some("hooli"), Some("hooli".to_owned())),
        (Some("Zwölf GmbH"), Some("Zwölf GmbH".to_owned())),
        (Some("a\u{1}"), Some(format!("sha256:{}", hex::encode(Sha256::digest("a\u{1}"))))),
        (Some("a\u{2}"), Some(format!("sha256:{}", hex::encode(Sha256::digest("a\u{2}"))))),
        (None, None),
    ] {
        let Delivery { key, entry } = stage.decide(&[], named).unwrap().remove(0);
        let customer_id = entry.attributes.iter().find(|(name, _)| *name == "customer-id");
        assert_eq!(customer_id.map(|(_, value)| value.to_owned()), attribute, "{named:?}");
        assert_eq!((entry.topic.as_str(), entry.customer), (REST, None), "no metric has the name as a label");
        let id = entry.deduplication_id.expect("a FIFO topic requires one");
        assert_eq!(id, key.to_hex());
        identities.push(id);
        // The tap names the same customer, so it is the same event.
        let by_tap = named.map(|named| stage.decide(&tenant(named), None).unwrap().remove(0).key);
        assert!(by_tap.is_none_or(|by_tap| by_tap == key), "{named:?}");
    }
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), 5, "{identities:?}");
}

#[test]
fn a_deduplication_id_is_one_that_sns_accepts_and_only_a_fifo_topic_has_one() {
    let stage = stage();
    let id = stage.decide(&[], Some("hooli")).unwrap().remove(0).entry.deduplication_id.unwrap();
    assert!(id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(stage.decide(&[], Some("plain")).unwrap().remove(0).entry.deduplication_id, None);
}

/// Decides about an event of this tenant and this customer attribute. Returns the customers who receive it, or the
/// outcome.
fn receivers(stage: &Stage, payload: &[u8], attribute: &str) -> Result<Vec<String>, String> {
    let name = |delivery: Delivery| delivery.entry.customer.as_deref().unwrap_or("no customer").to_owned();
    match stage.decide(payload, Some(attribute)) {
        Ok(deliveries) => Ok(deliveries.into_iter().map(name).collect()),
        Err(Outcome::Quarantine(reason)) => Err(format!("{}: {}", reason.kind, reason.detail)),
        Err(other) => Err(format!("{other:?}")),
    }
}

#[test]
fn an_event_whose_attribute_and_payload_name_different_customers_is_quarantined() {
    let mut stage = stage();
    let refused = receivers(&stage, &tenant("full"), "plain").unwrap_err();
    assert_eq!(
        refused,
        "customer_mismatch: the attribute `customer-id` names customer plain, and the payload names full; fix the \
         producer, or set `route.customer_mismatch` to the one to trust (`attribute` or `payload`)"
    );
    assert_eq!(receivers(&stage, &tenant("plain"), "plain").unwrap(), ["plain"]);
    // One of the two is empty.
    assert_eq!(receivers(&stage, &tenant(""), "plain").unwrap(), ["plain"]);
    assert_eq!(receivers(&stage, &tenant("full"), "").unwrap(), ["full"]);
    // The customer of a broadcast decides nothing.
    stage.router = stage.router_of(&config::Route { broadcast: vec!["t.*".into()], ..config::Route::default() });
    let mut all = receivers(&stage, &tenant("full"), "plain").unwrap();
    all.sort_unstable();
    assert_eq!(all, ["full", "plain", "slim"]);
}

#[test]
fn the_configuration_says_which_customer_to_trust() {
    let mut stage = stage();
    for (trusted, expected) in
        [(config::CustomerMismatch::Attribute, "plain"), (config::CustomerMismatch::Payload, "full")]
    {
        stage.rules.customer_mismatch = trusted;
        assert_eq!(receivers(&stage, &tenant("full"), "plain").unwrap(), [expected]);
        let json = stage.decide(&tenant("slim"), Some("full")).unwrap().remove(0).entry.body;
        let is_full = json.contains("firstOfSomeNumbers");
        assert_eq!(is_full, trusted == config::CustomerMismatch::Attribute, "the profile is that of the receiver");
    }
}
