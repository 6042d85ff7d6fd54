use super::*;
use crate::config::{Descriptors, Int64, Profile, Queue, Taps};
use crate::route::ClaimCheckMode;
use crate::schema::registry::Registry;

struct Stage {
    snapshot: Arc<Snapshot>,
    profiles: Arc<Profiles>,
    customers: Vec<Arc<Customer>>,
}

/// Creates a stage with the committed descriptor sets and a profile `web` that writes int64 as numbers.
fn stage() -> Stage {
    let web = Profile { int64: Int64::Number, ..Profile::default() };
    let profiles = Arc::new(Profiles::new(&[("web".to_owned(), web)].into()));
    let sets =
        Descriptors { path: concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into(), ..Descriptors::default() };
    let taps = Taps { event_id: vec!["meta.event_id".into()], ..Taps::default() };
    let snapshot = Registry::load(&sets, &taps, Arc::clone(&profiles)).unwrap().current();
    Stage { snapshot, profiles, customers: Vec::new() }
}

impl Stage {
    fn customer(mut self, id: &str, events: &[&str], profile: &str, topic: &str) -> Self {
        self.customers.push(Arc::new(Customer {
            id: id.into(),
            topic: topic.into(),
            events: events.iter().map(|glob| Glob::new(glob)).collect(),
            profile: self.profiles.find(profile).unwrap(),
            enabled: true,
            canary: false,
            claim_check: Default::default(),
        }));
        self
    }

    fn acme(self) -> Self {
        self.customer("acme", &["shop.v1.Order*"], "default", "arn:aws:sns:eu-west-1:123456789012:acme")
    }

    fn event_types(&self, config: &Config) -> Vec<&str> {
        let router = Router::new(&config.route, self.customers.clone(), self.snapshot.type_names());
        super::event_types(&self.snapshot, &router, config)
    }

    fn document(&self) -> Value {
        self.document_with(Additions::Accepted)
    }

