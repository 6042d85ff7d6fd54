//! Several replicas of the service on one queue: with and without Redis, while one is killed and one is added, and at a
//! quota of SNS that they share.

pub(crate) mod kill;
pub(crate) mod launch;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod steps;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The replicas of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicaPlan {
    /// The number of replicas at the start.
    pub(crate) count: u32,
    pub(crate) redis: RedisPlace,
    pub(crate) change: Option<Change>,
    /// Variables of the service's configuration.
    pub(crate) variables: BTreeMap<String, String>,
}

/// The Redis in which the replicas share the window of duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RedisPlace {
    /// There is none.
    Off,
    /// On this machine.
    Local,
    /// On this machine, behind a proxy that delays each answer.
    Delayed,
}

/// The first replica is killed during the run, and a new one is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The seconds from the start of the run to the kill.
    pub(crate) kill_after: u64,
    /// The seconds from the start of the run to the start of the new replica.
    pub(crate) add_after: u64,
}

impl RedisPlace {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "no Redis",
            Self::Local => "Redis",
            Self::Delayed => "Redis 1 ms away",
        }
    }
}

/// Returns the name of a replica, which is also the id of its access key. The first has the number 1.
pub(crate) fn name(number: u32) -> String {
    format!("replica-{number}")
}
