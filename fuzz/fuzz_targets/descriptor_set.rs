//! Uses any bytes as a FileDescriptorSet. If the set links, its types are compiled, and the same bytes are used as a
//! payload of each type.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protojson::{Options, Schema};

// The fuzzer's own panic hook ends the process at any panic. This hook replaces it, because linking catches some
// panics. A panic that leaves the target still ends the process.
fuzz_target!(init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))), |data: &[u8]| {
    let Ok(schema) = Schema::builder().set("fuzz.binpb", data).and_then(protojson::SchemaBuilder::build) else {
        return;
    };
    let mut defaults = Options::default();
    defaults.emit_defaults = true;
    for (name, _) in schema.messages().filter(|(_, set)| *set == "fuzz.binpb").take(16) {
        for options in [&Options::default(), &defaults] {
            let plan = schema.plan(name, options).expect("the schema contains the type");
            for payload in [data, &[]] {
                let mut json = Vec::new();
                if plan.transcode(payload, &mut json).is_ok() {
                    serde_json::from_slice::<serde::de::IgnoredAny>(&json).expect("the output is valid JSON");
                }
            }
        }
    }
});
