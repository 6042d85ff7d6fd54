//! The rules of the store, the journal, the archive and the prices.

use super::Rules;
use crate::config::Config;
use crate::config::names::{is_bucket, type_glob};

impl Rules {
    pub(super) fn store(&mut self, config: &Config) {
        if let Some(url) = &config.store.url
            && let Err(problem) = check_url(url)
        {
            self.refuse("store.url", problem);
        }
        let is_folder = config.store.url.as_ref().is_some_and(|url| url.starts_with("file:"));
        if is_folder && config.store.kms_key_id.is_some() {
            self.refuse("store.kms_key_id", "has no effect on a folder; encrypt the volume, or use an S3 bucket");
        }
        let share = config.journal.sample_published;
        if !(0.0..=1.0).contains(&share) {
            self.refuse("journal.sample_published", format!("{share} is not a share from 0 to 1"));
        }
        self.archive(config);
        self.prices(config);
    }

    fn archive(&mut self, config: &Config) {
        let archive = &config.archive;
        if archive.enabled && config.store.url.is_none() {
            self.refuse(
                "archive.enabled",
                format!("the archive needs a store: set `store.url`, such as {EXAMPLES}, or set this key to false"),
            );
        }
        // One segment is filled while another one is on its way to the store.
        let least = archive.segment_bytes.saturating_mul(2);
        if archive.max_buffered_bytes < least {
            self.refuse(
                "archive.max_buffered_bytes",
                format!(
                    "{} is less than two segments of `archive.segment_bytes` ({}), one that is filled and one that is \
                     stored; set it to {least} or more, or lower `archive.segment_bytes`",
                    archive.max_buffered_bytes, archive.segment_bytes
                ),
            );
        }
        if archive.give_up_hold_after_seconds.saturating_mul(1_000) <= archive.flush_ms {
            self.refuse(
                "archive.give_up_hold_after_seconds",
                format!(
                    "{} s is not longer than `archive.flush_ms` ({} ms), so messages would be given up before their \
                     segment is stored",
                    archive.give_up_hold_after_seconds, archive.flush_ms
                ),
            );
        }
        for (index, glob) in archive.exclude.iter().enumerate() {
            self.require(format!("archive.exclude[{index}]"), type_glob(glob));
        }
    }

    fn prices(&mut self, config: &Config) {
        let prices = &config.prices;
        if prices.as_of.parse::<jiff::civil::Date>().is_err() {
            self.refuse("prices.as_of", format!("{:?} is not a day such as `2026-11-01`", prices.as_of));
        }
        for (key, price) in [
            ("prices.sns_standard", prices.sns_standard),
            ("prices.sns_fifo", prices.sns_fifo),
            ("prices.sns_fifo_gb", prices.sns_fifo_gb),
            ("prices.sqs_standard", prices.sqs_standard),
            ("prices.sqs_fifo", prices.sqs_fifo),
            ("prices.s3_put_thousand", prices.s3_put_thousand),
            ("prices.s3_get_thousand", prices.s3_get_thousand),
            ("prices.s3_gb_month", prices.s3_gb_month),
        ] {
            if !(price.is_finite() && price >= 0.0) {
                self.refuse(key, format!("{price} is not a price"));
            }
        }
    }
}

/// Examples of the URL of a store.
const EXAMPLES: &str = "`s3://acme-protobridge/prod` or `file:///var/lib/protobridge`";

/// Checks the URL of a store.
///
/// # Errors
/// Returns the problem with the way out.
fn check_url(url: &str) -> Result<(), String> {
    if let Some(place) = url.strip_prefix("s3://") {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        return check_bucket(bucket, prefix, &format!("a store is a URL such as {EXAMPLES}"));
    }
    match url.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(()),
        Some(_) => Err("the path of a folder must be absolute, as in `file:///var/lib/protobridge`".into()),
        None => Err(format!("is not the URL of a store such as {EXAMPLES}")),
    }
}

/// Checks the name of a bucket, and a key or a prefix in it. `hint` tells how the place is written.
pub(super) fn check_bucket(bucket: &str, key: &str, hint: &str) -> Result<(), String> {
    if !is_bucket(bucket) {
        return Err(format!("{bucket:?} is not a bucket name; {hint}"));
    }
    let is_clean = |part: &str| !part.is_empty() && !matches!(part, "." | "..");
    if !key.is_empty() && !key.trim_end_matches('/').split('/').all(is_clean) {
        return Err(format!("{key:?} has an empty part, `.` or `..`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Archive, Store};

    #[test]
    fn a_store_is_a_bucket_or_an_absolute_folder() {
        for url in ["s3://acme/prod", "s3://acme", "s3://acme/a/b/", "file:///var/lib/x", "file:///"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for (url, expected) in [
            ("/var/lib/x", "is not the URL of a store"),
            ("https://acme.s3.amazonaws.com", "is not the URL of a store"),
            ("file://var/lib", "must be absolute"),
            ("s3://", "is not a bucket name"),
            ("s3://ACME/x", "is not a bucket name"),
            ("s3://acme//x", "has an empty part"),
            ("s3://acme/../x", "has an empty part"),
        ] {
            let problem = check_url(url).unwrap_err();
            assert!(problem.contains(expected), "{url}: {problem}");
        }
    }

    #[test]
    fn the_archive_needs_a_store_two_segments_of_memory_and_globs() {
        let problems = |archive: Archive, url: Option<&str>| {
            let store = Store { url: url.map(str::to_owned), ..Store::default() };
            let mut rules = Rules::default();
            rules.archive(&Config { archive, store, ..Config::default() });
            rules.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let on = Archive { enabled: true, ..Archive::default() };
        let segments = |bytes: usize| Archive { segment_bytes: 1 << 20, max_buffered_bytes: bytes, ..on.clone() };
        let waits = |flush_ms: u64| Archive { flush_ms, give_up_hold_after_seconds: 2, ..on.clone() };
        let without =
            |globs: &[&str]| Archive { exclude: globs.iter().map(ToString::to_string).collect(), ..on.clone() };
        for (archive, url) in [
            (Archive::default(), None),
            (on.clone(), Some("s3://acme")),
            (segments(2 << 20), Some("s3://acme")),
            (waits(1_999), Some("s3://acme")),
            (without(&[]), Some("s3://acme")),
            (without(&["*", "shop.v1.Order*"]), Some("s3://acme")),
        ] {
            assert_eq!(problems(archive.clone(), url), [""; 0], "{archive:?}");
        }
        for (archive, url, expected) in [
            (on.clone(), None, "archive.enabled: the archive needs a store: set `store.url`"),
            (
                segments((2 << 20) - 1),
                Some("s3://acme"),
                "archive.max_buffered_bytes: 2097151 is less than two segments",
            ),
            (waits(2_000), Some("s3://acme"), "archive.give_up_hold_after_seconds: 2 s is not longer than"),
            (without(&["*", "a..b"]), Some("s3://acme"), "archive.exclude[1]: \"a..b\" is not a message type"),
        ] {
            let found = problems(archive.clone(), url);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{archive:?}: {found:?}");
        }
    }
}
