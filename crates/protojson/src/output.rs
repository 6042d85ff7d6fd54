//! The buffer that collects the JSON.
//!
//! Most appended pieces are a few bytes: a key, a quote, a number. Copying a piece of variable length costs a function
//! call, and checking the capacity costs more than the copy. The buffer therefore keeps initialized bytes behind its
//! end. A short piece is copied as a chunk of fixed size that can reach past the end of the piece; the next piece
//! overwrites the excess.
//!
//! The buffer has a limit, but it does not enforce the limit byte by byte. Writing never fails. The engine asks
//! [`Output::is_over`] wherever the amount written since the last check can depend on the payload: behind each message,
//! list element, map entry and chunk of packed values. Long texts ask [`Output::left`] before they are written.

/// The minimum number of bytes by which the room grows. It is small, so that few bytes are initialized without being
/// used.
const STEP: usize = 1024;

/// The bytes written so far, followed by initialized room.
#[derive(Debug)]
pub(crate) struct Output {
    /// The written bytes and the room; the bytes from `len` on have no meaning.
    bytes: Vec<u8>,
    len: usize,
    /// The maximum of `len`.
    limit: usize,
}

impl Default for Output {
    /// Creates an empty output without a limit.
    fn default() -> Self {
        Self { bytes: Vec::new(), len: 0, limit: usize::MAX }
    }
}

impl Output {
    /// Continues after the contents of `bytes`, with room for about `expected` more bytes. `limit` is the maximum number
    /// of bytes that are appended.
    pub(crate) fn new(mut bytes: Vec<u8>, expected: usize, limit: usize) -> Self {
        let len = bytes.len();
        bytes.resize(len + expected.min(STEP) + 192, 0);
        Self { bytes, len, limit: len.saturating_add(limit) }
    }

    /// Whether the written bytes exceed the limit.
    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        self.len > self.limit
    }

    /// Returns the number of bytes that can be written within the limit.
    #[inline(always)]
    pub(crate) fn left(&self) -> usize {
        self.limit.saturating_sub(self.len)
    }

    /// Replaces the limit, a position in the buffer, and returns the one before.
    pub(crate) fn replace_limit(&mut self, limit: usize) -> usize {
        std::mem::replace(&mut self.limit, limit)
    }

    /// Returns the written bytes.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Removes everything after the first `len` bytes.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Returns the bytes written from `start` on.
    pub(crate) fn since(&self, start: usize) -> &[u8] {
        &self.bytes[start..self.len]
    }

    /// Returns the next `N` bytes for writing. [`Output::advance`] then makes some of them part of the output.
    #[inline(always)]
    pub(crate) fn room<const N: usize>(&mut self) -> &mut [u8; N] {
        if self.bytes.len() - self.len < N {
            self.grow(N);
        }
        let room = &mut self.bytes[self.len..];
        room.first_chunk_mut().expect("the buffer has room for N bytes")
    }

    /// Returns a pen for one short text of at most [`Pen::ROOM`] bytes. The caller must pass the pen's length to
    /// [`Output::advance`].
    #[inline(always)]
    pub(crate) fn pen(&mut self) -> Pen<'_> {
        Pen { window: self.room(), at: 0 }
    }

    #[inline(always)]
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Pen<'_>)) {
        let mut pen = self.pen();
        write(&mut pen);
        self.len += pen.at;
    }

    /// Writes short texts, one after the other, until `write` returns `false`. Returns `false` if the output exceeded the
    /// limit before that; the check comes with each growth of the buffer.
    #[inline(always)]
    pub(crate) fn write_all<E>(&mut self, mut write: impl FnMut(&mut Pen<'_>) -> Result<bool, E>) -> Result<bool, E> {
        loop {
            let room = &mut self.bytes[self.len..];
            let mut written = 0;
            while let Some(window) = room.get_mut(written..).and_then(|room| room.first_chunk_mut()) {
                let mut pen = Pen { window, at: 0 };
                let goes_on = write(&mut pen)?;
                written += pen.at;
                if !goes_on {
                    self.len += written;
                    return Ok(true);
                }
            }
            self.len += written;
            if self.is_over() {
                return Ok(false);
            }
            self.grow(Pen::WINDOW);
        }
    }

    /// Returns all the room behind the end.
    #[inline(always)]
    pub(crate) fn all_room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    /// Returns all the room behind the end, at least `len` bytes.
    #[inline(always)]
    pub(crate) fn at_least(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < len {
            self.grow(len);
        }
        &mut self.bytes[self.len..]
    }

    #[inline(always)]
    pub(crate) fn advance(&mut self, len: usize) {
        self.len += len;
    }

    /// Writes the brackets of an object or a list. The opening bracket overwrites the comma before the first element.
    #[inline(always)]
    pub(crate) fn close(&mut self, open: usize, brackets: [u8; 2]) {
        let [first, last] = brackets;
        if self.len == open {
            return self.extend(&brackets);
        }
        self.bytes[open] = first;
        self.push(last);
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        self.bytes.resize(self.len + more + STEP, 0);
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, byte: u8) {
        *self.room::<1>() = [byte];
        self.len += 1;
    }

    /// Appends a constant.
    #[inline(always)]
    pub(crate) fn extend<const N: usize>(&mut self, bytes: &[u8; N]) {
        *self.room::<N>() = *bytes;
        self.len += N;
    }

    /// Appends the first `len` bytes of a chunk.
    #[inline(always)]
    pub(crate) fn chunk<const N: usize>(&mut self, chunk: &[u8; N], len: usize) {
        *self.room::<N>() = *chunk;
        self.len += len;
    }

    /// Appends a label.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn label(&mut self, label: &Label) {
        match label {
            Label::Short { chunk, len } => self.chunk(chunk, usize::from(*len)),
            Label::Long(bytes) => self.extend_from_slice(bytes),
        }
    }

    /// Appends any number of bytes.
    #[inline]
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end > self.bytes.len() {
            self.grow(bytes.len());
        }
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Runs `append` on the bytes as a plain vector.
    pub(crate) fn with_vec<T>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.bytes.truncate(self.len);
        let result = append(&mut self.bytes);
        self.len = self.bytes.len();
        result
    }
}

