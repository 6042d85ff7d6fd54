//! The rules of `canary`.

use super::Rules;
use crate::config::names::{EXAMPLE_TOPIC, queue_url, topic_arn};
use crate::config::region::{queue_in_region, topic_in_region};
use crate::config::{Canary, Config, FallbackPolicy, Queue};

impl Rules {
    pub(super) fn canary(&mut self, config: &Config) {
        if !config.canary.is_set() {
            return;
        }
        self.canary_queue(config);
        self.canary_topic(config);
        self.return_queue(config);
    }

    fn canary_queue(&mut self, config: &Config) {
        const KEY: &str = "canary.queue";
        let labels: Vec<&str> = config.queues.iter().map(Queue::label).collect();
        match &config.canary.queue {
            Some(name) if labels.contains(&name.as_str()) => {}
            Some(name) => {
                self.refuse(KEY, format!("`{name}` is no queue of `queues`; their names are: {}", labels.join(", ")));
            }
            None if labels.len() > 1 => {
                self.refuse(KEY, format!("missing; with several queues, name one of: {}", labels.join(", ")));
            }
            None => {}
        }
    }

    fn canary_topic(&mut self, config: &Config) {
        const KEY: &str = "canary.topic";
        let (route, region) = (&config.route, config.aws.region.as_deref());
        let Some(topic) = &config.canary.topic else {
            return self.refuse(KEY, format!("missing; the canary needs the ARN of a topic such as `{EXAMPLE_TOPIC}`"));
        };
        self.require(KEY, topic_arn(topic).and_then(|()| topic_in_region(region, topic)));
        for (other, policy) in
            [("route.without_customer", &route.without_customer), ("route.unknown_customer", &route.unknown_customer)]
        {
            if matches!(policy, FallbackPolicy::Topic(arn) if arn == topic) {
                self.refuse(KEY, format!("is also the topic of `{other}`; events would arrive in the return queue"));
            }
        }
    }

    fn return_queue(&mut self, config: &Config) {
        const KEY: &str = "canary.return_queue_url";
        let Canary { topic, return_queue_url, .. } = &config.canary;
        let Some(url) = return_queue_url else {
            return self
                .refuse(KEY, "missing; the canary needs the URL of a queue that is subscribed to `canary.topic`");
        };
        self.require(KEY, queue_url(url).and_then(|()| queue_in_region(config.aws.region.as_deref(), url)));
        for (index, queue) in config.queues.iter().enumerate() {
            if queue.url == *url {
                self.refuse(KEY, format!("is also queues[{index}].url; the service would receive what it published"));
            }
            if queue.quarantine_url.as_ref() == Some(url) {
                let message = "; `protobridge canary` would delete the messages in quarantine";
                self.refuse(KEY, format!("is also queues[{index}].quarantine_url{message}"));
            }
        }
        let is_fifo = |name: &str| name.ends_with(".fifo");
        if is_fifo(url) && topic.as_ref().is_some_and(|topic| !is_fifo(topic)) {
            self.refuse(KEY, "is a FIFO queue, which SNS subscribes to FIFO topics only; use a standard queue");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETURN: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/canary-return";
    const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:canary";

    /// Returns the problems of a configuration with these queues and this section, one text per problem.
    fn problems(queues: &[&str], change: impl FnOnce(&mut Config)) -> Vec<String> {
        let queue = |name: &&str| Queue {
            url: format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}"),
            quarantine_url: Some(format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}-quarantine")),
            ..Queue::default()
        };
        let mut config = Config { queues: queues.iter().map(queue).collect(), ..Config::default() };
        config.aws.region = Some("eu-west-1".into());
        config.canary.topic = Some(TOPIC.into());
        config.canary.return_queue_url = Some(RETURN.into());
        change(&mut config);
        config.problems().iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
    }

    #[test]
    fn a_canary_needs_a_queue_a_topic_and_a_return_queue() {
        assert_eq!(problems(&["events"], |_| {}), [""; 0]);
        assert_eq!(problems(&["a", "b"], |config| config.canary = Canary::default()), [""; 0]);
        assert_eq!(problems(&["a", "b"], |config| config.canary.queue = Some("b".into())), [""; 0]);
        let found = problems(&["a", "b"], |_| {});
        assert_eq!(found, ["canary.queue: missing; with several queues, name one of: a, b"]);
        let found = problems(&["a"], |config| config.canary.queue = Some("c".into()));
        assert_eq!(found, ["canary.queue: `c` is no queue of `queues`; their names are: a"]);
        let found = problems(&["a"], |config| config.canary.topic = None);
        assert!(found.len() == 1 && found[0].starts_with("canary.topic: missing; "), "{found:?}");
        let found = problems(&["a"], |config| config.canary.return_queue_url = None);
        assert!(found.len() == 1 && found[0].starts_with("canary.return_queue_url: missing; "), "{found:?}");
    }

    #[test]
    fn a_canary_is_refused_if_events_or_other_readers_would_share_its_topic_or_its_queue() {
        type Change = fn(&mut Config);
        let cases: [(Change, &str); 7] = [
            (|config| config.canary.topic = Some("canary".into()), "canary.topic: is not the ARN of an SNS topic"),
            (
                |config| config.canary.topic = Some(TOPIC.replace("eu-west-1", "eu-west-2")),
                "canary.topic: is in eu-west-2",
            ),
            (
                |config| config.route.unknown_customer = FallbackPolicy::Topic(TOPIC.into()),
                "canary.topic: is also the topic of `route.unknown_customer`",
            ),
            (
                |config| config.canary.return_queue_url = Some(config.queues[0].url.clone()),
                "canary.return_queue_url: is also queues[0].url",
            ),
            (
                |config| config.canary.return_queue_url.clone_from(&config.queues[0].quarantine_url),
                "canary.return_queue_url: is also queues[0].quarantine_url",
            ),
            (
                |config| config.canary.return_queue_url = Some(format!("{RETURN}.fifo")),
                "canary.return_queue_url: is a FIFO queue",
            ),
            (
                |config| config.canary.return_queue_url = Some("x".into()),
                "canary.return_queue_url: is not a queue's URL",
            ),
        ];
        for (change, expected) in cases {
            let found = problems(&["events"], change);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
        }
        let both_fifo = |config: &mut Config| {
            config.canary.topic = Some(format!("{TOPIC}.fifo"));
            config.canary.return_queue_url = Some(format!("{RETURN}.fifo"));
        };
        assert_eq!(problems(&["events"], both_fifo), [""; 0]);
    }
}
