//! The frame that a kernel's task gets: an array of u64.
//!
//! ```text
//! [0]  pointer to the context
//! [1]  base of the per-worker scratch, aligned to 64
//! [2]  bytes of it per worker, a multiple of 64
//! [3+] base pointers of the kernel's buffers, in the order of `EmittedKernel::buffers`
//! [.]  behind them the batch size, if the function depends on one
//! ```

/// Offset of the pointer to the context, in bytes.
pub const CONTEXT: usize = 0;
/// Offset of the base of the per-worker scratch, in bytes.
pub const WORKER_BASE: usize = 8;
/// Offset of the number of bytes of scratch per worker, in bytes.
pub const WORKER_STRIDE: usize = 16;

/// Offset of the `n`-th buffer's base pointer, in bytes.
pub const fn buffer(n: usize) -> usize {
    24 + 8 * n
}

/// Offset of the batch size in the frame of a kernel with this many buffers, in bytes.
pub const fn batch(buffers: usize) -> usize {
    buffer(buffers)
}

/// Size in bytes of the frame of a kernel with this many buffers.
pub const fn size(buffers: usize) -> usize {
    batch(buffers) + 8
}
