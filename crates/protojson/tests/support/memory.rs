//! An allocator that counts, for each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub(crate) struct Counting;

thread_local! {
    static REQUESTS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// How often memory was asked for.
#[allow(dead_code, reason = "each test binary uses some of these")]
pub(crate) fn requests() -> usize {
    REQUESTS.get()
}

/// Bytes that are in use now.
#[allow(dead_code, reason = "each test binary uses some of these")]
pub(crate) fn live() -> isize {
    LIVE.get()
}

/// What a run returns, and how many more bytes were in use at its height than before it.
#[allow(dead_code, reason = "each test binary uses some of these")]
pub(crate) fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = run();
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

fn grow(bytes: usize) {
    let live = LIVE.get() + bytes.cast_signed();
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

fn shrink(bytes: usize) {
    LIVE.set(LIVE.get() - bytes.cast_signed());
}

// SAFETY: every call goes to the system's allocator as it came; counting asks for no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        REQUESTS.set(REQUESTS.get() + 1);
        grow(layout.size());
        // SAFETY: what the caller promises is what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        REQUESTS.set(REQUESTS.get() + 1);
        shrink(layout.size());
        grow(size);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}
