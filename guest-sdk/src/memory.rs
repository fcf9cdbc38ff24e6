//! The allocator of a component: the one that Rust's standard library has for WebAssembly, over memory that the instance is born with.
//!
//! The library's own asks for more memory at the first allocation. Where a host makes a fresh instance for each event or each run of events, it must
//! then map and unmap those pages every time, which costs more than most handlers do. The first [`ARENA_BYTES`] here are part of the instance's
//! initial memory, which a host resets without asking the system; only a handler that needs more grows.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use dlmalloc::Dlmalloc;

/// Bytes that are there before memory grows.
const ARENA_BYTES: usize = 512 << 10;
/// Of WebAssembly.
const PAGE_BYTES: usize = 64 << 10;

#[repr(align(16))]
struct Arena(UnsafeCell<MaybeUninit<[u8; ARENA_BYTES]>>);

// SAFETY: only `Pages` hands out parts of it, each once.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new(MaybeUninit::zeroed()));

/// Where whole pages come from.
struct Pages {
    /// Bytes of the arena that were handed out.
    taken: Cell<usize>,
}

// SAFETY: `alloc` hands out zeroed memory that nobody else has, and nothing is ever taken back.
unsafe impl dlmalloc::Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let pages = size.div_ceil(PAGE_BYTES);
        let bytes = pages.saturating_mul(PAGE_BYTES);
        let taken = self.taken.get();
        if bytes <= ARENA_BYTES.saturating_sub(taken) {
            self.taken.set(taken + bytes);
            // SAFETY: `taken` lies within the arena.
            return (unsafe { ARENA.0.get().cast::<u8>().add(taken) }, bytes, 0);
        }
        match core::arch::wasm32::memory_grow(0, pages) {
            usize::MAX => (core::ptr::null_mut(), 0, 0),
            before => ((before * PAGE_BYTES) as *mut u8, bytes, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        core::ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE_BYTES
    }
}

/// A component has one thread.
struct Global(UnsafeCell<Dlmalloc<Pages>>);

// SAFETY: as above.
unsafe impl Sync for Global {}

// SAFETY: all of it is Dlmalloc's, whose calls never nest.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).free(memory, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(memory, layout.size(), layout.align(), size) }
    }
}

#[global_allocator]
static GLOBAL: Global = Global(UnsafeCell::new(Dlmalloc::new_with_allocator(Pages { taken: Cell::new(0) })));
