//! Saving and loading of all that an instance has learnt.
//!
//! A checkpoint is a safetensors file: eight bytes with the length of a header, the header, and the elements of all
//! variables, little-endian. The header is JSON: an object with one member for each variable, and `__metadata__`:
//!
//! | key | value |
//! |---|---|
//! | `bessemer.model` | name of the program |
//! | `bessemer.fingerprint` | [that](crate::abi::ProgramRecord::checkpoint) of names and types of all variables, 16 hexadecimal digits |
//! | `bessemer.seed`, `bessemer.step` | seed and step, decimal |
//! | `bessemer.checksum` | that of the whole file with 16 zeros in this place, 16 hexadecimal digits |
//!
//! - `save` writes one, so that at any moment the old or the new one is there;
//! - `load` reads one, so that all of it is taken or nothing;
//! - `json` reads headers; `checksum` is the checksum.
//!
//! Reference: <https://huggingface.co/docs/safetensors>.

mod checksum;
mod json;
mod load;
mod save;

pub use load::load;
pub use save::save;

#[cfg(target_endian = "big")]
compile_error!("checkpoints are little-endian, and variables are written as they lie in memory");

/// Bytes in front of the header: its length.
const PREFIX: usize = 8;

/// The largest header that is read, in bytes: what the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// Digits of a checksum or fingerprint.
const DIGITS: usize = 16;
