//! Uses any bytes as a payload of the corpus or the sample events. The first byte selects the message type.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protojson::{Options, Plan, Schema, Taps};

#[path = "../../crates/protojson/tests/support/json.rs"]
mod json;

static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    let schema = Schema::builder()
        .set("corpus.binpb", include_bytes!("../../crates/protojson/corpus/corpus.binpb"))
        .and_then(|builder| builder.set("shop.binpb", include_bytes!("../../descriptors/shop.binpb")))
        .and_then(protojson::SchemaBuilder::build)
        .expect("the sets link");
    let mut names: Vec<&str> = schema.messages().map(|(name, _)| name).collect();
    names.sort_unstable();
    let plan = |name| schema.plan(name, &Options::default()).expect("the schema contains the type");
    let tapped = |plan: Plan| {
        let paths = ["meta.tenant_id", "meta.event_id", "meta.occurred_at", "order_id", "amount_minor"];
        paths.into_iter().fold(plan, |plan, path| plan.clone().with_tap(path).unwrap_or(plan))
    };
    names.into_iter().map(plan).map(tapped).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, wire)) = data.split_first() else { return };
    let plan = &PLANS[usize::from(*choice) % PLANS.len()];
    let (mut plain, mut tapped) = (Vec::new(), b"before".to_vec());
    let result = plan.transcode(wire, &mut plain);
    let again = plan.transcode_tapped(wire, &mut tapped, &mut Taps::new());
    assert_eq!(result, again);
    assert_eq!(tapped.strip_prefix(b"before"), Some(plain.as_slice()), "taps must not change the output");
    match result {
        Ok(()) => drop(json::Json::parse(&plain).expect("the output is valid JSON without duplicate keys")),
        Err(_) => assert!(plain.is_empty(), "a failed payload left partial output"),
    }
});
