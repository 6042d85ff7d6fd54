//! Settings that are valid and still probable mistakes.

use std::net::IpAddr;

use super::{Config, Dedupe};

impl Config {
    /// Returns the probable mistakes in the configuration, one sentence each. Each begins with its key.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |host| {
            format!(
                "dedupe.redis_url: the connection to {host} has no TLS, so other hosts on the network can read the \
                 password and change what counts as a duplicate; use `rediss://`"
            )
        };
        self.dedupe.host_without_tls().map(warning).into_iter().collect()
    }
}

impl Dedupe {
    /// Returns the host of `redis_url` if the connection leaves this machine without TLS.
    fn host_without_tls(&self) -> Option<String> {
        let url = redis::parse_redis_url(self.redis_url.as_ref().filter(|_| self.enabled)?)?;
        let host = url.host_str().filter(|_| ["redis", "valkey"].contains(&url.scheme()))?;
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_loopback = host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback());
        (!is_loopback).then(|| host.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(url: &str, enabled: bool) -> Vec<String> {
        let dedupe = Dedupe { redis_url: Some(url.to_owned()), enabled, ..Dedupe::default() };
        Config { dedupe, ..Config::default() }.warnings()
    }

    #[test]
    fn a_redis_on_another_host_without_tls_causes_a_warning_that_shows_no_password() {
        for url in [
            "redis://:secret@redis.internal:6379",
            "valkey://redis.internal",
            "redis://10.0.0.7:6379/1",
            "redis://[2001:db8::7]",
        ] {
            let found = warnings(url, true);
            assert_eq!(found.len(), 1, "{url}");
            assert!(found[0].starts_with("dedupe.redis_url: ") && !found[0].contains("secret"), "{found:?}");
            assert_eq!(warnings(url, false), [""; 0], "{url}: without deduplication there is no connection");
        }
        assert!(warnings("redis://:secret@redis.internal:6379", true)[0].contains(" redis.internal "));
        for url in [
            "rediss://redis.internal:6379",
            "valkeys://redis.internal",
            "redis://localhost:6379",
            "redis://LOCALHOST",
            "redis://127.0.0.9:6379",
            "redis://[::1]:6379",
            "redis+unix:///run/redis.sock",
            "unix:///run/redis.sock",
        ] {
            assert_eq!(warnings(url, true), [""; 0], "{url}");
        }
        assert_eq!(Config::default().warnings(), [""; 0]);
    }
}