    fn document_with(&self, additions: Additions) -> Value {
        document(&Subject {
            snapshot: &self.snapshot,
            profiles: &self.profiles,
            customers: self.customers.clone(),
            event_types: self.event_types(&Config::default()),
            endpoint: None,
            additions,
        })
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_channel_is_a_customers_topic_with_the_events_that_the_customer_receives() {
    let document = stage().acme().document();
    assert_eq!(
        document["channels"]["acme"],
        json!({
            "address": "arn:aws:sns:eu-west-1:123456789012:acme",
            "title": "acme",
            "servers": [{"$ref": "#/servers/sns-eu-west-1"}],
            "messages": {
                "shop_v1_OrderPlaced": {"$ref": "#/components/messages/default-shop_v1_OrderPlaced"},
                "shop_v1_OrderShipped": {"$ref": "#/components/messages/default-shop_v1_OrderShipped"},
                "shop_v1_OrderStatusChanged": {"$ref": "#/components/messages/default-shop_v1_OrderStatusChanged"}
            },
            "bindings": {"sns": {"name": "acme"}}
        })
    );
    assert_eq!(document["operations"]["acme"]["action"], "send");
    assert_eq!(document["operations"]["acme"]["channel"], json!({"$ref": "#/channels/acme"}));
}

#[test]
fn the_attributes_name_the_mark_of_a_replay_which_is_not_required() {
    let headers = super::message::attributes(false);
    assert_eq!(headers["properties"][crate::message::attributes::REPLAY]["type"], "string");
    let required = headers["required"].as_array().unwrap();
    assert!(required.len() > 4 && !required.contains(&"replay".into()), "{required:?}");
}

#[test]
fn only_the_channel_of_a_customer_with_a_claim_check_describes_it() {
    let with = |mode| {
        let mut stage =
            stage().acme().customer("globex", &["*"], "default", "arn:aws:sns:eu-west-1:123456789012:globex");
        let acme = Customer { claim_check: mode, ..Customer::clone(&stage.customers[0]) };
        stage.customers[0] = Arc::new(acme);
        let document = stage.document();
        let has_attribute =
            !document["components"]["schemas"]["attributes"]["properties"]["ExtendedPayloadSize"].is_null();
        let of = |id: &str| document["channels"][id]["description"].as_str().unwrap_or("").to_owned();
        (of("acme"), of("globex"), has_attribute)
    };
    assert_eq!(with(ClaimCheckMode::Off), (String::new(), String::new(), false));
    let (on, other, has_attribute) = with(ClaimCheckMode::On);
    assert!(on.starts_with("A message with the attribute `ExtendedPayloadSize` is a claim check: "), "{on}");
    assert!(on.contains("raw message delivery") && other.is_empty() && has_attribute, "{other}");
    assert!(with(ClaimCheckMode::Always).0.starts_with("Every message is a claim check: "));
}

#[test]
fn a_channel_has_the_server_and_the_ordering_of_its_topic() {
    let document = stage()
        .customer("near", &["*"], "default", "arn:aws:sns:eu-west-1:123456789012:near")
        .customer("far", &["*"], "default", "arn:aws-cn:sns:cn-north-1:123456789012:far.fifo")
        .document();
    assert_eq!(document["servers"]["sns-eu-west-1"]["host"], "sns.eu-west-1.amazonaws.com");
    assert_eq!(document["servers"]["sns-cn-north-1"]["host"], "sns.cn-north-1.amazonaws.com.cn");
    let binding = &document["channels"]["far"]["bindings"]["sns"];
    assert_eq!(*binding, json!({"name": "far.fifo", "ordering": {"type": "FIFO"}}));
}

#[test]
fn a_configured_endpoint_is_the_server() {
    let stage = stage().acme();
    let endpoint = Some("http://localhost:4566/path");
    let document = document(&Subject {
        snapshot: &stage.snapshot,
        profiles: &stage.profiles,
        customers: stage.customers.clone(),
        event_types: Vec::new(),
        endpoint,
        additions: Additions::Accepted,
    });
    assert_eq!(document["servers"]["sns-eu-west-1"]["host"], "localhost:4566");
}

#[test]
fn events_are_the_types_that_no_other_type_contains_and_the_types_that_the_configuration_names() {
    let types = |stage: Stage, config: &Config| {
        stage.event_types(config).into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let usual = types(stage().acme(), &Config::default());
    assert!(usual.contains(&"shop.v1.OrderPlaced".to_owned()), "{usual:?}");
    assert!(usual.contains(&"protobridge.v1.Heartbeat".to_owned()), "{usual:?}");
    assert!(!usual.contains(&"shop.v1.Money".to_owned()), "{usual:?}");
    let named = stage().customer("a", &["shop.v1.Money"], "default", "arn:aws:sns:eu-west-1:123456789012:a");
    assert!(types(named, &Config::default()).contains(&"shop.v1.Money".to_owned()));
    let queue = Queue { default_type: Some("shop.v1.Address".into()), ..Queue::default() };
    let config = Config { queues: vec![queue], ..Config::default() };
    assert!(types(stage().acme(), &config).contains(&"shop.v1.Address".to_owned()));
}

#[test]
fn every_example_is_rendered_by_the_codec_and_valid_against_the_schemas_of_its_message() {
    let stage = stage().customer("acme", &["*"], "default", "arn:aws:sns:eu-west-1:123456789012:acme").customer(
        "globex",
        &["*"],
        "web",
        "arn:aws:sns:eu-west-1:123456789012:globex",
    );
    check_examples(&stage.document(), Additions::Accepted);
    check_examples(&stage.document_with(Additions::Refused), Additions::Refused);
}

/// Asserts that each example fits the schemas of its message, and that an unknown key fits only if additions are accepted.
fn check_examples(document: &Value, additions: Additions) {
    let messages = document["components"]["messages"].as_object().unwrap();
    assert!(messages.len() >= 18, "{:?}", messages.keys());
    for (name, message) in messages {
        for part in ["headers", "payload"] {
            // AsyncAPI is based on draft 7, which ignores keywords beside a reference.
            let place = format!("#/components/messages/{name}/{part}");
            let schema = json!({"allOf": [{"$ref": place}], "components": document["components"]});
            let schema = jsonschema::draft7::options().should_validate_formats(true).build(&schema).unwrap();
            let example = &message["examples"][0][part];
            if let Err(error) = schema.validate(example) {
                panic!("{part} of {name}: {error} at {}\n{example:#}", error.instance_path());
            }
            let mut more = example.clone();
            more["unknownKey"] = 1.into();
            let is_accepted = part == "headers" || additions == Additions::Accepted;
            assert_eq!(schema.is_valid(&more), is_accepted, "an unknown key in {part} of {name}");
        }
    }
    let event_id = &messages["web-shop_v1_OrderPlaced"]["examples"][0];
    assert_eq!(event_id["headers"]["event-id"], event_id["payload"]["meta"]["eventId"]);
    assert_eq!(event_id["payload"]["total"]["amountMinor"], 1999);
    assert_eq!(messages["default-shop_v1_OrderPlaced"]["examples"][0]["payload"]["total"]["amountMinor"], "1999");
}

#[test]
fn titles_and_names_have_no_dots() {
    fn check(value: &Value) {
        if let Some(members) = value.as_object() {
            for key in ["title", "name"] {
                let text = members.get(key).and_then(Value::as_str).unwrap_or_default();
                assert!(!text.contains('.') || text.ends_with(".fifo"), "{key}: {text}");
            }
            members.values().for_each(check);
        }
    }
    let topic = "arn:aws:sns:eu-west-1:123456789012:acme.fifo";
    let document = stage().customer("acme.eu", &["*"], "web", topic).document();
    let mut names = keys(&document["components"]["schemas"]);
    names.extend(keys(&document["components"]["messages"]));
    names.extend(keys(&document["channels"]));
    names.extend(keys(&document["channels"]["acme_eu"]["messages"]));
    assert!(names.iter().all(|name| !name.contains('.')), "{names:?}");
    check(&document["components"]);
    check(&document["channels"]["acme_eu"]["messages"]);
}

#[test]
fn every_reference_points_to_a_component() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                }
                members.values().for_each(|member| check(member, document));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }
    let document = stage().acme().customer("b", &["*"], "web", "arn:aws:sns:eu-west-1:123456789012:b").document();
    check(&document, &document);
}

