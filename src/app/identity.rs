//! The identity of a running service: the hashes of the configuration and of the descriptor sets, by which operators compare replicas.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tracing::info;

use crate::base::build;
use crate::base::http::Network;
use crate::config::Config;
use crate::schema::registry::Snapshot;

/// The number of hexadecimal digits of a hash.
const DIGITS: usize = 12;

/// Logs the first line of a service: its version, the hashes of what it loaded, and its network.
pub fn announce(config: &Config, snapshot: &Snapshot, network: &Network) {
    let proxies = network.proxies();
    info!(
        version = build::VERSION,
        git_hash = build::GIT_HASH,
        config_hash = config_hash(config),
        sets_hash = sets_hash(snapshot),
        https_proxy = proxies.https().map(display),
        http_proxy = proxies.http().map(display),
        no_proxy = proxies.exceptions(),
        ca_bundle = network.trust().bundle().map(|path| display(path.display())),
        "starting"
    );
}

/// Returns a hash of all keys of the configuration, variables included. User and password in a URL do not count, so
/// that the hash reveals nothing about them, and a new password does not change it.
pub(super) fn config_hash(config: &Config) -> String {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    without_credentials(&mut value);
    hash([value.to_string().as_str()])
}

/// Returns a hash of the names and the contents of the descriptor sets in force.
pub(super) fn sets_hash(snapshot: &Snapshot) -> String {
    hash(snapshot.sets().iter().flat_map(|set| [&*set.name, &*set.hash]))
}

fn hash<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(DIGITS);
    digits
}

fn without_credentials(value: &mut Value) {
    match value {
        Value::String(text) => {
            let Some((scheme, rest)) = text.split_once("://") else { return };
            let authority = rest.split('/').next().unwrap_or_default();
            if let Some((credentials, _)) = authority.rsplit_once('@') {
                *text = format!("{scheme}://{}", &rest[credentials.len() + 1..]);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_credentials),
        Value::Object(values) => values.values_mut().for_each(without_credentials),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_registry(url: &str) -> String {
        let mut config = Config::default();
        config.confluent.registry_url = Some(url.to_owned());
        config_hash(&config)
    }

    #[test]
    fn the_hash_of_the_configuration_depends_on_each_key_but_on_no_password() {
        let hash = with_registry("https://registry:8081/base");
        assert_eq!(hash.len(), DIGITS);
        assert_eq!(hash, with_registry("https://me:hunter2@registry:8081/base"));
        assert_ne!(hash, with_registry("https://registry:8082/base"));
        assert_ne!(hash, config_hash(&Config::default()));
        assert_ne!(with_registry("https://a"), with_registry("https://a/b@c"));
    }

    #[test]
    fn the_boundaries_between_parts_count() {
        assert_ne!(hash(["ab", "c"]), hash(["a", "bc"]));
    }
}
