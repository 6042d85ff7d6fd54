//! The lines of the log that are about one message. Each of them names the message and, once it is known, the event.

/// Logs a line about an [`InFlightMessage`](super::in_flight::InFlightMessage). The line has the message id, the queue
/// and, once they are known, the type and the id of the event, besides the fields that are given.
macro_rules! log_about {
    ($level:ident, $about:expr, $($line:tt)+) => {
        ::tracing::$level!(
            message_id = $about.message.message_id,
            event_type = $about.event_type.as_ref().map(|known| &*known.name),
            event_id = $about.event_id.as_ref().map($crate::message::EventId::as_str),
            queue = $about.message.queue.label,
            $($line)+
        )
    };
}

/// Like [`log_about`], at most as often as `limit` permits. A line beyond the limit is logged at the level `debug`, so
/// that the log at this level has a line about every message.
macro_rules! log_about_limited {
    ($level:ident, $limit:expr, $about:expr, $($line:tt)+) => {
        match $limit.permit() {
            Some(suppressed) => log_about!($level, $about, suppressed, $($line)+),
            None => log_about!(debug, $about, $($line)+),
        }
    };
}

pub(super) use {log_about, log_about_limited};
