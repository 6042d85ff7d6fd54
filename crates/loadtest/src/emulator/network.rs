//! The emulator behind a network: connections with TLS, delays, a bandwidth and cuts.
//!
//! A publish whose answer is lost has had its effect. The service must send it again, and its customer has a duplicate.
//! The [ledger](super::ledger) is told about the deliveries of each such publish before the client can know that its
//! connection is gone, so that these duplicates are told apart from all others.

mod bandwidth;
mod certificate;
mod link;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::HandshakeKind;

use super::http;
use super::state::Emulator;
use crate::network::Network;
use bandwidth::Bandwidth;
use certificate::Tls;
use link::{Direction, InTransit, Link};

/// The bytes that wait between a connection and its link.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long a connection that was cut silently stays open. No client waits as long for an answer.
const SILENCE: Duration = Duration::from_secs(90);

/// A server behind a network.
#[derive(Clone)]
pub(super) struct Server {
    emulator: Arc<Emulator>,
    network: Network,
    link: Arc<Link>,
    tls: Option<TlsAcceptor>,
}

/// The call of a connection.
#[derive(Debug, Default)]
struct CurrentCall {
    /// Whether the emulator has the request, and has not answered it.
    is_under_way: bool,
    /// The deliveries that the last call made, as slots of the ledger.
    deliveries: Vec<usize>,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The client is told that the connection ended.
    End,
    /// The client is told that the connection was reset.
    Reset,
    /// The client is told nothing.
    Silent,
}

impl Server {
    /// Creates a server. Also returns the certificate of the authority that clients must trust, if there is one.
    ///
    /// # Errors
    /// Returns an error if no certificate can be made.
    pub(super) fn new(emulator: Arc<Emulator>, network: Network) -> anyhow::Result<(Self, Option<String>)> {
        let Network { round_trip_ms, megabits, .. } = network;
        let round_trip = Duration::from_millis(round_trip_ms);
        let link = Link { round_trip, up: Bandwidth::new(megabits), down: Bandwidth::new(megabits) };
        let (tls, authority) = match network.tls.then(Tls::new).transpose()? {
            Some(Tls { acceptor, authority }) => (Some(acceptor), Some(authority)),
            None => (None, None),
        };
        Ok((Self { emulator, network, link: Arc::new(link), tls }, authority))
    }

    /// Accepts connections as long as the future is polled.
    pub(super) async fn serve(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    self.emulator.state().network.connections += 1;
                    tokio::spawn(self.clone().connection(stream));
                }
                // The process most likely has too many open files.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn connection(self, mut stream: TcpStream) {
        let _unsupported = stream.set_nodelay(true);
        let call = Arc::<Mutex<CurrentCall>>::default();
        if !self.network.is_shaped() {
            return self.secure(stream, call).await;
        }
        let (mut near, far) = duplex(BUFFER_BYTES);
        let server = tokio::spawn(self.clone().secure(far, Arc::clone(&call)));
        let cut = next_cut(&self.network);
        let until_cut = async {
            match cut {
                Some((after, _)) => sleep(after).await,
                None => std::future::pending().await,
            }
        };
        let carried = |direction, bytes: usize| {
            let network = &mut self.emulator.state().network;
            *(if direction == Direction::Up { &mut network.up_bytes } else { &mut network.down_bytes }) += bytes as u64;
        };
        if let (Some(in_transit), Some((_, cut))) =
            (self.link.carry(&mut stream, &mut near, until_cut, carried).await, cut)
        {
            // This comes before the client is told.
            self.record(in_transit, cut, &lock(&call));
            server.abort();
            match cut {
                Cut::End => {}
                Cut::Reset => {
                    let _ended = stream.set_zero_linger();
                }
                Cut::Silent => sleep(SILENCE).await,
            }
        }
    }

    /// Serves a connection, with TLS if the network has it.
    async fn secure(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, call: Arc<Mutex<CurrentCall>>) {
        let answer = |request| self.clone().answer(request, Arc::clone(&call));
        let Some(tls) = &self.tls else { return http::connection(stream, answer).await };
        if self.network.handshake_ms > 0 {
            sleep(Duration::from_millis(self.network.handshake_ms)).await;
        }
        // A client that does not trust the certificate ends the handshake.
        let Ok(stream) = tls.accept(stream).await else { return };
        let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        {
            let network = &mut self.emulator.state().network;
            network.handshakes += 1;
            network.resumed += u64::from(is_resumed);
        }
        http::connection(stream, answer).await;
    }

    async fn answer(
        self,
        request: ::http::Request<Incoming>,
        call: Arc<Mutex<CurrentCall>>,
    ) -> ::http::Response<Full<Bytes>> {
        *lock(&call) = CurrentCall { is_under_way: true, deliveries: Vec::new() };
        let (mut answer, id) = http::call(&self.emulator, request).await;
        *lock(&call) = CurrentCall { is_under_way: false, deliveries: std::mem::take(&mut answer.deliveries) };
        answer.into_response(id)
    }

    /// Records a cut, and the deliveries of a publish whose answer it loses.
    fn record(&self, in_transit: InTransit, cut: Cut, call: &CurrentCall) {
        let state = &mut *self.emulator.state();
        let network = &mut state.network;
        network.cut_silently += u64::from(cut == Cut::Silent);
        if in_transit.answer {
            network.cut_in_answer += 1;
            network.lost_publishes += u64::from(!call.deliveries.is_empty());
            network.lost_deliveries += call.deliveries.len() as u64;
            state.ledger.answer_lost(&call.deliveries);
        } else if in_transit.request || call.is_under_way {
            network.cut_in_request += 1;
        } else {
            network.cut_idle += 1;
            network.cut_idle_silently += u64::from(cut == Cut::Silent);
        }
    }
}

fn lock(call: &Mutex<CurrentCall>) -> MutexGuard<'_, CurrentCall> {
    call.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decides after which time and how a new connection is cut. The times are distributed exponentially, so that a cut is as
/// likely at each moment.
fn next_cut(network: &Network) -> Option<(Duration, Cut)> {
    let mut random = Rng::new();
    let after = -(1.0 - random.f64()).ln() * network.cut_seconds?;
    let cut = match random.u32(0..100) < network.silent_percent {
        true => Cut::Silent,
        false if random.bool() => Cut::Reset,
        false => Cut::End,
    };
    Some((Duration::from_secs_f64(after), cut))
}

#[cfg(test)]
#[path = "network/tests.rs"]
mod tests;
