//! The text of the last error of a thread.

use super::Program;
use crate::abi::{Artefact, Status, TEXT_BYTES};
use crate::instance::Failure;
use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};

/// Why a function failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reason {
    status: Status,
    /// Whether the thread's text says why. Else it is to be the status's own.
    is_said: bool,
}

impl From<Status> for Reason {
    fn from(status: Status) -> Reason {
        Reason { status, is_said: false }
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Reason {
        failure.status.into()
    }
}

/// Puts reasons into words, for one artefact.
#[derive(Clone, Copy)]
pub(super) struct Reporter<'a> {
    pub(super) artefact: &'a Artefact,
}

impl<'a> Reporter<'a> {
    /// Does what a function is to do, and gives the code of its status.
    pub(super) fn run(artefact: &'a Artefact, body: impl FnOnce(Reporter<'a>) -> Result<(), Reason>) -> i32 {
        let reporter = Reporter { artefact };
        match body(reporter) {
            Ok(()) => Status::Ok.code(),
            Err(reason) if reason.is_said => reason.status.code(),
            Err(reason) => reporter.say(reason.status, format_args!("{}", reason.status)).status.code(),
        }
    }

    /// The program.
    pub(super) fn program(self) -> Program<'a> {
        // SAFETY: the compiler wrote the description, and it lives as long as the artefact.
        unsafe { Program::new(&*self.artefact.program) }
    }

    /// Keeps the reason as the thread's text.
    pub(super) fn say(self, status: Status, reason: fmt::Arguments<'_>) -> Reason {
        let mut text = Text { start: (self.artefact.text)(), len: 0 };
        // A text that does not fit is cut off.
        let _ = text.write_fmt(reason);
        text.end();
        Reason { status, is_said: true }
    }

    /// An argument is wrong.
    pub(super) fn invalid(self, reason: fmt::Arguments<'_>) -> Reason {
        self.say(Status::InvalidArgument, reason)
    }

    /// An argument is null that must not be.
    pub(super) fn null(self, name: &str) -> Reason {
        self.invalid(format_args!("`{name}` is null"))
    }

    /// The text behind a pointer.
    ///
    /// # Safety
    /// `pointer` is null or leads to a text that ends with a NUL and lives as long as the result.
    pub(super) unsafe fn text<'t>(self, pointer: *const c_char, name: &str) -> Result<&'t CStr, Reason> {
        if pointer.is_null() {
            return Err(self.null(name));
        }
        // SAFETY: by this function's contract.
        Ok(unsafe { CStr::from_ptr(pointer) })
    }
}

/// The thread's text, being written.
struct Text {
    start: *mut u8,
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = TEXT_BYTES - 1 - self.len;
        let mut fits = part.len().min(room);
        while !part.is_char_boundary(fits) {
            fits -= 1;
        }
        // SAFETY: the text has `TEXT_BYTES` bytes, of which `len` are written and one is kept for the NUL; only this
        // thread uses it. `part` may be a piece of an earlier text.
        unsafe { core::ptr::copy(part.as_ptr(), self.start.add(self.len), fits) };
        self.len += fits;
        if fits == part.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl Text {
    fn end(&mut self) {
        // SAFETY: as in `write_str`.
        unsafe { self.start.add(self.len).write(0) };
    }
}

/// The reason why a function of this library last failed on this thread; empty if none did. It lives until the next
/// failure on the thread, and the end of the thread.
pub fn last_error(artefact: &Artefact) -> *const c_char {
    (artefact.text)().cast_const().cast()
}

/// One line for a person on what a status means: see [`Status::text`].
pub fn status_text(_artefact: &Artefact, code: i32) -> *const c_char {
    macro_rules! texts {
        ($($status:ident)*) => {
            match Status::from_code(code) {
                $(Status::$status => {
                    const TEXT: &[u8] = &ended::<{ Status::$status.text().len() + 1 }>(Status::$status.text());
                    TEXT.as_ptr().cast()
                })*
            }
        };
    }
    texts! {
        Ok IndexOutOfRange InvalidArgument Busy OutOfMemory AbiMismatch ProgramMismatch UnsupportedCpu Io NotFound
        Aborted NoThreads Unknown BatchSize Malformed
    }
}

/// The text with a NUL at its end.
const fn ended<const LEN: usize>(text: &str) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let mut at = 0;
    while at < text.len() {
        bytes[at] = text.as_bytes()[at];
        at += 1;
    }
    bytes
}
