//! The bytes of a descriptor set in force, compressed.
//!
//! The file of a set can change while its version in force stays, for example because the new version was refused. The
//! version in force must still be available to its owner, who compares the new version with it. So its bytes are kept,
//! compressed, which takes less than half of their size in memory.

use std::io::{Cursor, Read, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// The bytes of a descriptor set. A clone shares them.
#[derive(Clone)]
pub struct Compiled(Arc<[u8]>);

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").field("compressed_bytes", &self.0.len()).finish()
    }
}

impl Compiled {
    /// Keeps these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 4 + 64), Compression::fast());
        // Writing to a vector cannot fail.
        let compressed = encoder.write_all(bytes).and_then(|()| encoder.finish());
        Self(compressed.unwrap_or_default().into())
    }

    /// Returns a reader of the bytes, which takes little memory.
    pub fn reader(&self) -> impl Read + use<> {
        DeflateDecoder::new(Cursor::new(Arc::clone(&self.0)))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes).expect("the bytes were compressed by this module");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_kept_has_its_bytes() {
        for bytes in [&b""[..], b"abc", include_bytes!("../../../descriptors/shop.binpb")] {
            let compiled = Compiled::of(bytes);
            assert_eq!(compiled.bytes(), bytes);
        }
        let set = include_bytes!("../../../descriptors/shop.binpb");
        assert!(Compiled::of(set).0.len() * 2 < set.len(), "{:?} of {}", Compiled::of(set), set.len());
    }
}
