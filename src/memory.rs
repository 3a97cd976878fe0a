//! Whether there is memory.

use bessemer_runtime::abi::Status;

/// Tells whether a block of this many bytes could be had at this moment: large tensors are allocated after it, by code
/// that ends the process where there is no memory.
///
/// # Errors
/// [`Status::OutOfMemory`].
pub fn room(bytes: usize) -> Result<(), Status> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| Status::OutOfMemory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_room_beyond_the_address_space() {
        assert_eq!(room(1 << 20), Ok(()));
        assert_eq!(room(1 << 62), Err(Status::OutOfMemory));
    }
}
