use super::*;

const TYPES: [&str; 3] = ["shop.v1.OrderPlaced", "shop.v1.PaymentFailed", "protobridge.v1.Heartbeat"];

fn settings() -> config::Route {
    config::Route { topic_template: Some("arn:aws:sns:eu-west-1:123456789012:{customer}".into()), ..Default::default() }
}

fn router(settings: &config::Route, yaml: &str) -> Result<Router, Error> {
    let profiles = Profiles::new(&Default::default());
    let rules = TopicRules {
        template: settings.topic_template.as_deref(),
        region: Some("eu-west-1"),
        canary_topic: None,
        has_claims_bucket: true,
    };
    let customers = customers::parse(&"customers.yaml".into(), yaml, rules, &profiles)?.customers;
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
        Routing::Filtered(filtered) => format!("filtered: {}", filtered.rule()),
        Routing::Unroutable(reason) => format!("{}: {}", reason.kind, reason.detail),
    };
    assert_eq!(decision, expected, "{event_type} {customer:?}");
}

#[test]
fn an_event_goes_to_its_customers_topic_if_the_customer_receives_the_type() {
    check("shop.v1.OrderPlaced", Some("acme"), "acme");
    check("shop.v1.PaymentFailed", Some("acme"), "filtered: the customer does not receive this type");
    check("shop.v1.PaymentFailed", Some("globex"), "own.fifo");
    check("shop.v1.OrderPlaced", Some("gone"), "filtered: the customer is disabled");
}

#[test]
fn a_broadcast_event_goes_to_all_customers_that_receive_the_type_whichever_customer_it_names() {
    check("protobridge.v1.Heartbeat", Some("acme"), "own.fifo");
}

#[test]
fn a_heartbeat_that_no_customer_receives_is_filtered_by_a_rule_of_its_own() {
    let with = |broadcast: &[&str], without_customer: &str| config::Route {
        broadcast: broadcast.iter().map(|glob| (*glob).to_owned()).collect(),
        without_customer: without_customer.to_owned().into(),
        ..settings()
    };
    let decide = |settings: &config::Route, yaml: &str, customer: Option<&str>| match router(settings, yaml)
        .unwrap()
        .route("protobridge.v1.Heartbeat", customer)
    {
        Routing::To(to) => to.len().to_string(),
        Routing::Filtered(filtered) => filtered.rule().to_owned(),
        Routing::Unroutable(reason) => reason.detail,
    };
    const RULE: &str = "a heartbeat belongs to no customer";
    let narrow = "customers: [{id: acme, events: [shop.v1.Order*]}]";
    let topic = "arn:aws:sns:eu-west-1:123456789012:rest";
    for (broadcast, without_customer) in [(&[][..], "quarantine"), (&["*"], topic), (&["*.Heartbeat"], "drop")] {
        let settings = with(broadcast, without_customer);
        for customer in [None, Some("acme"), Some("who")] {
            assert_eq!(decide(&settings, narrow, customer), RULE, "{broadcast:?} {customer:?}");
        }
    }
    assert_eq!(decide(&with(&["*"], "quarantine"), TWO, None), RULE, "`*` has no built-in type");
    assert_eq!(decide(&with(&["*"], "quarantine"), TWO, Some("globex")), "1", "the customer receives every type");
    assert_eq!(decide(&with(&["*.Heartbeat"], "quarantine"), TWO, None), "1");
}

const CANARY_TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:canary";

