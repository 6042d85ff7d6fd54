//! Settings that are valid and still probable mistakes.

use std::fmt;
use std::net::IpAddr;

use super::{Config, Dedupe};

/// The longest time in seconds for which rows can stay in memory without a warning. A PUT per five minutes costs nearly
/// nothing, so a longer time saves nothing.
const LONG_SEGMENT_SECONDS: u64 = 300;

/// A probable mistake in a configuration or in a file that it names. It displays as `key: message; way out`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key of the configuration that the warning is about, such as `queues[0].quarantine_url`.
    pub key: String,
    /// The mistake and its consequence.
    pub message: String,
    /// How to fix it; `None` if the message says it all.
    pub way_out: Option<String>,
}

impl Warning {
    /// Creates a warning about a key.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), way_out: None }
    }

    /// Adds how to fix the mistake.
    #[must_use]
    pub fn fix(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)?;
        self.way_out.as_ref().map_or(Ok(()), |way_out| write!(f, "; {way_out}"))
    }
}

impl Config {
    /// Returns the probable mistakes in the configuration.
    pub fn warnings(&self) -> Vec<Warning> {
        let unprotected = self.dedupe.host_without_tls().map(|host| {
            let message = format!(
                "the connection to {host} has no TLS, so other hosts on the network can read the password and change \
                 what counts as a duplicate"
            );
            Warning::new("dedupe.redis_url", message).fix("use `rediss://`")
        });
        let of_the_store = self.long_segments().into_iter().chain(self.deletes_and_archive());
        let others = self.queues_without_quarantine().chain(of_the_store).chain(self.late_claim_check());
        unprotected.into_iter().chain(others).collect()
    }

    /// Warns about a claim check that starts above what a topic accepts.
    fn late_claim_check(&self) -> Option<Warning> {
        let (over, most) = (self.claim_check.over_bytes, self.publish.max_batch_bytes);
        (self.claim_check.bucket.is_some() && over > most).then(|| {
            let message = format!(
                "{over} bytes is more than `publish.max_batch_bytes` ({most}), so it has no effect: events above {most} \
                 bytes leave as claim checks"
            );
            Warning::new("claim_check.over_bytes", message).fix("lower it, or raise `publish.max_batch_bytes`")
        })
    }

    /// Warns about an archive that deletes in an order that its queues do not suit.
    fn deletes_and_archive(&self) -> Option<Warning> {
        const KEY: &str = "archive.hold_delete";
        let (holds, archive) = (self.archive.hold_delete.filter(|_| self.archive.enabled)?, &self.archive);
        // What suits standard queues does not suit FIFO queues.
        let unsuited = self.queues.iter().filter(|queue| queue.is_fifo() == holds);
        let names: Vec<&str> = unsuited.map(super::Queue::label).collect();
        let names = Some(names.join(", ")).filter(|names| !names.is_empty())?;
        Some(if holds {
            let message = format!(
                "a message that waits for the archive blocks its message group, so a group of the FIFO queue(s) \
                 {names} delivers at most 10 messages per flush of {} ms",
                archive.flush_ms
            );
            Warning::new(KEY, message).fix("leave the key out, or lower `archive.flush_ms`")
        } else {
            let message = format!(
                "messages of the queue(s) {names} are deleted before the archive has them: a process that is killed \
                 loses those of the last {} ms for the archive, though not for customers",
                archive.flush_ms
            );
            Warning::new(KEY, message).fix("leave the key out: then only FIFO queues do not wait for the archive")
        })
    }

    /// Warns about a journal that keeps its rows in memory for long.
    fn long_segments(&self) -> Option<Warning> {
        let (seconds, is_on) = (self.journal.segment_seconds, self.journal.enabled && self.store.url.is_some());
        (is_on && seconds > LONG_SEGMENT_SECONDS).then(|| {
            let message = format!(
                "rows stay in memory for up to {seconds} s: a process that is killed loses them, until then only \
                 `GET /trace` of that process finds them, and the alert ProtobridgeStoreDown fires"
            );
            Warning::new("journal.segment_seconds", message).fix(format!("set it to {LONG_SEGMENT_SECONDS} or less"))
        })
    }

