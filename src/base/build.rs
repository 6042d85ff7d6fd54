//! The version of this build.

/// The version of the crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first digits of the commit that this build is made from; `debug` for a build without optimizations, and `unknown`
/// if neither a repository nor the variable `GIT_HASH` was there.
pub const GIT_HASH: &str = env!("BUILD_GIT_HASH");

/// Both, as `--version` shows them.
pub const VERSION_AND_HASH: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_GIT_HASH"), ")");
