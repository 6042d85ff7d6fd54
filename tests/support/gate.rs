//! A proxy in front of an emulator. While the gate is shut, publish calls wait in it; all other calls pass.
//!
//! So a test can keep messages in flight for as long as it needs. Without a gate, they are in flight for about a
//! millisecond.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait;

/// Forwards connections to an emulator. Dropping the gate closes them.
#[derive(Debug)]
pub(crate) struct Gate {
    address: SocketAddr,
    shut: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    _forwarding: JoinSet<()>,
}

impl Gate {
    /// Starts an open gate in front of the emulator with this base URL.
    pub(crate) async fn in_front_of(endpoint_url: &str) -> Self {
        let behind: SocketAddr = endpoint_url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()
            .expect("emulators listen on a loopback address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let (shut, state) = watch::channel(false);
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut forwarding = JoinSet::new();
        forwarding.spawn(accept(listener, behind, state, Arc::clone(&waiting)));
        Self { address, shut, waiting, _forwarding: forwarding }
    }

    /// Returns the base URL to use in place of the emulator's.
    pub(crate) fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes publish calls wait from now on.
    pub(crate) fn shut(&self) {
        self.shut.send_replace(true);
    }

    /// Releases the waiting publish calls and lets all later ones pass.
    pub(crate) fn open(&self) {
        self.shut.send_replace(false);
    }

    /// Waits until a publish call waits at the gate.
    pub(crate) async fn wait_for_publish(&self) {
        wait::until("a publish waits at the gate", async || (self.waiting.load(Ordering::Acquire) > 0).then_some(()))
            .await;
    }
}

async fn accept(listener: TcpListener, behind: SocketAddr, shut: watch::Receiver<bool>, waiting: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((front, _)) = listener.accept().await {
        let (shut, waiting) = (shut.clone(), Arc::clone(&waiting));
        connections.spawn(async move {
            let Ok(back) = TcpStream::connect(behind).await else { return };
            let (read_front, write_front) = front.into_split();
            let (read_back, write_back) = back.into_split();
            tokio::select! {
                () = requests(read_front, write_back, shut, &waiting) => {}
                () = answers(read_back, write_front) => {}
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut shut: watch::Receiver<bool>,
    waiting: &AtomicUsize,
) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let some = &buffer[..length];
        // A form starts with its action, so the action is never split across two reads.
        let publishes = some.windows(ACTION.len()).any(|window| window == ACTION);
        if publishes && *shut.borrow() {
            waiting.fetch_add(1, Ordering::AcqRel);
            let opened = shut.wait_for(|shut| !shut).await.is_ok();
            waiting.fetch_sub(1, Ordering::AcqRel);
            if !opened {
                return;
            }
        }
        if to.write_all(some).await.is_err() {
            return;
        }
    }
}

/// The start of the form of an SNS PublishBatch call.
const ACTION: &[u8] = b"Action=PublishBatch";

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _cut = tokio::io::copy(&mut from, &mut to).await;
}
