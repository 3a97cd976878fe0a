//! Blocks: alignment, zeroes, sizes that cannot be had, guard pages.

mod child;

use bessemer_runtime::abi::{ALIGN, Status};
use bessemer_runtime::memory::Block;
use child::{End, run_in_child};

#[test]
fn a_block_is_aligned_zeroed_and_writable() {
    for make in [Block::new, Block::guarded] {
        for len in [1, 63, 64, 65, 4095, 4096, 4097, 5 << 20] {
            let mut block = make(len).expect("memory");
            assert_eq!(block.len(), len);
            assert_eq!(block.as_ptr() as usize % ALIGN, 0);
            assert!(block.as_slice().iter().all(|&byte| byte == 0));
            block.as_mut_slice().fill(0xa5);
            assert_eq!(block.as_slice()[len - 1], 0xa5);
        }
    }
}

#[test]
fn a_block_of_no_bytes_is_fine() {
    for make in [Block::new, Block::guarded] {
        let mut block = make(0).expect("no memory needed");
        assert!(block.is_empty());
        assert!(!block.as_ptr().is_null());
        assert_eq!(block.as_ptr() as usize % ALIGN, 0);
        assert_eq!(block.as_mut_slice(), []);
    }
}

#[test]
fn a_size_beyond_the_address_space_is_an_error() {
    for make in [Block::new, Block::guarded] {
        for len in [usize::MAX, usize::MAX - 63, usize::MAX - 4096, isize::MAX as usize, 1 << 62] {
            assert_eq!(make(len).err(), Some(Status::OutOfMemory), "{len} bytes");
        }
    }
}

#[test]
fn a_block_can_be_used_and_dropped_by_another_thread() {
    let mut block = Block::new(1000).expect("memory");
    std::thread::spawn(move || block.as_mut_slice().fill(1)).join().expect("no panic");
}

/// Whether a child that reads and writes the byte lives on.
fn can_touch(byte: *mut u8) -> bool {
    let end = run_in_child(|| {
        // SAFETY: where the byte is not ours, the child is there to be killed.
        unsafe { byte.write_volatile(byte.read_volatile()) };
        true
    });
    assert!(matches!(end, End::Said(true) | End::Signal(libc::SIGSEGV)), "{end:?}");
    end == End::Said(true)
}

#[test]
fn a_guarded_block_ends_at_a_forbidden_page() {
    for len in [0, 64, 4096, 10_048] {
        let block = Block::guarded(len).expect("memory");
        let end = block.as_ptr().wrapping_add(len);
        assert!(len == 0 || can_touch(end.wrapping_sub(1)));
        assert!(!can_touch(end), "{len} bytes");
    }
}

#[test]
fn padding_of_a_guarded_block_is_less_than_the_alignment() {
    let block = Block::guarded(100).expect("memory");
    assert!(can_touch(block.as_ptr().wrapping_add(127)));
    assert!(!can_touch(block.as_ptr().wrapping_add(128)));
}

#[test]
fn a_guarded_block_of_whole_pages_starts_after_a_forbidden_page() {
    let block = Block::guarded(1 << 16).expect("memory");
    assert!(can_touch(block.as_ptr()));
    assert!(!can_touch(block.as_ptr().wrapping_sub(1)));
}
