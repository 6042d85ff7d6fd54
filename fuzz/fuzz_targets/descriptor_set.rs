//! Any bytes, as a FileDescriptorSet. What links is compiled, and the same bytes are a payload of each of its types.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protojson::{Options, Schema};

// The fuzzer's own hook ends the process at any panic, and those of linking are caught. A panic that leaves the target
// ends it still.
fuzz_target!(init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))), |data: &[u8]| {
    let Ok(schema) = Schema::builder().set("fuzz.binpb", data).and_then(protojson::SchemaBuilder::build) else {
        return;
    };
    let mut defaults = Options::default();
    defaults.emit_defaults = true;
    for (name, _) in schema.messages().filter(|(_, set)| *set == "fuzz.binpb").take(16) {
        for options in [&Options::default(), &defaults] {
            let plan = schema.plan(name, options).expect("the type is there");
            for payload in [data, &[]] {
                let mut json = Vec::new();
                if plan.transcode(payload, &mut json).is_ok() {
                    serde_json::from_slice::<serde::de::IgnoredAny>(&json).expect("the output is JSON");
                }
            }
        }
    }
});
