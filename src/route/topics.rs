//! Whether the topics are there, asked one by one in the background: a missing topic is found before its first event.
//!
//! SNS answers a few dozen such questions a second (30 in small regions), and there may be ten thousand topics, so this
//! takes its time. A topic that was there once is not asked about again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{error, info, warn};

use super::Routes;
use crate::aws::{Failure, Kind};
use crate::message::TopicArn;
use crate::telemetry::{Metrics, Operation};

/// Between two questions.
const PACE: Duration = Duration::from_millis(100);
/// Between two rounds.
const ROUND: Duration = Duration::from_secs(30);

/// Asks for topics.
#[derive(Debug)]
pub struct TopicWatch {
    sns: aws_sdk_sns::Client,
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
    existing: HashSet<TopicArn>,
    /// Topics that cannot be used, and why.
    missing: BTreeMap<TopicArn, String>,
}

impl TopicWatch {
    /// Watches the topics that the routes lead to.
    pub fn new(sns: aws_sdk_sns::Client, routes: Arc<Routes>, metrics: Arc<Metrics>) -> Self {
        Self { sns, routes, metrics, existing: HashSet::new(), missing: BTreeMap::new() }
    }

    /// Asks, round after round, for as long as the future is polled; no more once it turns out that this is not allowed.
    pub async fn run(mut self) {
        while self.round().await {
            sleep(ROUND).await;
        }
    }

    /// Asks for every topic that is not known to be there. Says whether asking is allowed, of some topic at least: one
    /// in another account may keep that to itself.
    async fn round(&mut self) -> bool {
        let topics = self.routes.current().topics();
        self.missing.retain(|topic, _| topics.binary_search(topic).is_ok());
        let (mut denied, mut answered) = (None, !self.existing.is_empty());
        for topic in topics {
            self.metrics.topics_missing.set(self.missing.len() as f64);
            if self.existing.contains(&topic) {
                continue;
            }
            match self.ask(&topic).await {
                Ok(()) => {
                    answered = true;
                    if self.missing.remove(&topic).is_some() {
                        info!(%topic, "the topic is there now");
                    }
                    self.existing.insert(topic);
                }
                Err(failure) if failure.kind == Kind::Denied => denied = Some(failure),
                Err(failure) => {
                    answered = true;
                    // Of any other failure nothing follows; the next round asks again.
                    if failure.kind == Kind::NotFound {
                        self.note_missing(topic, &failure);
                    }
                }
            }
            sleep(PACE).await;
        }
        self.metrics.topics_missing.set(self.missing.len() as f64);
        match denied {
            Some(failure) if !answered => {
                warn!(%failure, "may not ask whether topics are there (sns:GetTopicAttributes); going on without");
                false
            }
            _ => true,
        }
    }

    async fn ask(&self, topic: &TopicArn) -> Result<(), Failure> {
        let answer = self.sns.get_topic_attributes().topic_arn(topic.as_str()).send().await;
        self.metrics.call(Operation::GetTopicAttributes, answer.is_ok());
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
            })
        };
        let settings = config::Route::default();
        let router = Router::new(&settings, ["acme", "globex"].map(customer).into(), ["a.B"]);
        let metrics = Arc::new(Metrics::new(false));
        (TopicWatch::new(clients.sns, Arc::new(Routes::of(&settings, router)), Arc::clone(&metrics)), metrics)
    }

    const THERE: &str = "<GetTopicAttributesResponse><GetTopicAttributesResult/></GetTopicAttributesResponse>";

    #[tokio::test(start_paused = true)]
    async fn a_topic_that_is_missing_is_shown_until_it_is_there() {
        let (mut watch, metrics) = watch(|body, number| {
            if body.contains("globex") && number < 3 { sns_error(404, "NotFound") } else { (200, THERE.to_owned()) }
        });
        let missing = |expected| {
            let line = format!("protobridge_topics_missing {expected}");
            assert!(metrics.render().contains(&line), "{}", metrics.render());
        };
        assert!(watch.round().await);
        missing(1);
        assert!(watch.round().await);
        missing(1);
        assert!(watch.round().await);
        missing(0);
        let asked = metrics.calls.sum();
        assert!(watch.round().await);
        assert_eq!((asked, metrics.calls.sum()), (4, 4), "what is there is not asked about again");
    }

    #[tokio::test(start_paused = true)]
    async fn where_asking_is_not_allowed_it_is_left() {
        let (mut watch, metrics) = watch(|_, _| sns_error(403, "AuthorizationError"));
        assert!(!watch.round().await);
        assert_eq!(metrics.calls.sum(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_topic_that_may_not_be_asked_about_hides_no_other() {
        let (mut watch, metrics) = watch(|body, _| match body.contains("acme") {
            true => sns_error(403, "AuthorizationError"),
            false => sns_error(404, "NotFound"),
        });
        assert!(watch.round().await);
        assert!(metrics.render().contains("protobridge_topics_missing 1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_topic_that_nobody_has_any_more_is_not_missing() {
        let (mut watch, metrics) = watch(|body, _| match body.contains("globex") {
            true => sns_error(404, "NotFound"),
            false => (200, THERE.to_owned()),
        });
        assert!(watch.round().await);
        let text = "customers: [{id: acme, topic: 'arn:aws:sns:eu-west-1:123456789012:acme'}]";
        watch.routes.admit(text, ["a.B"]).unwrap().unwrap();
        assert!(watch.round().await);
        assert!(metrics.render().contains("protobridge_topics_missing 0"));
    }
}
