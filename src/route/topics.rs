//! Checks in the background whether the topics exist, so that a missing topic is found before its first event.
//!
//! SNS allows a few dozen of these calls per second (30 in small regions), and there can be ten thousand topics. So the
//! topics are checked one by one, at a slow pace. A topic that exists is not checked again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{error, info, warn};

use super::Routes;
use crate::aws::{Failure, FailureKind};
use crate::message::TopicArn;
use crate::telemetry::{Metrics, Operation};

/// The pause between two calls.
const PACE: Duration = Duration::from_millis(100);
/// The pause between two rounds over all topics.
const ROUND: Duration = Duration::from_secs(30);

/// The pause after a round in which IAM did not allow the call: a role can be corrected while the service runs.
const DENIED_ROUND: Duration = Duration::from_secs(600);

/// Checks the topics.
#[derive(Debug)]
pub struct TopicWatch {
    sns: aws_sdk_sns::Client,
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
    existing: HashSet<TopicArn>,
    /// The topics that do not exist, each with the error of SNS.
    missing: BTreeMap<TopicArn, String>,
}

impl TopicWatch {
    /// Creates the check of all topics of the routes.
    pub fn new(sns: aws_sdk_sns::Client, routes: Arc<Routes>, metrics: Arc<Metrics>) -> Self {
        Self { sns, routes, metrics, existing: HashSet::new(), missing: BTreeMap::new() }
    }

    /// Checks all topics in rounds, for as long as the future is polled.
    pub async fn run(mut self) {
        loop {
            let is_allowed = self.round().await;
            sleep(if is_allowed { ROUND } else { DENIED_ROUND }).await;
        }
    }

    /// Checks every topic that is not known to exist. Returns whether the call is allowed for at least one topic: a topic
    /// in another account can deny it.
    async fn round(&mut self) -> bool {
        let topics = self.routes.current().topics();
        self.missing.retain(|topic, _| topics.binary_search(topic).is_ok());
        let (mut denied, mut answered) = (None, !self.existing.is_empty());
        for topic in topics {
            self.metrics.topics_missing.set(self.missing.len() as f64);
            if self.existing.contains(&topic) {
                continue;
            }
            match self.check(&topic).await {
                Ok(()) => {
                    answered = true;
                    if self.missing.remove(&topic).is_some() {
                        info!(%topic, "the topic exists now");
                    }
                    self.existing.insert(topic);
                }
                Err(failure) if failure.kind == FailureKind::Denied => denied = Some(failure),
                Err(failure) => {
                    answered = true;
                    // Any other failure says nothing about the topic. The next round checks it again.
                    if failure.kind == FailureKind::NotFound {
                        self.note_missing(topic, &failure);
                    }
                }
            }
            sleep(PACE).await;
        }
        self.metrics.topics_missing.set(self.missing.len() as f64);
        match denied {
            Some(failure) if !answered => {
                warn!(%failure, "not allowed to check whether topics exist (sns:GetTopicAttributes); continuing without the check");
                false
            }
            _ => true,
        }
    }

    async fn check(&self, topic: &TopicArn) -> Result<(), Failure> {
        let answer = self.sns.get_topic_attributes().topic_arn(topic.as_str()).send().await;
        self.metrics.call(Operation::GetTopicAttributes, topic.is_fifo(), answer.is_ok());
        answer.map(drop).map_err(|error| Failure::of_call(&error))
    }

    fn note_missing(&mut self, topic: TopicArn, failure: &Failure) {
        let (why, router) = (failure.to_string(), self.routes.current());
        if self.missing.get(&topic) != Some(&why) {
            let mut customers: Vec<&str> =
                router.customers().filter(|customer| customer.topic == topic).map(|customer| &*customer.id).collect();
            customers.sort_unstable();
            let customers = customers.join(", ");
            error!(%topic, customers, why, "the topic does not exist; its events wait until it does");
            self.missing.insert(topic, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::scripted::{clients, sns_error};
    use crate::config;
    use crate::route::{Customer, Glob, Router};

    fn watch(answer: impl Fn(&str, usize) -> (u16, String) + Send + Sync + 'static) -> (TopicWatch, Arc<Metrics>) {
        let (clients, _) = clients(move |call, number| answer(&call.body, number));
        let customer = |id: &str| {
            Arc::new(Customer {
                id: id.into(),
                topic: format!("arn:aws:sns:eu-west-1:123456789012:{id}").into(),
                events: vec![Glob::new("*")],
                profile: Default::default(),
                enabled: true,
                canary: false,
                claim_check: Default::default(),
            })
        };
        let settings = config::Route::default();
        let router = Router::new(&settings, ["acme", "globex"].map(customer).into(), ["a.B"]);
        let metrics = Arc::new(Metrics::new(false));
        (
            TopicWatch::new(
                clients.sns,
                Arc::new(Routes::of(&settings, router, crate::schema::registry::Snapshot::empty())),
                Arc::clone(&metrics),
            ),
            metrics,
        )
    }

    const EXISTS: &str = "<GetTopicAttributesResponse><GetTopicAttributesResult/></GetTopicAttributesResponse>";

    #[tokio::test(start_paused = true)]
    async fn a_missing_topic_is_counted_until_it_exists() {
        let (mut watch, metrics) = watch(|body, number| {
            if body.contains("globex") && number < 3 { sns_error(404, "NotFound") } else { (200, EXISTS.to_owned()) }
        });
        let assert_missing = |expected| {
            let line = format!("protobridge_topics_missing {expected}");
            assert!(metrics.render().contains(&line), "{}", metrics.render());
        };
        assert!(watch.round().await);
        assert_missing(1);
        assert!(watch.round().await);
        assert_missing(1);
        assert!(watch.round().await);
        assert_missing(0);
        let calls = metrics.calls.sum();
        assert!(watch.round().await);
        assert_eq!((calls, metrics.calls.sum()), (4, 4), "a topic that exists is not checked again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_check_is_made_again_after_ten_minutes_if_the_call_is_not_allowed() {
        let (watch, metrics) = watch(|_, number| match number {
            0..2 => sns_error(403, "AuthorizationError"),
            _ => sns_error(404, "NotFound"),
        });
        tokio::spawn(watch.run());
        sleep(Duration::from_secs(599)).await;
        assert_eq!(metrics.calls.sum(), 2, "each topic is asked for once");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(metrics.calls.sum(), 4);
        assert!(metrics.render().contains("protobridge_topics_missing 2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_that_denies_the_call_does_not_end_the_check_of_others() {
        let (mut watch, metrics) = watch(|body, _| match body.contains("acme") {
            true => sns_error(403, "AuthorizationError"),
            false => sns_error(404, "NotFound"),
        });
        assert!(watch.round().await);
        assert!(metrics.render().contains("protobridge_topics_missing 1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_topic_is_not_counted_after_its_customer_is_removed() {
        let (mut watch, metrics) = watch(|body, _| match body.contains("globex") {
            true => sns_error(404, "NotFound"),
            false => (200, EXISTS.to_owned()),
        });
        assert!(watch.round().await);
        let text = "customers: [{id: acme, topic: 'arn:aws:sns:eu-west-1:123456789012:acme'}]";
        watch.routes.admit(text).unwrap().unwrap();
        assert!(watch.round().await);
        assert!(metrics.render().contains("protobridge_topics_missing 0"));
    }
}
