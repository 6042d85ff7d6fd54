//! The variables that Kubernetes sets for Services:
//! <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.

/// Whether a variable is one that Kubernetes sets for a Service. `path` is its name without the prefix.
pub(super) fn is_service_variable(path: &str, value: &str) -> bool {
    let ends_in = |part: &str| path == part || path.strip_suffix(part).is_some_and(|name| name.ends_with('_'));
    let holds = |part: &str| path.starts_with(part) || path.contains(&format!("_{part}"));
    ends_in("SERVICE_HOST")
        || ends_in("SERVICE_PORT")
        || holds("SERVICE_PORT_")
        || (ends_in("PORT") && value.contains("://"))
        || is_docker_link(path)
}

/// Whether `path` ends in `PORT_8080_TCP` or the like, with or without `_ADDR`, `_PORT` or `_PROTO`.
fn is_docker_link(path: &str) -> bool {
    let path = ["_ADDR", "_PORT", "_PROTO"].iter().find_map(|part| path.strip_suffix(part)).unwrap_or(path);
    let Some(path) = ["_TCP", "_UDP", "_SCTP"].iter().find_map(|protocol| path.strip_suffix(protocol)) else {
        return false;
    };
    let name = path.trim_end_matches(|c: char| c.is_ascii_digit());
    name.len() < path.len() && (name == "PORT_" || name.ends_with("_PORT_"))
}
