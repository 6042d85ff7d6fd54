//! A gate in front of an emulator. While it is shut, publishes wait there; everything else passes.
//!
//! That makes "in flight" a state that a test can enter, look at and leave, where it otherwise lasts a millisecond.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait;

/// Forwards connections to an emulator. They are cut when it is dropped.
#[derive(Debug)]
pub(crate) struct Gate {
    address: SocketAddr,
    shut: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    _forwarding: JoinSet<()>,
}

impl Gate {
    /// An open gate in front of this base URL.
    pub(crate) async fn in_front_of(endpoint_url: &str) -> Self {
        let behind: SocketAddr = endpoint_url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()
            .expect("emulators listen on a loopback address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let (shut, state) = watch::channel(false);
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut forwarding = JoinSet::new();
        forwarding.spawn(accept(listener, behind, state, Arc::clone(&waiting)));
        Self { address, shut, waiting, _forwarding: forwarding }
    }

    /// The base URL to use in place of the emulator's.
    pub(crate) fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, publishes wait.
    pub(crate) fn shut(&self) {
        self.shut.send_replace(true);
    }

    /// Lets pass what waits, and everything from now on.
    pub(crate) fn open(&self) {
        self.shut.send_replace(false);
    }

    /// Returns when a publish waits.
    pub(crate) async fn someone_waits(&self) {
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
        // A form starts with its action, so this is never split.
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

/// How the form of a batch of SNS starts.
const ACTION: &[u8] = b"Action=PublishBatch";

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _cut = tokio::io::copy(&mut from, &mut to).await;
}