#[test]
fn a_canary_reaches_its_topic_and_the_customers_that_opted_in_and_no_other() {
    let yaml = "
customers:
  - {id: globex, canary: true, events: [shop.v1.Order*]}
  - {id: acme, canary: true, claim_check: always}
  - {id: hooli}
  - {id: gone, canary: true, enabled: false}
";
    let settings = config::Route { broadcast: vec!["*".into()], ..settings() };
    let build = |topic: Option<&TopicArn>| router(&settings, yaml).unwrap().with_canary(topic);
    let with = build(Some(&CANARY_TOPIC.into()));
    for customer in [None, Some("hooli"), Some("who")] {
        let Routing::To(to) = with.route(CANARY, customer) else { panic!("{customer:?}") };
        let found: Vec<_> = to.iter().map(|to| (to.topic.as_str(), to.customer_id().map(|id| &**id))).collect();
        let of_customer = |id| (format!("arn:aws:sns:eu-west-1:123456789012:{id}"), Some(id));
        let [acme, globex] = ["acme", "globex"].map(of_customer);
        assert_eq!(found, [(CANARY_TOPIC, None), (&*acme.0, acme.1), (&*globex.0, globex.1)]);
        assert!(to.iter().all(|to| to.is_canary && to.account().is_none()), "{to:?}");
        let modes: Vec<_> = to.iter().map(|to| to.claim_check).collect();
        assert_eq!(modes, [ClaimCheckMode::Off, ClaimCheckMode::Always, ClaimCheckMode::Off]);
    }
    assert_eq!(with.receivers(CANARY), ["acme", "globex"]);
    assert!(with.topics().contains(&CANARY_TOPIC.into()));
    let without = build(None);
    assert!(
        matches!(without.route(CANARY, None), Routing::Filtered(rule) if rule.rule() == "the configuration has no canary")
    );
    let warnings = texts(&without, &[]);
    let expected = "route.customers_file: customer acme: `canary: true` has no effect without `canary.topic`";
    assert!(warnings.iter().any(|warning| warning.starts_with(expected)), "{warnings:?}");
    assert!(!texts(&with, &[]).iter().any(|warning| warning.contains("canary")));
}

#[test]
fn the_topic_of_canaries_belongs_to_no_customer_and_stays_after_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.yaml");
    let mut config =
        Config { route: config::Route { customers_file: path.clone().into(), ..settings() }, ..Default::default() };
    config
        .queues
        .push(config::Queue { url: "https://sqs.eu-west-1.amazonaws.com/1/events".into(), ..Default::default() });
    config.canary.topic = Some(CANARY_TOPIC.into());
    config.canary.return_queue_url = Some("https://sqs.eu-west-1.amazonaws.com/1/return".into());
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Routes::load(&config, Arc::new(Profiles::new(&Default::default())), Snapshot::empty())
    };
    let error = load("customers: [{id: canary}]").unwrap_err().to_string();
    assert!(error.contains(&format!("{CANARY_TOPIC} is `canary.topic`, which must belong to no customer")), "{error}");
    let routes = load("customers: [{id: acme}]").unwrap();
    let goes_to = |routes: &Routes| match routes.current().route(CANARY, None) {
        Routing::To(to) => to.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(goes_to(&routes), 1);
    assert!(routes.admit("customers: [{id: acme}, {id: canary}]").is_err());
    routes.admit("customers: [{id: acme, canary: true}]").unwrap();
    assert_eq!(goes_to(&routes), 2);
    routes.set_types(Snapshot::empty());
    assert_eq!(goes_to(&routes), 2);
}

#[test]
fn the_policy_decides_about_an_event_without_a_configured_customer() {
    check("shop.v1.OrderPlaced", Some("who"), "no_customer: customer who is not in the customers file");
    check(
        "shop.v1.OrderPlaced",
        None,
        "no_customer: the event names no customer: neither the attribute nor a tap has a value",
    );
    let other = config::Route {
        without_customer: FallbackPolicy::Drop,
        unknown_customer: FallbackPolicy::Topic("arn:aws:sns:eu-west-1:123456789012:rest".into()),
        ..settings()
    };
    let router = router(&other, TWO).unwrap();
    assert!(matches!(router.route("shop.v1.OrderPlaced", None), Routing::Filtered(_)));
    assert!(matches!(router.route("shop.v1.OrderPlaced", Some("who")), Routing::To(to) if to[0].customer.is_none()));
    assert_eq!(router.topics().len(), 3, "the topics of both enabled customers, and the topic of the policy");
}