    fn queues_without_quarantine(&self) -> impl Iterator<Item = Warning> {
        let queues = self.queues.iter().enumerate().filter(|(_, queue)| queue.quarantine_url.is_none());
        queues.map(|(index, queue)| {
            let message = format!(
                "queue {} has no quarantine queue: a message that can never be published is received again until the \
                 queue's redrive policy moves it or its retention ends",
                queue.label()
            );
            Warning::new(format!("queues[{index}].quarantine_url"), message)
                .fix("create a queue for such messages, and set the key to its URL")
        })
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

    fn texts(config: &Config) -> Vec<String> {
        config.warnings().iter().map(ToString::to_string).collect()
    }

    fn warnings(url: &str, enabled: bool) -> Vec<String> {
        let dedupe = Dedupe { redis_url: Some(url.to_owned()), enabled, ..Dedupe::default() };
        texts(&Config { dedupe, ..Config::default() })
    }

    #[test]
    fn a_queue_without_a_quarantine_queue_causes_a_warning_that_names_its_key() {
        let queue = |name: &str, quarantine: Option<&str>| crate::config::Queue {
            url: format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}"),
            quarantine_url: quarantine.map(str::to_owned),
            ..Default::default()
        };
        let queues = vec![queue("events", Some("https://sqs.eu-west-1.amazonaws.com/1/q")), queue("audit", None)];
        let found = texts(&Config { queues, ..Config::default() });
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = "queues[1].quarantine_url: queue audit has no quarantine queue: ";
        assert!(found[0].starts_with(expected) && found[0].contains("; create a queue"), "{found:?}");
    }

    #[test]
    fn rows_that_stay_in_memory_for_long_cause_a_warning_if_there_is_a_journal() {
        let config = |url: Option<&str>, segment_seconds, enabled| Config {
            store: crate::config::Store { url: url.map(str::to_owned), ..Default::default() },
            journal: crate::config::Journal { segment_seconds, enabled, ..Default::default() },
            ..Config::default()
        };
        let found = texts(&config(Some("s3://acme"), 301, true));
        assert!(found.len() == 1 && found[0].starts_with("journal.segment_seconds: rows stay"), "{found:?}");
        assert!(found[0].ends_with("; set it to 300 or less"), "{found:?}");
        for silent in
            [config(Some("s3://acme"), 300, true), config(None, 301, true), config(Some("s3://acme"), 301, false)]
        {
            assert_eq!(texts(&silent), [""; 0]);
        }
    }

    #[test]
    fn a_claim_check_that_starts_above_what_a_topic_accepts_causes_a_warning() {
        let config = |bucket: Option<&str>, over_bytes, max_batch_bytes| Config {
            claim_check: crate::config::ClaimCheck {
                bucket: bucket.map(str::to_owned),
                over_bytes,
                ..Default::default()
            },
            publish: crate::config::Publish { max_batch_bytes, ..Default::default() },
            ..Config::default()
        };
        let found = texts(&config(Some("acme"), 262_145, 262_144));
        assert!(found.len() == 1 && found[0].starts_with("claim_check.over_bytes: 262145 bytes is more"), "{found:?}");
        for silent in [config(Some("acme"), 262_144, 262_144), config(None, 262_145, 262_144)] {
            assert_eq!(texts(&silent), [""; 0]);
        }
    }

    #[test]
    fn an_archive_whose_deletes_do_not_suit_its_queues_causes_a_warning_that_names_them() {
        let queue = |name: &str| crate::config::Queue {
            url: format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}"),
            quarantine_url: Some("https://sqs.eu-west-1.amazonaws.com/1/q".to_owned()),
            ..Default::default()
        };
        let found = |hold_delete: Option<bool>, enabled: bool, queues: &[&str]| {
            let archive = crate::config::Archive { enabled, hold_delete, ..Default::default() };
            let queues = queues.iter().map(|name| queue(name)).collect();
            texts(&Config { archive, queues, ..Config::default() })
        };
        let (both, standard, fifo) = (["a.fifo", "b", "c.fifo"], ["b"], ["a.fifo"]);
        let blocked = found(Some(true), true, &both);
        assert!(blocked.len() == 1 && blocked[0].starts_with("archive.hold_delete: "), "{blocked:?}");
        assert!(blocked[0].contains("queue(s) a.fifo, c.fifo delivers"), "{blocked:?}");
        let early = found(Some(false), true, &both);
        assert!(early.len() == 1 && early[0].contains("queue(s) b are deleted before"), "{early:?}");
        for silent in [
            found(None, true, &both),
            found(Some(true), true, &standard),
            found(Some(false), true, &fifo),
            found(Some(true), false, &both),
        ] {
            assert_eq!(silent, [""; 0]);
        }
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
        assert_eq!(texts(&Config::default()), [""; 0]);
    }
}
