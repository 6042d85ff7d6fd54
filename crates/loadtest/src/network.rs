//! The network between the service and AWS.

use serde::{Deserialize, Serialize};

/// The conditions of the network. By default, it is a connection on this machine without TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Network {
    /// Whether connections are encrypted. The emulator then has a certificate that its own authority signed.
    pub(crate) tls: bool,
    /// The time that each call takes on the network, in milliseconds, half of it in each direction. A new connection takes
    /// it once for the handshake of TCP and once for the handshake of TLS.
    pub(crate) round_trip_ms: u64,
    /// The bandwidth in each direction, which all connections share, in megabits per second.
    pub(crate) megabits: Option<u32>,
    /// The mean time until a connection is cut, in seconds. Each connection is cut at a random moment.
    pub(crate) cut_seconds: Option<f64>,
    /// The percentage of cuts that neither side is told about: the connection stays open, but carries nothing.
    pub(crate) silent_percent: u32,
    /// The time that the server waits before it answers the handshake of TLS, in milliseconds.
    pub(crate) handshake_ms: u64,
}

impl Network {
    /// Whether the connections are more than those of this machine.
    pub(crate) fn is_shaped(&self) -> bool {
        self.round_trip_ms > 0 || self.megabits.is_some() || self.cut_seconds.is_some()
    }
}

/// The counts of connections, cuts and bytes since the start of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkStats {
    /// The number of connections.
    pub(crate) connections: u64,
    /// The number of TLS handshakes that succeeded.
    pub(crate) handshakes: u64,
    /// The number of these that resumed a session.
    pub(crate) resumed: u64,
    /// The number of connections that were cut while neither a request nor an answer was on its way.
    pub(crate) cut_idle: u64,
    /// The number of connections that were cut before the emulator had the request, or while it had not answered.
    pub(crate) cut_in_request: u64,
    /// The number of connections that were cut after the emulator had answered, before the client had the answer.
    pub(crate) cut_in_answer: u64,
    /// The number of cuts that neither side was told about.
    pub(crate) cut_silently: u64,
    /// The number of these among the cuts of idle connections. The next call over such a connection fails.
    pub(crate) cut_idle_silently: u64,
    /// The number of accepted publishes whose answer was lost.
    pub(crate) lost_publishes: u64,
    /// The deliveries of these publishes.
    pub(crate) lost_deliveries: u64,
    /// The bytes that arrived at the emulator, TLS included.
    pub(crate) up_bytes: u64,
    /// The bytes that arrived at clients, TLS included.
    pub(crate) down_bytes: u64,
}

impl NetworkStats {
    /// Returns the number of cuts that ended a call.
    pub(crate) fn interrupted(&self) -> u64 {
        self.cut_in_request + self.cut_in_answer
    }

    /// Returns the number of calls that can have failed because of a cut.
    pub(crate) fn can_fail(&self) -> u64 {
        self.interrupted() + self.cut_idle_silently
    }
}
