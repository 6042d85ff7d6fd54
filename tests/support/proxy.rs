//! An HTTP proxy between the service and servers whose names no resolver knows.
//!
//! As many proxies of companies do, it ends the TLS connection itself and shows a certificate of a private authority.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// A running proxy. Dropping it closes its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    seen: Seen,
    /// The certificate of its authority as PEM.
    pub(crate) authority: String,
    _serving: JoinSet<()>,
}

/// The method, and the host and port, of each connection.
type Seen = Arc<Mutex<BTreeSet<String>>>;

/// How a proxy treats connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// The servers behind the proxy, plain HTTP, by the name that the service knows.
    pub(crate) servers: BTreeMap<String, SocketAddr>,
    /// The user and the password, separated by a colon, that a connection needs.
    pub(crate) credentials: Option<&'static str>,
    /// Whether the proxy answers 403 to every connection.
    pub(crate) refuses: bool,
}

impl Proxy {
    pub(crate) async fn start(rules: Rules) -> Self {
        let (tls, authority) = private_authority(rules.servers.keys().cloned().collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let seen = Seen::default();
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, tls, Arc::new(rules), Arc::clone(&seen)));
        Self { address, seen, authority, _serving: serving }
    }

    /// Returns the URL of the proxy, with this user and password if they are not empty.
    pub(crate) fn url(&self, credentials: &str) -> String {
        match credentials {
            "" => format!("http://{}", self.address),
            credentials => format!("http://{credentials}@{}", self.address),
        }
    }

    /// Returns each method with the host and the port that a connection was requested for, sorted.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no thread panicked while it held the lock").iter().cloned().collect()
    }
}

/// Creates an authority and a certificate of it for these hosts.
fn private_authority(hosts: Vec<String>) -> (TlsAcceptor, String) {
    let key = || KeyPair::generate().expect("a key can be generated");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key()).expect("the authority can sign itself");
    let server_key = key();
    let server = CertificateParams::new(hosts).expect("the hosts are names");
    let server = server.signed_by(&server_key, &authority).expect("the authority can sign");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], server_key.into())
        .expect("the key belongs to the certificate");
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, rules: Arc<Rules>, seen: Seen) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (tls, rules, seen) = (tls.clone(), Arc::clone(&rules), Arc::clone(&seen));
        connections.spawn(async move {
            // A client that closes its connection, or does not trust the certificate, is not an error of the proxy.
            let _ended = serve(client, tls, &rules, &seen).await;
        });
    }
}

async fn serve(mut client: TcpStream, tls: TlsAcceptor, rules: &Rules, seen: &Seen) -> io::Result<()> {
    let head = read_head(&mut client).await?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut request_line = text.split(' ');
    let (method, target) = (request_line.next().unwrap_or_default(), request_line.next().unwrap_or_default());
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
    seen.lock().expect("no thread panicked while it held the lock").insert(format!("{method} {authority}"));
    if let Some(status) = refusal(&text, rules) {
        return client.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let Some(server) = rules.servers.get(host) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    };
    let mut server = TcpStream::connect(server).await?;
    if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        let mut client = tls.accept(client).await?;
        copy_bidirectional(&mut client, &mut server).await?;
    } else {
        server.write_all(&head).await?;
        copy_bidirectional(&mut client, &mut server).await?;
    }
    Ok(())
}

/// Reads up to the end of the head of a request, and what arrived with it.
async fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn refusal(head: &str, rules: &Rules) -> Option<&'static str> {
    let expected = rules.credentials.map(|credentials| format!("Basic {}", BASE64_STANDARD.encode(credentials)));
    let sent = head.lines().filter_map(|line| line.split_once(": "));
    let mut sent = sent.filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization")).map(|(_, value)| value);
    match expected {
        Some(expected) if sent.next() != Some(&*expected) => Some("407 Proxy Authentication Required"),
        _ if rules.refuses => Some("403 Forbidden"),
        _ => None,
    }
}
