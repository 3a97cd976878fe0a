//! Files.

use super::c;
use core::ffi::{CStr, c_int};
use core::fmt;

/// Why the system refused something, as a number of the C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(c_int);

impl Errno {
    /// Why the call that just failed on this thread did.
    fn last() -> Errno {
        // SAFETY: the C library gives the address of an integer of this thread.
        Errno(unsafe { *c::__errno_location() })
    }

    /// Whether a file of this name was there already.
    pub(crate) fn is_taken(self) -> bool {
        self.0 == c::EEXIST
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 128];
        // SAFETY: `text` is valid for writes of its length.
        let found = unsafe { c::__xpg_strerror_r(self.0, text.as_mut_ptr().cast(), text.len()) };
        let text = CStr::from_bytes_until_nul(&text).ok().and_then(|text| text.to_str().ok());
        match text {
            Some(text) if found == 0 => f.write_str(text),
            _ => write!(f, "error {}", self.0),
        }
    }
}

/// An open file, closed when dropped.
#[derive(Debug)]
pub(crate) struct File(c_int);

impl File {
    /// Opens a file to be read.
    pub(crate) fn open(path: &CStr) -> Result<File, Errno> {
        // Without blocking, for a pipe that nobody writes to would hold the caller forever.
        // SAFETY: `path` ends in a NUL.
        let file = unsafe { c::open(path.as_ptr(), c::O_RDONLY | c::O_CLOEXEC | c::O_NONBLOCK) };
        if file < 0 { Err(Errno::last()) } else { Ok(File(file)) }
    }

    /// Makes a file that is not there yet, to be written.
    pub(crate) fn create_new(path: &CStr) -> Result<File, Errno> {
        let flags = c::O_WRONLY | c::O_CREAT | c::O_EXCL | c::O_CLOEXEC;
        // SAFETY: `path` ends in a NUL, and the mode that O_CREAT asks for is there.
        let file = unsafe { c::open(path.as_ptr(), flags, c::NEW_FILE_MODE) };
        if file < 0 { Err(Errno::last()) } else { Ok(File(file)) }
    }

    /// Bytes in the file. Moves the position to the start.
    pub(crate) fn size(&self) -> Result<u64, Errno> {
        // SAFETY: the file is open and ours.
        let end = unsafe { c::lseek(self.0, 0, c::SEEK_END) };
        // SAFETY: as above.
        let start = unsafe { c::lseek(self.0, 0, c::SEEK_SET) };
        if start != 0 { Err(Errno::last()) } else { u64::try_from(end).map_err(|_| Errno::last()) }
    }

    /// Reads until `buffer` is full or the file ends; how many bytes were read.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            // SAFETY: `rest` is valid for writes of its length, and the file is open.
            let count = unsafe { c::read(self.0, rest.as_mut_ptr().cast(), rest.len()) };
            match count {
                1.. => filled += count as usize,
                0 => break,
                _ if Errno::last().0 == c::EINTR => {}
                _ => return Err(Errno::last()),
            }
        }
        Ok(filled)
    }

    /// Writes all the bytes.
    pub(crate) fn write(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            // SAFETY: `bytes` is valid for reads of its length, and the file is open.
            let count = unsafe { c::write(self.0, bytes.as_ptr().cast(), bytes.len()) };
            match usize::try_from(count) {
                Ok(count) => bytes = &bytes[count.min(bytes.len())..],
                Err(_) if Errno::last().0 == c::EINTR => {}
                Err(_) => return Err(Errno::last()),
            }
        }
        Ok(())
    }

    /// Waits until what was written is on the disk.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        // SAFETY: the file is open and ours.
        let result = unsafe { c::fsync(self.0) };
        if result == 0 { Ok(()) } else { Err(Errno::last()) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Whatever could fail here was found by `sync` before.
        // SAFETY: the file is open and ours.
        unsafe { c::close(self.0) };
    }
}

/// Reads as much of the file as fits `buffer` and returns what was read; `None` if it cannot be read.
pub(crate) fn read<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let count = File::open(path).ok()?.read(buffer).ok()?;
    Some(&buffer[..count])
}

/// Gives a file another name; one that had this name is no more, at once.
pub(crate) fn rename(from: &CStr, to: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths end in a NUL.
    let result = unsafe { c::rename(from.as_ptr(), to.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(Errno::last()) }
}

/// Removes a file. A wish: nothing depends on the outcome.
pub(crate) fn remove(path: &CStr) {
    // SAFETY: `path` ends in a NUL.
    unsafe { c::unlink(path.as_ptr()) };
}

/// Waits until the names in a folder are on the disk. File systems that cannot are none the worse.
pub(crate) fn sync_folder(path: &CStr) -> Result<(), Errno> {
    match File::open(path)?.sync() {
        Err(Errno(c::EINVAL)) => Ok(()),
        result => result,
    }
}

/// A number that no other living process has.
pub(crate) fn process_id() -> u32 {
    // SAFETY: no argument is a pointer.
    unsafe { c::getpid() }.unsigned_abs()
}
