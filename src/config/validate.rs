//! The rules of the configuration that types cannot express: the syntax of values and the relations between keys.
//!
//! Nothing here calls AWS or reads other files; `protobridge check` does.

mod canary;
mod claim_check;
mod monitor;
mod places;
mod profiles;
mod queues;
mod store;

use strict_config::{Problem, nearest};
use tracing_subscriber::EnvFilter;

use super::names::{
    self, EXAMPLE_TOPIC, host_and_path, is_attribute, is_bucket, is_dotted, is_name, topic_arn, topic_template,
    type_glob,
};
use super::region::topic_in_region;
use super::{Config, FallbackPolicy};

impl Config {
    /// Sets the region that AWS is called in, if no key sets it, and returns the violations of rules that the region
    /// brings to light.
    pub fn settle_region(&mut self, region: Option<String>) -> Vec<Problem> {
        if self.aws.region.is_some() || region.is_none() {
            return Vec::new();
        }
        self.aws.region = region;
        self.problems()
    }

    /// Returns the violations of rules that types cannot express. Each names its key but has no position, because the
    /// configuration does not know its file.
    pub fn problems(&self) -> Vec<Problem> {
        let mut rules = Rules::default();
        rules.aws(self);
        rules.queues(self);
        rules.envelope(self);
        rules.schema_ids(self);
        rules.taps(self);
        rules.route(self);
        rules.claim_check(self);
        rules.retry(self);
        rules.receive(self);
        rules.dedupe(self);
        rules.log(self);
        rules.traces(self);
        rules.store(self);
        rules.places(self);
        rules.profiles(self);
        rules.canary(self);
        rules.monitor(self);
        rules.problems
    }
}

#[derive(Default)]
struct Rules {
    problems: Vec<Problem>,
}

