//! The runs of the scenario `replicas`.

use std::collections::BTreeMap;

use super::{Change, RedisPlace, ReplicaPlan};
use crate::measure::RunPlan;
use crate::scenario::{ScenarioParameters, Step};
use crate::spec::{Faults, SendSchedule, Spec};

/// The numbers of replicas that are compared.
const COUNTS: [u32; 3] = [1, 2, 4];
/// The places of Redis that are compared.
pub(crate) const PLACES: [RedisPlace; 3] = [RedisPlace::Off, RedisPlace::Local, RedisPlace::Delayed];

/// The time of a call in the runs with limited replicas, in milliseconds.
const CALL_MS: u64 = 50;
/// The most publishes of a limited replica at the same time. With 50 ms per call and ten events per publish, a replica
/// carries at most 400 events per second, far less than the machine can do.
const LIMITED_CALLS: u32 = 2;
/// The events for each limited replica.
const LIMITED_EVENTS: u64 = 2_000;

/// The steady load of the runs with a kill, in events per second, and their duration in seconds.
const KILL_LOAD: f64 = 1_000.0;
const KILL_SECONDS: u64 = 15;
const KILL: Change = Change { kill_after: 5, add_after: 8 };

/// The SNS quota of the smallest regions, in messages per second, and the replicas that share it.
pub(crate) const QUOTA: u32 = 300;
const SHARING: u32 = 3;
/// The duration of the run with the quota. A replica is killed and one is added while it lasts.
const QUOTA_SECONDS: u64 = 110;
const QUOTA_CHANGE: Change = Change { kill_after: 60, add_after: 75 };

/// Returns the runs: the limit of the machine, limited replicas, a kill, and the quota.
pub(crate) fn steps(parameters: &ScenarioParameters) -> Vec<Step> {
    let backlog =
        Spec { events: parameters.events, call_ms: parameters.call_ms, has_replicas: true, ..Spec::default() };
    let mut steps = Vec::new();
    for count in COUNTS {
        steps.push(step(&format!("CPU-bound, {count}"), backlog.clone(), plan(count, RedisPlace::Off)));
    }
    for redis in [RedisPlace::Local, RedisPlace::Delayed] {
        steps.push(step(&format!("CPU-bound, 4, {}", redis.name()), backlog.clone(), plan(4, redis)));
    }
    for redis in PLACES {
        for count in COUNTS {
            let spec = Spec { events: LIMITED_EVENTS * u64::from(count), call_ms: CALL_MS, ..backlog.clone() };
            steps.push(step(&format!("limited, {count}, {}", redis.name()), spec, limited(plan(count, redis))));
        }
    }
    for redis in PLACES {
        let send_schedule = SendSchedule::Steady { per_second: KILL_LOAD };
        let events = KILL_LOAD as u64 * KILL_SECONDS;
        let spec = Spec { events, call_ms: CALL_MS, send_schedule, ..backlog.clone() };
        let replicas = ReplicaPlan { change: Some(KILL), ..quick_to_return(plan(3, redis)) };
        steps.push(step(&format!("killed, 3, {}", redis.name()), spec, replicas));
    }
    steps.push(quota(backlog));
    steps
}

/// Returns the run in which the replicas share a quota. It ends with a backlog.
fn quota(backlog: Spec) -> Step {
    let events = u64::from(QUOTA) * QUOTA_SECONDS * 2;
    let faults = Faults { quota: Some(QUOTA), ..Faults::default() };
    let spec = Spec { events, customers: 10, skew: 2.0, faults, ..backlog };
    let replicas = ReplicaPlan { change: Some(QUOTA_CHANGE), ..plan(SHARING, RedisPlace::Off) };
    let step = step(&format!("quota of {QUOTA}/s, {SHARING}"), spec, replicas);
    Step { plan: RunPlan { limit_seconds: Some(QUOTA_SECONDS), ..step.plan }, ..step }
}

fn step(label: &str, spec: Spec, replicas: ReplicaPlan) -> Step {
    let x = f64::from(replicas.count);
    let plan = RunPlan { spec, replicas: Some(replicas), ..RunPlan::default() };
    Step { label: label.to_owned(), plan, has_floor: false, x }
}

fn plan(count: u32, redis: RedisPlace) -> ReplicaPlan {
    ReplicaPlan { count, redis, change: None, variables: BTreeMap::new() }
}

/// Limits the throughput of each replica by its concurrency.
fn limited(plan: ReplicaPlan) -> ReplicaPlan {
    with(plan, "PROTOBRIDGE_PUBLISH_MAX_CONCURRENT_CALLS", LIMITED_CALLS)
}

/// Lets the messages of a killed replica return soon. A claim in Redis ends after twice this time.
fn quick_to_return(plan: ReplicaPlan) -> ReplicaPlan {
    with(plan, "PROTOBRIDGE_VISIBILITY_TIMEOUT_SECONDS", 10)
}

fn with(mut plan: ReplicaPlan, name: &str, value: u32) -> ReplicaPlan {
    plan.variables.insert(name.to_owned(), value.to_string());
    plan
}
