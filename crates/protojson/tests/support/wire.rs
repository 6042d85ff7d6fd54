//! Builds wire bytes record by record: `Wire::new().varint(1, 150).string(2, "x")`.

/// Wire bytes; every call appends one record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire(pub(crate) Vec<u8>);

#[allow(dead_code, reason = "each test binary uses some of these")]
impl Wire {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends bytes unchanged.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn tag(mut self, number: u32, wire_type: u8) -> Self {
        put_varint(&mut self.0, u64::from(number) << 3 | u64::from(wire_type));
        self
    }

    pub(crate) fn varint(mut self, number: u32, value: u64) -> Self {
        self = self.tag(number, 0);
        put_varint(&mut self.0, value);
        self
    }

    /// Appends a signed number as a varint; a negative number takes ten bytes.
    pub(crate) fn signed(self, number: u32, value: i64) -> Self {
        self.varint(number, value.cast_unsigned())
    }

    pub(crate) fn zigzag(self, number: u32, value: i64) -> Self {
        self.varint(number, ((value << 1) ^ (value >> 63)).cast_unsigned())
    }

    pub(crate) fn fixed64(self, number: u32, value: u64) -> Self {
        self.tag(number, 1).raw(&value.to_le_bytes())
    }

    pub(crate) fn fixed32(self, number: u32, value: u32) -> Self {
        self.tag(number, 5).raw(&value.to_le_bytes())
    }

    pub(crate) fn double(self, number: u32, value: f64) -> Self {
        self.fixed64(number, value.to_bits())
    }

    pub(crate) fn float(self, number: u32, value: f32) -> Self {
        self.fixed32(number, value.to_bits())
    }

    pub(crate) fn bytes(mut self, number: u32, value: &[u8]) -> Self {
        self = self.tag(number, 2);
        put_varint(&mut self.0, value.len() as u64);
        self.raw(value)
    }

    pub(crate) fn string(self, number: u32, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    pub(crate) fn message(self, number: u32, value: Wire) -> Self {
        self.bytes(number, &value.0)
    }

    pub(crate) fn group(self, number: u32, value: Wire) -> Self {
        self.tag(number, 3).raw(&value.0).tag(number, 4)
    }

    /// Appends packed varints.
    pub(crate) fn packed(self, number: u32, values: &[u64]) -> Self {
        let mut packed = Vec::new();
        for value in values {
            put_varint(&mut packed, *value);
        }
        self.bytes(number, &packed)
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
