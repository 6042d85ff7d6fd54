//! The query with which DuckDB finds the rows of an id.

use std::ops::Range;

use crate::config;
use crate::store::journal::{MAX_SPAN, Wanted, stamp};

/// A query over the journal.
pub(super) struct Query<'q> {
    /// The URL of the store.
    pub(super) url: &'q str,
    pub(super) wanted: &'q Wanted,
    pub(super) customer: Option<&'q str>,
    pub(super) window: &'q Range<i64>,
}

impl Query<'_> {
    /// Returns the query, with the statements that let DuckDB read from S3.
    pub(super) fn text(&self, aws: &config::Aws, region: Option<&str>) -> String {
        let place = self.url.trim_end_matches('/');
        let place = place.strip_prefix("file://").unwrap_or(place);
        let files = quoted(&format!("{place}/journal/v1/*/*/*.parquet"));
        let (column, id) = match self.wanted {
            Wanted::Event(id) => ("event_id", id),
            Wanted::Message(id) => ("message_id", id),
            Wanted::SnsMessage(id) => ("sns_message_id", id),
        };
        // A segment is in the folder of the hour in which it began.
        let first = self.window.start.saturating_sub(MAX_SPAN.as_micros() as i64);
        let [first, last] = [first, self.window.end].map(|time| hour(time));
        let days = [&first, &last].map(|hour| quoted(&hour[..10]));
        let mut text = if place.starts_with("s3://") { access(aws, region) } else { String::new() };
        text.push_str(&format!(
            "SELECT *\nFROM read_parquet({files}, hive_partitioning = true, union_by_name = true, \
             hive_types_autocast = false)\nWHERE date BETWEEN {} AND {}\n  AND date || ' ' || hour BETWEEN {} AND {}\n  \
             AND {column} = {}\n",
            days[0],
            days[1],
            quoted(&first),
            quoted(&last),
            quoted(id)
        ));
        if let Some(customer) = self.customer {
            text.push_str(&format!("  AND (customer = {} OR customer IS NULL AND topic IS NULL)\n", quoted(customer)));
        }
        text.push_str("ORDER BY received_at, settled_at;\n");
        text
    }
}

/// Returns the statements that give DuckDB the credentials of the AWS SDK's default chain.
fn access(aws: &config::Aws, region: Option<&str>) -> String {
    let mut secret = vec!["TYPE s3".to_owned(), "PROVIDER credential_chain".to_owned()];
    if let Some(region) = region {
        secret.push(format!("REGION {}", quoted(region)));
    }
    let endpoint = aws.s3_endpoint_url.as_deref().or(aws.endpoint_url.as_deref());
    if let Some((scheme, place)) = endpoint.and_then(|url| url.split_once("://")) {
        secret.push(format!("ENDPOINT {}", quoted(place.trim_end_matches('/'))));
        secret.push("URL_STYLE 'path'".to_owned());
        secret.push(format!("USE_SSL {}", scheme != "http"));
    }
    format!(
        "INSTALL httpfs;\nLOAD httpfs;\nINSTALL aws;\nLOAD aws;\nCREATE OR REPLACE SECRET protobridge ({});\n",
        secret.join(", ")
    )
}

/// Returns the date and the hour of a time, as the folders of the journal name them: `2026-11-28 12`.
fn hour(micros: i64) -> String {
    let mut text = stamp::seconds(micros);
    text.truncate("2026-11-28 12".len());
    text
}

/// Returns a text as a literal of SQL. A quote in it is doubled; no other character has a meaning.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28T03:30:00Z.
    const START: i64 = 1_795_836_600_000_000;

    fn text(url: &str, id: &str, customer: Option<&str>, aws: &config::Aws) -> String {
        let wanted = Wanted::Event(id.to_owned());
        let window = START..START + 3_600_000_000;
        Query { url, wanted: &wanted, customer, window: &window }.text(aws, Some("eu-west-1"))
    }

    #[test]
    fn a_quote_in_a_text_does_not_end_it() {
        let query = text("file:///var/o'hara", "x' OR 1 = 1; --", Some("ac'me"), &config::Aws::default());
        insta::assert_snapshot!(query, @r#"
    SELECT *
    FROM read_parquet('/var/o''hara/journal/v1/*/*/*.parquet', hive_partitioning = true, union_by_name = true, hive_types_autocast = false)
    WHERE date BETWEEN '2026-11-27' AND '2026-11-28'
      AND date || ' ' || hour BETWEEN '2026-11-27 21' AND '2026-11-28 04'
      AND event_id = 'x'' OR 1 = 1; --'
      AND (customer = 'ac''me' OR customer IS NULL AND topic IS NULL)
    ORDER BY received_at, settled_at;
    "#);
    }

    #[test]
    fn a_bucket_needs_credentials_and_an_emulator_its_address() {
        let aws = config::Aws { endpoint_url: Some("http://localhost:4566/".into()), ..config::Aws::default() };
        insta::assert_snapshot!(text("s3://acme-protobridge/prod/", "4711", None, &aws), @r#"
    INSTALL httpfs;
    LOAD httpfs;
    INSTALL aws;
    LOAD aws;
    CREATE OR REPLACE SECRET protobridge (TYPE s3, PROVIDER credential_chain, REGION 'eu-west-1', ENDPOINT 'localhost:4566', URL_STYLE 'path', USE_SSL false);
    SELECT *
    FROM read_parquet('s3://acme-protobridge/prod/journal/v1/*/*/*.parquet', hive_partitioning = true, union_by_name = true, hive_types_autocast = false)
    WHERE date BETWEEN '2026-11-27' AND '2026-11-28'
      AND date || ' ' || hour BETWEEN '2026-11-27 21' AND '2026-11-28 04'
      AND event_id = '4711'
    ORDER BY received_at, settled_at;
    "#);
        let public = text("s3://acme-protobridge/prod", "4711", None, &config::Aws::default());
        assert!(public.contains("PROVIDER credential_chain, REGION 'eu-west-1');\n"), "{public}");
    }
}