#[test]
fn all_problems_of_the_customers_file_are_reported_together() {
    let yaml = "
customers:
  - {id: a, topic: arn:aws:sns:eu-west-1:123456789012:t}
  - {id: b, topic: arn:aws:sns:eu-west-1:123456789012:t}
  - {id: a}
  - {id: c, profile: fancy}
  - {id: d, topic: my-topic}
  - {id: \"e\\te\\x01\", topic: arn:aws:sns:eu-west-1:123456789012:e}
";
    let error = router(&settings(), yaml).unwrap_err().to_string();
    insta::assert_snapshot!(error, @r"
    5 problems in customers.yaml:
      line 4: customers[1].topic: a has the same topic arn:aws:sns:eu-west-1:123456789012:t, so each would receive the other's events
      line 5: customers[2].id: a is listed twice
      line 6: customers[3].profile: there is no profile fancy; the configuration has: default
      line 7: customers[4].topic: my-topic is not the ARN of an SNS topic such as `arn:aws:sns:eu-west-1:123456789012:events`
      line 8: customers[5].id: e\te\u{1} has a control character, which SNS refuses in the attribute `customer-id`
    ");
}

#[test]
fn a_glob_without_a_type_and_a_type_without_a_customer_are_warnings() {
    let yaml = "customers: [{id: acme, events: [shop.v1.Order*, shop.v1.Refund*]}]";
    let router = router(&settings(), yaml).unwrap();
    assert_eq!(
        texts(&router, &TYPES[..2]),
        [
            "route.customers_file: customer acme: events `shop.v1.Refund*` matches no known message type",
            "route.customers_file: no customer receives shop.v1.PaymentFailed: the `events` of no enabled customer \
             match it",
        ]
    );
}

fn texts(router: &Router, event_types: &[&str]) -> Vec<String> {
    warnings(router, &TYPES, event_types).iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_without_an_enabled_customer_is_a_warning() {
    let settings = config::Route { max_removed_percent: 100, ..settings() };
    for (yaml, expected) in [
        ("customers: []", "the file has no customers"),
        ("customers: [{id: acme, enabled: false}]", "none of the 1 customers is enabled"),
    ] {
        let found = texts(&router(&settings, yaml).unwrap(), &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("route.customers_file: {expected}, so no event")), "{found:?}");
    }
}

#[test]
fn a_topic_of_another_region_or_partition_is_refused_at_the_start_and_at_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.yaml");
    let yaml = |topic: &str| format!("customers: [{{id: acme, topic: 'arn:{topic}:123456789012:acme'}}]");
    let home = yaml("aws:sns:eu-west-1");
    let expected = [
        (
            yaml("aws:sns:us-east-1"),
            "is in us-east-1, but protobridge calls AWS in eu-west-1 (`aws.region`); one process serves one region",
        ),
        (
            yaml("aws-cn:sns:eu-west-1"),
            "is in the partition aws-cn, but the region eu-west-1 is in aws; an ARN there begins with `arn:aws:`",
        ),
    ];
    let mut config = Config {
        route: config::Route { customers_file: path.clone().into(), ..Default::default() },
        ..Default::default()
    };
    config.aws.region = Some("eu-west-1".into());
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Routes::load(&config, Arc::new(Profiles::new(&Default::default())), Snapshot::empty())
    };
    let routes = load(&home).unwrap();
    for (foreign, message) in expected {
        let error = load(&foreign).unwrap_err().to_string();
        assert!(error.contains("customers[0].topic") && error.ends_with(message), "{error}");
        let error = routes.admit(&foreign).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
        assert_eq!(routes.current().topics(), ["arn:aws:sns:eu-west-1:123456789012:acme".into()]);
    }
}

#[test]
fn a_customer_chooses_which_events_leave_as_a_claim_check() {
    let modes = ["off", "false", "on", "true", "'on'", "always"];
    let customers =
        modes.iter().enumerate().map(|(index, mode)| format!("  - {{id: c{index}, claim_check: {mode}}}\n"));
    let yaml = format!("customers:\n  - id: none\n{}", customers.collect::<String>());
    let router = router(&settings(), &yaml).unwrap();
    use ClaimCheckMode::{Always, Off, On};
    assert_eq!(router.claim_check(Some("none")), Off);
    let found: Vec<_> = (0..modes.len()).map(|index| router.claim_check(Some(&format!("c{index}")))).collect();
    assert_eq!(found, [Off, Off, On, On, On, Always]);
    assert_eq!((router.claim_check(Some("who")), router.claim_check(None)), (Off, Off));
    let Routing::To(to) = router.route("shop.v1.OrderPlaced", Some("c5")) else { panic!() };
    assert_eq!(to[0].claim_check, Always);
}

