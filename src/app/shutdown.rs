//! The signals to the service: SIGTERM and SIGINT stop it, SIGHUP reloads its files.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for signals from its creation on, so that none is missed between two waits.
#[derive(Debug)]
pub struct Signals {
    /// SIGTERM and SIGINT (Ctrl-C).
    pub stop: StopSignals,
    /// SIGHUP.
    pub reload: ReloadSignal,
}

/// Listens for SIGTERM and SIGINT (Ctrl-C).
#[derive(Debug)]
pub struct StopSignals {
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    interrupt: Signal,
}

/// Listens for SIGHUP.
#[derive(Debug)]
pub struct ReloadSignal {
    #[cfg(unix)]
    hangup: Signal,
}

impl Signals {
    /// Starts to listen. From then on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// Returns an error if the process cannot listen for signals.
    pub fn new() -> io::Result<Self> {
        let reload = ReloadSignal {
            #[cfg(unix)]
            hangup: signal(SignalKind::hangup())?,
        };
        Ok(Self { stop: StopSignals::new()?, reload })
    }
}

impl StopSignals {
    /// Starts to listen. From then on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// Returns an error if the process cannot listen for signals.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal, and returns its name.
    pub async fn next(&mut self) -> &'static str {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
        #[cfg(not(unix))]
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            // The process cannot listen for signals, so none ever arrives.
            Err(_) => std::future::pending().await,
        }
    }
}

impl ReloadSignal {
    /// Waits for the next SIGHUP.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        {
            self.hangup.recv().await;
        }
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}