/// Text that is appended often: the key of a field or the name of an enum value.
#[derive(Debug)]
pub(crate) enum Label {
    Short { chunk: [u8; Self::SHORT], len: u8 },
    Long(Box<[u8]>),
}

impl Label {
    const SHORT: usize = 32;

    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        if bytes.len() > Self::SHORT {
            return Self::Long(bytes.into());
        }
        let mut chunk = [0; Self::SHORT];
        chunk[..bytes.len()].copy_from_slice(&bytes);
        Self::Short { chunk, len: bytes.len() as u8 }
    }
}

/// Writes one short text into a window that always has enough room.
#[derive(Debug)]
pub(crate) struct Pen<'o> {
    window: &'o mut [u8; Pen::WINDOW],
    at: usize,
}

impl<'o> Pen<'o> {
    /// The maximum length of a text, in bytes.
    pub(crate) const ROOM: usize = 32;
    pub(crate) const WINDOW: usize = 2 * Self::ROOM;

    pub(crate) fn new(window: &'o mut [u8; Pen::WINDOW]) -> Self {
        Self { window, at: 0 }
    }

    /// Returns the number of bytes written.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    /// Writes the first `len` bytes of a chunk.
    #[inline(always)]
    pub(crate) fn chunk<const N: usize>(&mut self, chunk: &[u8; N], len: usize) {
        const { assert!(N <= Self::ROOM) };
        // This holds anyway; the operation only tells the compiler, which then omits a bounds check.
        let at = self.at % Self::ROOM;
        self.window[at..at + N].copy_from_slice(chunk);
        self.at += len;
    }

    #[inline(always)]
    pub(crate) fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.chunk(bytes, N);
    }

    /// Writes a few bytes, one by one.
    pub(crate) fn slice(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.put(&[*byte]);
        }
    }

    /// Writes 2 to 32 bytes.
    #[inline(always)]
    pub(crate) fn short(&mut self, bytes: &[u8]) {
        // Copies two chunks that overlap.
        let len = bytes.len();
        let start = self.at;
        if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
            self.chunk(first, len - 16);
            self.put(last);
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            self.chunk(first, len - 8);
            self.put(last);
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            self.chunk(first, len - 4);
            self.put(last);
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<2>(), bytes.last_chunk::<2>()) {
            self.chunk(first, len - 2);
            self.put(last);
        }
        self.at = start + len;
    }
}
