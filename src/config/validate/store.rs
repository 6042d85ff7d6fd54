//! The rules of the store, the journal and the prices.

use super::Rules;
use crate::config::Config;
use crate::config::names::is_bucket;

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
        self.prices(config);
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

/// Checks the URL of a store.
///
/// # Errors
/// Returns the problem with the way out.
fn check_url(url: &str) -> Result<(), String> {
    const EXAMPLES: &str = "`s3://acme-protobridge/prod` or `file:///var/lib/protobridge`";
    if let Some(place) = url.strip_prefix("s3://") {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if !is_bucket(bucket) {
            return Err(format!("{bucket:?} is not a bucket name; a store is a URL such as {EXAMPLES}"));
        }
        let is_clean = |part: &str| !part.is_empty() && !matches!(part, "." | "..");
        if !prefix.is_empty() && !prefix.trim_end_matches('/').split('/').all(is_clean) {
            return Err(format!("{prefix:?} has an empty part, `.` or `..`"));
        }
        return Ok(());
    }
    match url.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(()),
        Some(_) => Err("the path of a folder must be absolute, as in `file:///var/lib/protobridge`".into()),
        None => Err(format!("is not the URL of a store such as {EXAMPLES}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
