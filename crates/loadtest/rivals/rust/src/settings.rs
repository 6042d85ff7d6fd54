//! The settings that the load test gives to the consumer, in environment variables.

use std::path::PathBuf;

use anyhow::Context as _;

pub struct Settings {
    pub endpoint: String,
    pub queue_url: String,
    /// The ARN of a customer's topic, with `{customer}` for the id of the customer.
    pub topic_template: String,
    pub descriptor_set: PathBuf,
    /// The number of loops that receive, publish and delete.
    pub loops: usize,
}

impl Settings {
    pub fn from_environment() -> anyhow::Result<Self> {
        let loops = variable("LOOPS").unwrap_or_else(|_| "8".to_owned());
        Ok(Self {
            endpoint: variable("ENDPOINT").unwrap_or_default(),
            queue_url: variable("QUEUE_URL").unwrap_or_default(),
            topic_template: variable("TOPIC_TEMPLATE").unwrap_or_default(),
            descriptor_set: variable("DESCRIPTOR_SET")?.into(),
            loops: loops.parse().context("RIVAL_LOOPS is not a number")?,
        })
    }

    pub fn descriptor_set(&self) -> anyhow::Result<Vec<u8>> {
        let path = &self.descriptor_set;
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(format!("RIVAL_{name}")).with_context(|| format!("RIVAL_{name} is not set"))
}
