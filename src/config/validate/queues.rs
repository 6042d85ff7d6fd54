//! The rules of `queues`.

use std::collections::HashMap;

use super::Rules;
use crate::config::names::{EXAMPLE_QUEUE, is_dotted, queue_url};
use crate::config::region::queue_in_region;
use crate::config::{Config, Queue};

impl Rules {
    pub(super) fn queues(&mut self, config: &Config) {
        if config.queues.is_empty() {
            self.refuse(
                "queues",
                format!("at least one queue to receive from is needed, such as `queues: [{{url: {EXAMPLE_QUEUE}}}]`"),
            );
        }
        let mut urls = HashMap::new();
        let mut labels = HashMap::new();
        for (index, queue) in config.queues.iter().enumerate() {
            self.queue(config, index, queue);
            if queue.url.is_empty() {
                continue;
            }
            if let Some(first) = urls.insert(queue.url.as_str(), index) {
                self.refuse(format!("queues[{index}].url"), format!("is also the URL of queues[{first}]"));
            } else if let Some(first) = labels.insert(queue.label(), index) {
                let message = format!(
                    "`{}` is also the name of queues[{first}]; metrics and logs could not tell them apart",
                    queue.label()
                );
                self.refuse(format!("queues[{index}].name"), message);
            }
        }
        for (index, queue) in config.queues.iter().enumerate() {
            let Some(source) = queue.quarantine_url.as_deref().and_then(|url| urls.get(url)) else { continue };
            let message = match *source {
                source if source == index => {
                    "is the URL of the queue itself; quarantined messages would be received again".into()
                }
                source => format!("is also the URL of queues[{source}]; quarantined messages would be received again"),
            };
            self.refuse(format!("queues[{index}].quarantine_url"), message);
        }
    }

    fn queue(&mut self, config: &Config, index: usize, queue: &Queue) {
        let (key, region) = (|name: &str| format!("queues[{index}].{name}"), config.aws.region.as_deref());
        if queue.url.is_empty() {
            self.refuse(key("url"), format!("missing; a queue needs its URL, such as `{EXAMPLE_QUEUE}`"));
        } else {
            self.require(key("url"), queue_url(&queue.url).and_then(|()| queue_in_region(region, &queue.url)));
        }
        if let Some(url) = &queue.quarantine_url {
            self.require(key("quarantine_url"), queue_url(url).and_then(|()| queue_in_region(region, url)));
        }
        if queue.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            self.refuse(key("name"), "must not be empty; leave it out to use the last segment of the URL");
        }
        if queue.default_type.as_ref().is_some_and(|name| !is_dotted(name)) {
            self.refuse(key("default_type"), "is not a full name such as `shop.v1.OrderPlaced`");
        }
    }
}
