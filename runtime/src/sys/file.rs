//! Small files.

use core::ffi::CStr;

/// Reads as much of the file as fits `buffer` and returns what was read; `None` if it cannot be read.
pub(crate) fn read<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    // SAFETY: `path` ends in a NUL.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    let mut filled = 0;
    let complete = loop {
        let rest = &mut buffer[filled..];
        // SAFETY: `rest` is valid for writes of its length, and `file` is open.
        let count = unsafe { libc::read(file, rest.as_mut_ptr().cast(), rest.len()) };
        match count {
            1.. => filled += count as usize,
            0 => break true,
            _ => break false,
        }
    };
    // SAFETY: `file` is open and ours.
    unsafe { libc::close(file) };
    complete.then_some(&buffer[..filled])
}
