//! The codes that entry points and this crate's functions return.

use core::fmt;

/// How a call ended. As a number it is the `i32` that an entry point returns and that the C header names.
///
/// Codes are never renumbered; new ones are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    /// The call did what it should.
    Ok = 0,
    /// A label, gather or scatter index was out of range. Variables are as they were before the call.
    IndexOutOfRange = 1,
    /// An argument is not one that the function accepts.
    InvalidArgument = 2,
    /// Another call on the same instance overlaps this one, and one of the two assigns variables.
    Busy = 3,
    /// Memory could not be had, or the size exceeds the address space.
    OutOfMemory = 4,
    /// The caller and the code were built for different versions of the ABI.
    AbiMismatch = 5,
    /// The state belongs to another program.
    ProgramMismatch = 6,
    /// This CPU lacks instructions that the code was compiled for.
    UnsupportedCpu = 7,
    /// A file could not be read or written.
    Io = 8,
    /// The program has no such variable, entry point or input.
    NotFound = 9,
    /// The caller's abort hook asked for the call to end. Variables are as they were before the call.
    Aborted = 10,
    /// The system refused to start a thread.
    NoThreads = 11,
    /// A code that this version of the runtime does not know.
    Unknown = 12,
    /// The code was not compiled for this batch size.
    BatchSize = 13,
    /// A file is not what it should be: not of its format, truncated or damaged.
    Malformed = 14,
}

impl Status {
    /// Every status, in the order of the codes.
    pub const ALL: [Status; 15] = [
        Status::Ok,
        Status::IndexOutOfRange,
        Status::InvalidArgument,
        Status::Busy,
        Status::OutOfMemory,
        Status::AbiMismatch,
        Status::ProgramMismatch,
        Status::UnsupportedCpu,
        Status::Io,
        Status::NotFound,
        Status::Aborted,
        Status::NoThreads,
        Status::Unknown,
        Status::BatchSize,
        Status::Malformed,
    ];

    /// The number that crosses the C border.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status of a number that an entry point returned; [`Status::Unknown`] if there is no such code.
    pub const fn from_code(code: i32) -> Status {
        let position = if code < 0 || code as usize >= Status::ALL.len() { 12 } else { code as usize };
        Status::ALL[position]
    }

    /// One line for a person: lower case, no full stop.
    pub const fn text(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::IndexOutOfRange => "index out of range",
            Status::InvalidArgument => "invalid argument",
            Status::Busy => "another call on this instance overlaps this one",
            Status::OutOfMemory => "out of memory",
            Status::AbiMismatch => "code and runtime were built for different versions of the ABI",
            Status::ProgramMismatch => "the state belongs to another program",
            Status::UnsupportedCpu => "this CPU lacks instructions that the code was compiled for",
            Status::Io => "a file could not be read or written",
            Status::NotFound => "no such name in this program",
            Status::Aborted => "the call was aborted by its caller",
            Status::NoThreads => "the system refused to start a thread",
            Status::Unknown => "unknown status code",
            Status::BatchSize => "the code was not compiled for this batch size",
            Status::Malformed => "the file is not of its format, truncated or damaged",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for code in 0..=Status::Malformed.code() {
            assert_eq!(Status::from_code(code).code(), code);
            assert!(!Status::from_code(code).text().is_empty());
        }
        assert_eq!(Status::from_code(-1), Status::Unknown);
        assert_eq!(Status::from_code(i32::MAX), Status::Unknown);
    }
}
