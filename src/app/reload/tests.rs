use super::*;
use crate::app::Loaded;

fn pace(config: &Config) -> Pace {
    Pace::new(&config.descriptors, tokio::sync::watch::channel(()).1)
}

#[test]
fn the_interval_of_polls_follows_the_configuration_and_is_zero_without_polls() {
    let mut config = Config::default();
    let pace_of_service = pace(&config);
    assert_eq!(pace_of_service.poll_seconds(), 30);
    pace_of_service.set_poll_seconds(7);
    assert_eq!(pace_of_service.poll_seconds(), 7);
    config.descriptors.reload = false;
    assert_eq!(pace(&config).poll_seconds(), 0);
}

#[test]
fn a_warning_about_sources_is_given_once_per_change() {
    let folder = tempfile::tempdir().unwrap();
    let set = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/shop.binpb");
    std::fs::copy(set, folder.path().join("shop.binpb")).unwrap();
    std::fs::write(folder.path().join("a.proto"), "").unwrap();
    let mut config = Config::default();
    config.descriptors.path = folder.path().into();
    config.route.customers_file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/customers.yaml").into();
    config.route.topic_template = Some("arn:aws:sns:eu-west-1:123456789012:json-{customer}".to_owned());
    config.profiles.insert("web".to_owned(), Default::default());
    let Loaded { registry, routes, warnings, sources, .. } = Loaded::load(&config).unwrap();
    let is_about_a = |warning: &crate::config::Warning| {
        warning.to_string().starts_with("descriptors.path: a.proto is a source, which protobridge does not read; ")
    };
    assert!(warnings.iter().any(is_about_a), "{warnings:?}");
    let reload =
        Reload::new(&config, InForce { registry, routes, sources }, pace(&config), Arc::new(Metrics::new(false)));
    assert_eq!(reload.new_source_warning(reload.registry.source_warning()), None, "the start has logged it");
    std::fs::write(folder.path().join("b.proto"), "").unwrap();
    let warning = reload.new_source_warning(reload.registry.source_warning()).unwrap();
    assert!(warning.starts_with("a.proto, b.proto are sources"), "{warning}");
    assert_eq!(reload.new_source_warning(reload.registry.source_warning()), None);
    for name in ["a.proto", "b.proto"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    assert_eq!(reload.new_source_warning(reload.registry.source_warning()), None);
    std::fs::write(folder.path().join("b.proto"), "").unwrap();
    assert!(
        reload
            .new_source_warning(reload.registry.source_warning())
            .is_some_and(|warning| warning.starts_with("b.proto is a source"))
    );
}

#[tokio::test]
async fn a_panic_during_a_reload_does_not_stop_the_service() {
    let mut config = Config::default();
    config.descriptors.path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into();
    config.route.customers_file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/customers.yaml").into();
    config.route.topic_template = Some("arn:aws:sns:eu-west-1:123456789012:json-{customer}".to_owned());
    config.profiles.insert("web".to_owned(), Default::default());
    let Loaded { registry, routes, sources, .. } = Loaded::load(&config).unwrap();
    let metrics = Arc::new(Metrics::new(false));
    let reload =
        Arc::new(Reload::new(&config, InForce { registry, routes, sources }, pace(&config), Arc::clone(&metrics)));
    assert_eq!(reload.blocking(ReloadSubject::Descriptors, |_| 7).await, Some(7));
    assert_eq!(reload.blocking(ReloadSubject::Descriptors, |_| -> u32 { panic!("a panic of a library") }).await, None);
    assert_eq!(metrics.reloads.sum_where(|labels| labels.result == ReloadResult::Refused), 1);
}