#[test]
fn customers_with_the_same_profile_and_events_share_everything_but_their_channel() {
    let few = stage().acme().document();
    let mut many = stage().acme();
    for number in 0..2_000 {
        let topic = format!("arn:aws:sns:eu-west-1:123456789012:c{number}");
        many = many.customer(&format!("c{number}"), &["shop.v1.Order*"], "default", &topic);
    }
    let many = many.document();
    assert_eq!(many["components"], few["components"]);
    assert_eq!(keys(&many["channels"]).len(), 2_001);
}

#[test]
fn ids_that_are_not_valid_keys_are_converted_to_distinct_keys() {
    let topic = "arn:aws:sns:eu-west-1:123456789012:a";
    let document =
        stage().customer("a/b", &["*"], "default", topic).customer("a b", &["*"], "default", topic).document();
    assert_eq!(keys(&document["channels"]), ["a_b", "a_b-2"]);
    assert_eq!(document["channels"]["a_b-2"]["title"], "a b");
}

#[test]
fn the_yaml_has_the_same_content_as_the_json() {
    let document = stage().acme().customer("b", &["*"], "web", "arn:aws:sns:eu-west-1:123456789012:b").document();
    let yaml = serde_saphyr::to_string(&document).unwrap();
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), document);
}

/// Returns a descriptor set with levels of messages, each with ten fields of the type of the next level.
fn levels(levels: usize) -> Vec<u8> {
    let mut source = "syntax = \"proto3\"; package levels;".to_owned();
    for level in 0..levels {
        let fields = (1..=10).filter(|_| level + 1 < levels);
        let fields: String = fields.map(|number| format!("L{} f{number} = {number};", level + 1)).collect();
        source.push_str(&format!("message L{level} {{ {fields} string text = 11; }}"));
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("levels.proto"), source).unwrap();
    prost::Message::encode_to_vec(&protox::compile(["levels.proto"], [folder.path()]).unwrap())
}

#[test]
fn a_type_with_a_thousand_million_paths_has_a_small_document_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("levels.binpb"), levels(9)).unwrap();
    let mut stage = stage();
    let sets = Descriptors { path: folder.path().into(), ..Descriptors::default() };
    stage.snapshot = Registry::load(&sets, &Taps::default(), Arc::clone(&stage.profiles)).unwrap().current();
    let document =
        stage.customer("acme", &["levels.L0"], "default", "arn:aws:sns:eu-west-1:123456789012:acme").document();
    let text = document.to_string();
    assert!(text.contains(r#""name":"sample""#) && text.len() < 200_000, "{} bytes", text.len());
}
