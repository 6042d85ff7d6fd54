//! The scenario `network`: the same work over networks that are ever less perfect.

use super::Step;
use crate::measure::RunPlan;
use crate::network::Network;
use crate::spec::Spec;

/// A network of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Connections on this machine, as in all other scenarios
    Plain,
    /// TLS
    Tls,
    /// TLS, and calls that take time
    Far,
    /// The same with a limited bandwidth
    Narrow,
    /// The same as `far`, with connections that are cut
    Cuts,
}

/// The options of the scenario.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NetworkOptions {
    /// Networks of the scenario `network`
    #[arg(
        long,
        value_enum,
        value_name = "NETWORK,…",
        value_delimiter = ',',
        default_value = "plain,tls,far,narrow,cuts"
    )]
    networks: Vec<Kind>,
    /// Time that each call takes on the network in the scenario `network`, in milliseconds
    #[arg(long, default_value_t = 20, value_name = "MS", value_parser = clap::value_parser!(u64).range(2..=1_000))]
    round_trip_ms: u64,
    /// Bandwidth in each direction where the scenario `network` limits it, in megabits per second
    #[arg(long, default_value_t = 100, value_name = "MBIT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    megabits: u32,
    /// Mean time until a connection is cut where the scenario `network` cuts connections, in seconds
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    cut_seconds: f64,
    /// Percentage of these cuts that neither side is told about
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    silent_percent: u32,
}

/// The time that the server waits before it answers the handshake of TLS where connections are cut, in milliseconds.
const SLOW_HANDSHAKE_MS: u64 = 50;

/// Returns the runs: two drains on each network, the second ones in reverse order, so that a change in the machine's load
/// favors no network, and a steady load at half the rate of these drains for `seconds` seconds.
pub(super) fn steps(options: &NetworkOptions, backlog: &Spec, seconds: u64) -> Vec<Step> {
    let networks = networks(options);
    let drain = |(x, (label, network)): (usize, &(String, Network))| {
        // Both halves of the floor fit into the time of a drain only if calls take no time.
        let is_shaped = network.is_shaped();
        let events = if is_shaped { backlog.events.div_ceil(2) } else { backlog.events };
        let spec = Spec { events, network: *network, has_store: false, ..backlog.clone() };
        Step { has_floor: !is_shaped, x: x as f64, ..Step::new(drain_label(label), spec) }
    };
    let drains: Vec<Step> = networks.iter().enumerate().map(drain).collect();
    let loads = drains.iter().zip(&networks).map(|(drain, (label, _))| Step {
        label: format!("{label}, half load"),
        plan: RunPlan { half_of: Some(drain.label.clone()), steady_seconds: seconds, ..drain.plan.clone() },
        has_floor: false,
        x: drain.x,
    });
    let again = drains.iter().rev().map(|drain| Step { has_floor: false, ..drain.clone() });
    drains.iter().cloned().chain(again).chain(loads).collect()
}

fn drain_label(network: &str) -> String {
    format!("{network}, drain")
}

/// Returns the networks with their names.
fn networks(options: &NetworkOptions) -> Vec<(String, Network)> {
    let NetworkOptions { round_trip_ms, megabits, cut_seconds, silent_percent, .. } = *options;
    let tls = Network { tls: true, ..Network::default() };
    let far = Network { round_trip_ms, ..tls };
    let narrow = Network { megabits: Some(megabits), ..far };
    let cut = Network { cut_seconds: Some(cut_seconds), silent_percent, handshake_ms: SLOW_HANDSHAKE_MS, ..far };
    let network = |kind: &Kind| match kind {
        Kind::Plain => ("plain".to_owned(), Network::default()),
        Kind::Tls => ("TLS".to_owned(), tls),
        Kind::Far => (format!("TLS, {round_trip_ms} ms"), far),
        Kind::Narrow => (format!("TLS, {round_trip_ms} ms, {megabits} Mbit/s"), narrow),
        Kind::Cuts => (format!("TLS, {round_trip_ms} ms, cuts"), cut),
    };
    options.networks.iter().map(network).collect()
}

#[cfg(test)]
impl NetworkOptions {
    pub(crate) fn for_tests() -> Self {
        let networks = clap::ValueEnum::value_variants().to_vec();
        Self { networks, round_trip_ms: 20, megabits: 100, cut_seconds: 3.0, silent_percent: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_steps() -> Vec<Step> {
        steps(&NetworkOptions::for_tests(), &Spec::default(), 10)
    }

    #[test]
    fn each_network_has_two_drains_in_opposite_orders_and_half_of_their_rate() {
        let steps = all_steps();
        let names: Vec<&str> = steps.iter().map(|step| step.label.rsplit_once(", ").unwrap().0).collect();
        let networks = ["plain", "TLS", "TLS, 20 ms", "TLS, 20 ms, 100 Mbit/s", "TLS, 20 ms, cuts"];
        let reversed: Vec<&str> = networks.iter().rev().copied().collect();
        assert_eq!((&names[..5], &names[5..10], &names[10..]), (&networks[..], &reversed[..], &networks[..]));
        for (load, drain) in steps[10..].iter().zip(&steps) {
            assert_eq!(load.plan.half_of.as_ref(), Some(&drain.label));
            assert_eq!(load.plan.spec.network, drain.plan.spec.network);
        }
    }

    #[test]
    fn the_floor_is_measured_only_where_calls_take_no_time() {
        let floors: Vec<String> =
            all_steps().into_iter().filter(|step| step.has_floor).map(|step| step.label).collect();
        assert_eq!(floors, ["plain, drain", "TLS, drain"]);
    }
}
