//! The sources of events, as their heartbeats show them.
