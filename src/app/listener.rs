//! The socket of the admin endpoint.

use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use tokio::net::TcpListener;

use super::Error;
use crate::config;

/// The address of the admin endpoint, bound before the service starts.
#[derive(Debug)]
pub struct Listener {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Listener {
    /// Binds the configured address.
    ///
    /// # Errors
    /// Returns an error if the address is not free or not of this machine.
    pub async fn bind(settings: &config::Admin) -> Result<Self, Error> {
        let address = settings.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| Error::Listen { address, error })?;
        let address = listener.local_addr().map_err(|error| Error::Listen { address, error })?;
        Ok(Self { listener, address })
    }

    /// Returns a second handle of the listener. Each connection is accepted by one of the two.
    pub(crate) fn second(&self) -> std::io::Result<TcpListener> {
        let handle: std::net::TcpListener = self.listener.as_fd().try_clone_to_owned()?.into();
        TcpListener::from_std(handle)
    }

    /// Returns the address, with the port that the system chose if the configured port is 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
