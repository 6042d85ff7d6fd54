//! Tests the server with the SDK's clients.

use tokio::time::{Instant, timeout};

use super::*;
use crate::emulator::stats::Stats;
use crate::events::Events;
use crate::floor::{FloorClients, publish_entry};
use crate::spec::Spec;

/// Starts an emulator behind a network, and clients.
async fn start(spec: &Spec) -> (Arc<Emulator>, Arc<FloorClients>, Arc<Events>) {
    let emulator = Arc::new(Emulator::new(spec.clone()).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let scheme = if spec.network.tls { "https" } else { "http" };
    let endpoint = format!("{scheme}://{}", listener.local_addr().unwrap());
    let (server, authority) = Server::new(Arc::clone(&emulator), spec.network).unwrap();
    tokio::spawn(server.serve(listener));
    emulator.start();
    let clients = FloorClients::for_tests(&endpoint, authority.map(String::into_bytes)).await;
    (emulator, Arc::new(clients), Arc::new(Events::new(spec).unwrap()))
}

async fn until(emulator: &Emulator, condition: impl Fn(&Stats) -> bool) -> Stats {
    let look = async {
        while !condition(&emulator.stats()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), look).await.unwrap();
    emulator.stats()
}

#[tokio::test]
async fn calls_over_tls_share_connections_and_take_a_round_trip() {
    let network = Network { tls: true, round_trip_ms: 20, ..Network::default() };
    let (emulator, clients, events) = start(&Spec { events: 50, network, ..Spec::default() }).await;
    let began = Instant::now();
    let floor = tokio::spawn(clients.run_loop(events));
    let stats = until(&emulator, |stats| stats.on_queue == 0).await;
    let took = began.elapsed();
    floor.abort();
    assert_eq!((stats.arrived.arrived, stats.arrived.doubled), (50, 0));
    assert!((1..=3).contains(&stats.network.handshakes), "one per client: {:?}", stats.network);
    assert!(stats.network.up_bytes > 50_000 && stats.network.down_bytes > 50_000, "{:?}", stats.network);
    // Fourteen calls with their answers, half of the fifteenth, and a handshake.
    assert!(took >= Duration::from_millis(14 * 20), "{took:?}");
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_authority_makes_no_call() {
    let network = Network { tls: true, ..Network::default() };
    let spec = Spec { events: 10, network, ..Spec::default() };
    let emulator = Arc::new(Emulator::new(spec.clone()).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let (server, _) = Server::new(Arc::clone(&emulator), network).unwrap();
    tokio::spawn(server.serve(listener));
    let (_, of_another_run) = Server::new(Arc::clone(&emulator), network).unwrap();
    let clients = FloorClients::for_tests(&endpoint, of_another_run.map(String::into_bytes)).await;
    let error = format!("{:?}", clients.receive().await.unwrap_err());
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(emulator.stats().network.handshakes, 0);
}

#[tokio::test]
async fn the_deliveries_of_a_publish_whose_answer_is_lost_can_arrive_again() {
    let network = Network::default();
    let (emulator, clients, events) = start(&Spec { events: 10, network, ..Spec::default() }).await;
    let messages = clients.receive().await.unwrap();
    let (topic, entry) = publish_entry(0, &messages[0], &events).unwrap();
    let server = Server::new(Arc::clone(&emulator), network).unwrap().0;
    let lost = InTransit { request: false, answer: true };
    clients.publish(&topic, vec![entry.clone()]).await.unwrap();
    let call = CurrentCall { is_under_way: false, deliveries: vec![0] };
    server.record(lost, Cut::Reset, &call);
    for _ in 0..2 {
        clients.publish(&topic, vec![entry.clone()]).await.unwrap();
    }
    let stats = emulator.stats();
    assert_eq!((stats.network.lost_publishes, stats.network.cut_in_answer), (1, 1));
    assert_eq!((stats.arrived.doubled_after_lost_answer, stats.arrived.doubled), (1, 1));
}