impl Rules {
    fn refuse(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(key, message));
    }

    fn require(&mut self, key: impl Into<String>, result: Result<(), names::Error>) {
        if let Err(error) = result {
            self.refuse(key, error.to_string());
        }
    }

    fn aws(&mut self, config: &Config) {
        if config.aws.region.as_ref().is_some_and(|region| !is_name(region)) {
            self.refuse("aws.region", "is not a region such as `eu-west-1`");
        }
        let aws = &config.aws;
        for (key, url) in [
            ("aws.endpoint_url", &aws.endpoint_url),
            ("aws.sqs_endpoint_url", &aws.sqs_endpoint_url),
            ("aws.sns_endpoint_url", &aws.sns_endpoint_url),
            ("aws.s3_endpoint_url", &aws.s3_endpoint_url),
        ] {
            if url.as_ref().is_some_and(|url| host_and_path(url).is_none()) {
                self.refuse(key, "is not a URL such as `http://localhost:4566`");
            }
        }
    }

    fn dedupe(&mut self, config: &Config) {
        // The URL can contain a password, so the message does not quote it.
        if config.dedupe.redis_url.as_ref().is_some_and(|url| redis::parse_redis_url(url).is_none()) {
            self.refuse(
                "dedupe.redis_url",
                "is not a URL such as `redis://host:6379` or, with TLS, `rediss://host:6379`",
            );
        }
    }

    fn traces(&mut self, config: &Config) {
        let traces = &config.traces;
        // The URL can contain a password, so the message does not quote it.
        if traces.otlp_endpoint.as_ref().is_some_and(|url| host_and_path(url).is_none()) {
            self.refuse("traces.otlp_endpoint", "is not a URL such as `http://localhost:4318`");
        }
        if !(0.0..=1.0).contains(&traces.sample_ratio) {
            self.refuse("traces.sample_ratio", format!("{} is not a share from 0 to 1", traces.sample_ratio));
        }
    }

    fn receive(&mut self, config: &Config) {
        let (fewest, most) = (config.receive.min_pollers, config.receive.max_pollers);
        if fewest > most {
            self.refuse("receive", format!("min_pollers ({fewest}) is more than max_pollers ({most})"));
        }
    }

    fn envelope(&mut self, config: &Config) {
        let envelope = &config.envelope;
        let attributes = [
            ("envelope.payload_attribute", &envelope.payload_attribute),
            ("envelope.type_attribute", &envelope.type_attribute),
            ("envelope.event_id_attribute", &envelope.event_id_attribute),
            ("route.customer_attribute", &config.route.customer_attribute),
        ];
        for (index, (key, name)) in attributes.iter().enumerate() {
            if !is_attribute(name) {
                self.refuse(
                    *key,
                    "is not the name of a message attribute; allowed are letters, digits, `-`, `_` and `.`",
                );
            } else if let Some((other, _)) = attributes[..index].iter().find(|(_, other)| other == name) {
                self.refuse(*key, format!("is also the attribute of `{other}`"));
            }
        }
        for (index, bucket) in envelope.s3_buckets.iter().enumerate().filter(|(_, bucket)| !is_bucket(bucket)) {
            let message =
                format!("{bucket:?} is not a bucket name; use lower-case letters, digits, `-` and `.`, and no ARN");
            self.refuse(format!("envelope.s3_buckets[{index}]"), message);
        }
    }

    fn schema_ids(&mut self, config: &Config) {
        let confluent = &config.confluent;
        for (key, file) in
            [("confluent.schemas_file", &confluent.schemas_file), ("glue.schemas_file", &config.glue.schemas_file)]
        {
            if file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
                self.refuse(key, "must not be empty; leave it out to have no file");
            }
        }
        if confluent.registry_url.as_ref().is_some_and(|url| host_and_path(url).is_none()) {
            self.refuse("confluent.registry_url", "is not a URL such as `https://schema-registry:8081`");
        }
    }

    fn taps(&mut self, config: &Config) {
        let taps = &config.taps;
        for (name, paths) in [
            ("customer", &taps.customer),
            ("event_id", &taps.event_id),
            ("event_time", &taps.event_time),
            ("ordering", &taps.ordering),
        ] {
            for (index, path) in paths.iter().enumerate().filter(|(_, path)| !is_dotted(path)) {
                let message = format!("{path:?} is not a path of field names such as `meta.tenant_id`");
                self.refuse(format!("taps.{name}[{index}]"), message);
            }
        }
    }

    fn route(&mut self, config: &Config) {
        let (route, region) = (&config.route, config.aws.region.as_deref());
        if let Some(template) = &route.topic_template {
            self.require(
                "route.topic_template",
                topic_template(template).and_then(|()| topic_in_region(region, template)),
            );
        }
        for (key, policy) in
            [("route.without_customer", &route.without_customer), ("route.unknown_customer", &route.unknown_customer)]
        {
            let FallbackPolicy::Topic(arn) = policy else { continue };
            if topic_arn(arn).is_err() {
                let message = format!("expected `quarantine`, `drop` or a topic ARN such as `{EXAMPLE_TOPIC}`");
                self.refuse(key, format!("{message}, found {arn:?}"));
            } else {
                self.require(key, topic_in_region(region, arn));
            }
        }
        for (index, glob) in route.broadcast.iter().enumerate() {
            self.require(format!("route.broadcast[{index}]"), type_glob(glob));
        }
    }

    fn retry(&mut self, config: &Config) {
        let retry = &config.retry;
        if retry.min_seconds > retry.max_seconds {
            let message =
                format!("min_seconds ({}) is more than max_seconds ({})", retry.min_seconds, retry.max_seconds);
            self.refuse("retry", message);
        }
    }

    /// Refuses a misspelled level. `tracing` would accept it as the name of a crate and turn the log off.
    fn log(&mut self, config: &Config) {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        let is_lone_word = |directive: &&str| directive.bytes().all(|byte| byte.is_ascii_alphabetic());
        let words = config.log.level.split(',').map(str::trim).filter(is_lone_word);
        for word in words.filter(|word| !word.is_empty() && !is_level(word)) {
            let near = nearest(word, LEVELS).map(|level| format!("; did you mean `{level}`?")).unwrap_or_default();
            self.refuse("log.level", format!("`{word}` is none of the levels {}{near}", LEVELS.join(", ")));
        }
        let is_known = |problem: &Problem| problem.key == "log.level";
        if !self.problems.iter().any(is_known)
            && let Err(error) = EnvFilter::builder().parse(&config.log.level)
        {
            self.refuse("log.level", error.to_string());
        }
    }
}

#[cfg(test)]
mod tests;