#[test]
fn a_claim_check_needs_a_bucket_a_known_mode_and_an_id_that_fits_into_a_key() {
    let long = "ü".repeat(100);
    let yaml = format!(
        "customers:\n- {{id: a, claim_check: sometimes}}\n- {{id: b, claim_check: on}}\n- {{id: c, claim_check: off}}\n\
         - {{id: {long}, topic: 'arn:aws:sns:eu-west-1:123456789012:d', claim_check: always}}\n"
    );
    let problems = |has_claims_bucket| {
        let (settings, profiles) = (settings(), Profiles::new(&Default::default()));
        let template = settings.topic_template.as_deref();
        let rules = TopicRules { template, region: None, canary_topic: None, has_claims_bucket };
        customers::parse(&"c.yaml".into(), &yaml, rules, &profiles).unwrap_err().to_string()
    };
    insta::assert_snapshot!(problems(false), @r#"
    3 problems in c.yaml:
      line 2: customers[0].claim_check: expected `off`, `on` or `always`, found "sometimes"
      line 3: customers[1].claim_check: `on` has no effect without a bucket; set `claim_check.bucket` in the configuration, or leave this key out
      line 5: customers[3].claim_check: `always` has no effect without a bucket; set `claim_check.bucket` in the configuration, or leave this key out
    "#);
    insta::assert_snapshot!(problems(true), @r#"
    2 problems in c.yaml:
      line 2: customers[0].claim_check: expected `off`, `on` or `always`, found "sometimes"
      line 5: customers[3].claim_check: the id takes 600 bytes in the keys of the objects, and at most 512 fit; shorten the id, or leave this key out
    "#);
}

#[test]
fn the_example_customers_file_loads() {
    let profiles = Profiles::new(&Default::default());
    let path = &"config/customers.yaml".into();
    let yaml = include_str!("../../config/customers.yaml");
    assert!(
        !customers::parse(
            path,
            yaml,
            TopicRules { template: None, region: None, canary_topic: None, has_claims_bucket: false },
            &profiles
        )
        .unwrap()
        .customers
        .is_empty()
    );
}

#[test]
fn the_types_and_the_router_that_knows_them_are_swapped_together() {
    const RELOADS: usize = 2_000;
    let yaml = "customers: [{id: acme}]";
    let settings = config::Route { broadcast: vec!["shop.*".into()], ..settings() };
    let snapshots = [Snapshot::empty(), shop()];
    let routes = Routes::of(&settings, router(&settings, yaml).unwrap(), Snapshot::empty());
    routes.set_types(Arc::clone(&snapshots[0]));
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0..RELOADS {
                routes.set_types(Arc::clone(&snapshots[at % 2]));
            }
            is_done.store(true, std::sync::atomic::Ordering::Release);
        });
        while !is_done.load(std::sync::atomic::Ordering::Acquire) {
            let Definitions { snapshot, router } = &*routes.definitions();
            let is_known = snapshot.find("shop.v1.OrderPlaced").is_some();
            let is_broadcast = matches!(router.route("shop.v1.OrderPlaced", None), Routing::To(_));
            assert_eq!(is_known, is_broadcast);
        }
    });
}

/// Returns the types of the committed sets.
fn shop() -> Arc<Snapshot> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into();
    let settings = config::Descriptors { path, ..Default::default() };
    let profiles = Arc::new(Profiles::new(&Default::default()));
    crate::schema::registry::Registry::load(&settings, &config::Taps::default(), profiles).unwrap().current()
}

#[test]
fn a_reload_that_lacks_many_customers_is_refused_unless_the_file_lists_them_as_removed() {
    let yaml = "customers: [{id: a}, {id: b}, {id: c}, {id: d}]";
    let routes = Routes::of(&settings(), router(&settings(), yaml).unwrap(), Snapshot::empty());
    for (text, expected) in [
        ("\n", "customers file customers.yaml has no customers: "),
        ("customers: []", "customers file customers.yaml has no customers: "),
        ("customers: [{id: a}, {id: b}]", "customers file customers.yaml lacks 2 of 4 customers, "),
        ("customers: [{id: a}]\nremoved: [a]", "customers[0].id: a is also listed under `removed`"),
    ] {
        let error = routes.admit(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(routes.current().customers().count(), 4, "the customers in force stay in force");
    }
    routes.admit("customers: [{id: a}]\nremoved: [c, d]").unwrap().unwrap();
    assert_eq!(routes.current().customers().count(), 1);
}
