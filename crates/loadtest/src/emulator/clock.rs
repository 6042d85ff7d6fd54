//! The emulator's unit of time.

/// Microseconds since the emulator started.
pub(super) type Micros = u64;
