//! The HTTP proxies that the environment names, and which of them leads to an address.
//!
//! The variables are those of curl and of the AWS CLI: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. The lower-case name
//! takes precedence over the upper-case one, and an empty value turns the proxy off. `ALL_PROXY` is not read, as in the
//! AWS CLI.
//!
//! Loopback addresses and the metadata services of EC2, ECS and EKS are always reached directly: a proxy on another
//! machine cannot reach them, or would answer with the credentials of that machine.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use aws_smithy_http_client::proxy::ProxyConfig;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// The variables of the proxy for `https://` addresses, in the order of their precedence.
const HTTPS: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
/// The variables of the proxy for `http://` addresses, in the order of their precedence.
const HTTP: [&str; 2] = ["http_proxy", "HTTP_PROXY"];
/// The variables of the hosts that are reached directly, in the order of their precedence.
const NO: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Why a variable does not name a proxy. The value is not quoted, because it can contain a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{variable}: {why}; set it to the URL of a proxy, such as http://proxy.example.com:3128, or unset it")]
pub struct InvalidProxy {
    /// The variable, as the user has spelled it.
    variable: &'static str,
    why: String,
}

/// A proxy that a variable names. It is displayed without its credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    variable: &'static str,
    url: Uri,
}

impl Proxy {
    fn new(variable: &'static str, value: &str) -> Result<Self, InvalidProxy> {
        let invalid = |why: String| InvalidProxy { variable, why };
        let text = match value.contains("://") {
            true => value.to_owned(),
            false => format!("http://{value}"),
        };
        let url: Uri = text.parse().map_err(|error| match value.contains('@') {
            true => invalid(format!("is not a URL ({error}); percent-encode special characters of user and password")),
            false => invalid(format!("is not a URL ({error})")),
        })?;
        match url.scheme_str() {
            Some("http" | "https") => {}
            other => return Err(invalid(format!("proxies of the kind `{}` are not supported", other.unwrap_or("")))),
        }
        if url.host().is_none_or(str::is_empty) {
            return Err(invalid("names no host".to_owned()));
        }
        // The parser accepts any text after the colon.
        let server = url.authority().map_or("", |authority| authority.as_str()).rsplit('@').next().unwrap_or_default();
        if Some(server) != url.host() && url.port_u16().is_none() {
            return Err(invalid("its port is not a number from 0 to 65535".to_owned()));
        }
        Ok(Self { variable, url })
    }

    /// Returns the setting of connectors that go through this proxy.
    pub(super) fn config(&self) -> ProxyConfig {
        // The same checks as those of `new`.
        ProxyConfig::all(self.url.clone()).expect("the URL of the proxy is valid")
    }

    /// Returns the name of the variable that names the proxy.
    pub(super) fn variable(&self) -> &'static str {
        self.variable
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority) = (self.url.scheme_str().unwrap_or("http"), self.url.authority());
        match authority.map_or("", |authority| authority.as_str()).rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}://***@{host} ({})", self.variable),
            None => write!(f, "{scheme}://{} ({})", authority.map_or("", |it| it.as_str()), self.variable),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The proxies of one process. By default there are none.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    https: Option<Arc<Proxy>>,
    http: Option<Arc<Proxy>>,
    /// Decides by the exceptions of `NO_PROXY`.
    matcher: Option<Arc<Matcher>>,
    /// The value of `NO_PROXY`.
    exceptions: Option<String>,
}

impl Proxies {
    /// Reads the variables of the proxies.
    ///
    /// # Errors
    /// Returns an error if a variable has a value that is not the URL of an HTTP proxy.
    pub(super) fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidProxy> {
        let first = |names: [&'static str; 2]| {
            let found = names.into_iter().find_map(|name| Some((name, variable(name)?)));
            found.map(|(name, value)| (name, value.trim().to_owned())).filter(|(_, value)| !value.is_empty())
        };
        let proxy = |names| {
            let proxy = first(names).map(|(name, value)| Proxy::new(name, &value)).transpose()?;
            Ok::<_, InvalidProxy>(proxy.map(Arc::new))
        };
        let (https, http) = (proxy(HTTPS)?, proxy(HTTP)?);
        if https.is_none() && http.is_none() {
            return Ok(Self::default());
        }
        let exceptions = first(NO).map(|(_, value)| value);
        let mut matcher = Matcher::builder().no(matched(exceptions.as_deref().unwrap_or_default()));
        if let Some(proxy) = &https {
            matcher = matcher.https(proxy.url.to_string());
        }
        if let Some(proxy) = &http {
            matcher = matcher.http(proxy.url.to_string());
        }
        Ok(Self { https, http, matcher: Some(Arc::new(matcher.build())), exceptions })
    }

    /// Returns the proxy that leads to this address, or `None` if the address is reached directly.
    pub(super) fn find(&self, address: &Uri) -> Option<&Arc<Proxy>> {
        let matcher = self.matcher.as_ref()?;
        if is_always_direct(address.host()?) || matcher.intercept(address).is_none() {
            return None;
        }
        match address.scheme_str() {
            Some("https") => self.https.as_ref(),
            _ => self.http.as_ref(),
        }
    }

    /// Whether there is no proxy.
    pub(super) fn is_empty(&self) -> bool {
        self.matcher.is_none()
    }

    /// Returns the proxy for `https://` addresses.
    pub fn https(&self) -> Option<&Arc<Proxy>> {
        self.https.as_ref()
    }

    /// Returns the proxy for `http://` addresses.
    pub fn http(&self) -> Option<&Arc<Proxy>> {
        self.http.as_ref()
    }

