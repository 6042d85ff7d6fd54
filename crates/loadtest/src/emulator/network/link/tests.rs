use std::future::pending;
use std::sync::Mutex;

use tokio::io::{DuplexStream, duplex};

use super::*;

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

fn link(round_trip: u64, megabits: Option<u32>) -> Link {
    Link { round_trip: MILLIS(round_trip), up: Bandwidth::new(megabits), down: Bandwidth::new(megabits) }
}

/// A client and a server with a link between them.
struct Ends {
    client: DuplexStream,
    server: DuplexStream,
    of_link: (DuplexStream, DuplexStream),
}

impl Ends {
    fn new() -> Self {
        let ((client, near), (server, far)) = (duplex(1 << 20), duplex(1 << 20));
        Self { client, server, of_link: (near, far) }
    }
}

/// Answers each request of ten bytes with twenty.
async fn serve(mut server: DuplexStream) {
    while server.read_exact(&mut [0; 10]).await.is_ok() && server.write_all(&[1; 20]).await.is_ok() {}
}

#[tokio::test(start_paused = true)]
async fn a_connection_takes_one_round_trip_and_each_call_another() {
    let Ends { mut client, server, of_link: (mut near, mut far) } = Ends::new();
    let carried = Mutex::new((0, 0));
    let count = |direction, bytes| {
        let mut carried = carried.lock().unwrap();
        *(if direction == Direction::Up { &mut carried.0 } else { &mut carried.1 }) += bytes;
    };
    let calls = async {
        let begin = Instant::now();
        for call in 2..=4 {
            client.write_all(&[0; 10]).await.unwrap();
            client.read_exact(&mut [0; 20]).await.unwrap();
            assert_eq!(begin.elapsed().as_millis(), 20 * call);
        }
        drop(client);
    };
    let link = link(20, None);
    let (ended, (), ()) = tokio::join!(link.carry(&mut near, &mut far, pending(), count), serve(server), calls);
    assert_eq!(ended, None, "both ends closed the connection");
    assert_eq!(*carried.lock().unwrap(), (30, 60));
}

#[tokio::test(start_paused = true)]
async fn the_bandwidth_delays_bytes_beyond_the_round_trip() {
    let Ends { mut client, mut server, of_link: (mut near, mut far) } = Ends::new();
    // 1,000 bytes per millisecond.
    let link = link(20, Some(8));
    let transfer = async {
        let begin = Instant::now();
        client.write_all(&vec![0; 100_000]).await.unwrap();
        server.read_exact(&mut vec![0; 100_000]).await.unwrap();
        drop((client, server));
        begin.elapsed().as_millis()
    };
    let (_, took) = tokio::join!(link.carry(&mut near, &mut far, pending(), |_, _| {}), transfer);
    assert_eq!(took, 20 + 100 + 10, "the handshake, the bytes, and the way");
}

/// Cuts a connection this time after its begin, with one call under way, and returns what was on its way, and the bytes
/// that the client received.
async fn cut_after(cut: u64) -> (InTransit, usize) {
    let Ends { mut client, server, of_link: (mut near, mut far) } = Ends::new();
    let (server, link) = (tokio::spawn(serve(server)), link(20, None));
    client.write_all(&[0; 10]).await.unwrap();
    let cut = link.carry(&mut near, &mut far, sleep(MILLIS(cut)), |_, _| {}).await.expect("the connection is cut");
    drop((near, far));
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    server.await.unwrap();
    (cut, received.len())
}

#[tokio::test(start_paused = true)]
async fn a_cut_tells_what_was_on_its_way() {
    // The request leaves after 20 ms and arrives after 30; the answer arrives after 40.
    let (request, answer) = (InTransit { request: true, answer: false }, InTransit { request: false, answer: true });
    assert_eq!(cut_after(5).await, (request, 0), "still waiting for the handshake");
    assert_eq!(cut_after(25).await, (request, 0));
    assert_eq!(cut_after(35).await, (answer, 0));
    assert_eq!(cut_after(45).await, (InTransit { request: false, answer: false }, 20));
}
