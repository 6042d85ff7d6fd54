//! The wire format of the AWS Glue Schema Registry, as its serializer for Protobuf writes it: a version byte, a
//! compression byte, the UUID of the schema version in 16 bytes, then the index of the message as a varint and the
//! message. If the payload is compressed, index and message are.
//! <https://github.com/awslabs/aws-glue-schema-registry>

use std::fmt;

use uuid::Uuid;

/// The number of bytes before the part that can be compressed.
pub(super) const HEADER: usize = 18;

/// The version of the format, which is the first byte.
const VERSION: u8 = 3;
/// The second byte of a payload that is not compressed.
const PLAIN: u8 = 0;
/// The second byte of a payload that is compressed with zlib.
const ZLIB: u8 = 5;

/// The reference to a payload's type in Glue's wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlueReference {
    /// The id of the schema version.
    pub version: Uuid,
    /// The index of the message among all messages of the schema, nested ones included, sorted by full name.
    pub index: u32,
}

impl fmt::Display for GlueReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of Glue schema version {}", self.index, self.version)
    }
}

/// Why a payload is not in Glue's wire format.
#[derive(Debug, thiserror::Error)]
pub enum GlueError {
    /// The payload is shorter than the header.
    #[error("it has fewer than {HEADER} bytes")]
    NoHeader,
    /// The payload does not start with the version byte.
    #[error("it starts with the byte {0:#04x}, not with {VERSION:#04x}")]
    Version(u8),
    /// The compression byte is unknown.
    #[error("its compression byte is {0:#04x}, not {PLAIN:#04x} (none) or {ZLIB:#04x} (zlib)")]
    Compression(u8),
    /// The index of the message is cut off or too large.
    #[error("behind its header there is no valid index of a message")]
    Index,
}

/// The header before the part that can be compressed.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) version: Uuid,
    pub(super) is_compressed: bool,
}

pub(super) fn header(payload: &[u8]) -> Result<Header, GlueError> {
    let ([version, compression, id @ ..], _) = payload.split_first_chunk::<HEADER>().ok_or(GlueError::NoHeader)?;
    if *version != VERSION {
        return Err(GlueError::Version(*version));
    }
    let is_compressed = match *compression {
        PLAIN => false,
        ZLIB => true,
        other => return Err(GlueError::Compression(other)),
    };
    Ok(Header { version: Uuid::from_bytes(*id), is_compressed })
}

/// Reads the index before the message. Returns the index and the number of its bytes.
pub(super) fn index(payload: &[u8]) -> Result<(u32, usize), GlueError> {
    let mut rest = payload;
    let index = prost::encoding::decode_varint(&mut rest).map_err(|_| GlueError::Index)?;
    Ok((u32::try_from(index).map_err(|_| GlueError::Index)?, payload.len() - rest.len()))
}