    /// Returns the value of `NO_PROXY`, if there is a proxy and an exception from it.
    pub fn exceptions(&self) -> Option<&str> {
        self.exceptions.as_deref()
    }
}

/// Returns the exceptions in the form that the matcher reads: separated by commas, and `.internal` instead of
/// `*.internal`.
fn matched(exceptions: &str) -> String {
    let entries = exceptions.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
    let entries = entries.map(|entry| if entry.starts_with("*.") { &entry[1..] } else { entry });
    entries.collect::<Vec<_>>().join(",")
}

/// Whether a host is this machine or one of its metadata services: 169.254.169.254 and fd00:ec2::254 of EC2,
/// 169.254.170.2 of ECS, 169.254.170.23 and fd00:ec2::23 of EKS.
fn is_always_direct(host: &str) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.segments()[..7] == METADATA.segments()[..7],
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, String> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Proxies::new(find).map_err(|error| error.to_string())
    }

    /// Returns the proxy that leads to `address`, without its variable.
    fn route(variables: &[(&str, &str)], address: &str) -> String {
        let proxies = proxies(variables).unwrap();
        let proxy = proxies.find(&address.parse().unwrap()).map(ToString::to_string);
        proxy.map_or_else(|| "direct".to_owned(), |text| text.split(' ').next().unwrap().to_owned())
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let both = [("HTTPS_PROXY", "http://secure:3128"), ("HTTP_PROXY", "plain:8080")];
        assert_eq!(route(&both, "https://sqs.eu-west-1.amazonaws.com/q"), "http://secure:3128");
        assert_eq!(route(&both, "http://registry.example.com:8081/"), "http://plain:8080");
        assert_eq!(route(&both[..1], "http://registry.example.com:8081/"), "direct");
        assert_eq!(route(&[], "https://sqs.eu-west-1.amazonaws.com/q"), "direct");
    }

    #[test]
    fn the_lower_case_variable_takes_precedence() {
        let both = [("HTTPS_PROXY", "upper:1"), ("https_proxy", "lower:2")];
        assert_eq!(route(&both, "https://a.example.com"), "http://lower:2");
        let off = [("HTTPS_PROXY", "upper:1"), ("https_proxy", "")];
        assert_eq!(route(&off, "https://a.example.com"), "direct", "an empty value turns the proxy off");
        let except = [("HTTPS_PROXY", "upper:1"), ("NO_PROXY", "b.example.com"), ("no_proxy", "a.example.com")];
        assert_eq!(route(&except, "https://a.example.com"), "direct");
        assert_eq!(route(&except, "https://b.example.com"), "http://upper:1");
    }

    #[test]
    fn an_exception_covers_a_domain_an_address_or_a_network() {
        let except = |exceptions: &str, address: &str| {
            let variables = [("HTTPS_PROXY", "proxy:1"), ("HTTP_PROXY", "proxy:1"), ("NO_PROXY", exceptions)];
            route(&variables, address) == "direct"
        };
        let list = "example.com, .internal *.svc.cluster.local,10.1.0.0/16,192.0.2.7,2001:db8::/32";
        for address in [
            "https://example.com",
            "https://a.example.com:8443/path",
            "http://EXAMPLE.com",
            "https://registry.internal",
            "http://otel.monitoring.svc.cluster.local:4318",
            "https://10.1.255.3",
            "https://192.0.2.7",
            "https://[2001:db8::7]:443",
        ] {
            assert!(except(list, address), "{address}");
        }
        for address in ["https://notexample.com", "https://10.2.0.1", "https://192.0.2.8", "http://internal.org"] {
            assert!(!except(list, address), "{address}");
        }
        assert!(except("*", "https://anything.example.org"));
        assert!(!except("", "https://anything.example.org"));
    }

    #[test]
    fn this_machine_and_metadata_services_are_always_reached_directly() {
        let variables = [("HTTPS_PROXY", "proxy:1"), ("HTTP_PROXY", "proxy:1")];
        for address in [
            "http://127.0.0.1:4566",
            "http://[::1]:4566",
            "http://localhost:4566",
            "http://LOCALHOST",
            "http://sqs.localhost:4566",
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2/credentials",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/latest/api/token",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert_eq!(route(&variables, address), "direct", "{address}");
        }
        for address in ["http://10.0.0.1", "http://[fd00:ec2:1::254]", "http://notlocalhost"] {
            assert_eq!(route(&variables, address), "http://proxy:1", "{address}");
        }
    }

    #[test]
    fn an_invalid_proxy_is_named_without_its_password() {
        let error = |value: &str| proxies(&[("https_proxy", value)]).unwrap_err();
        let way_out = "; set it to the URL of a proxy, such as http://proxy.example.com:3128, or unset it";
        assert_eq!(
            error("socks5://proxy:1080"),
            format!("https_proxy: proxies of the kind `socks5` are not supported{way_out}")
        );
        assert_eq!(error("http://"), format!("https_proxy: is not a URL (empty string){way_out}"));
        for value in ["http://me:hunter2 @proxy:1", "me:hunter2@proxy:port", "http://me:hunter2@:3128"] {
            let error = error(value);
            assert!(error.starts_with("https_proxy: ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_proxy_is_shown_without_its_credentials() {
        let proxies = proxies(&[("HTTPS_PROXY", "http://me:hunter2@proxy.example.com:3128/")]).unwrap();
        assert_eq!(proxies.https().unwrap().to_string(), "http://***@proxy.example.com:3128 (HTTPS_PROXY)");
        assert!(!format!("{proxies:?}").contains("hunter2"), "{proxies:?}");
    }
}
