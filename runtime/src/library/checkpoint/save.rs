//! Writing a checkpoint.

use super::checksum::Checksum;
use super::{DIGITS, PREFIX};
use crate::abi::{Artefact, StateHeader, Status};
use crate::instance::StateRef;
use crate::library::message::{Reason, Reporter};
use crate::library::program::element_type;
use crate::library::{Handle, Program, handle};
use crate::memory::Block;
use crate::sys::clock;
use crate::sys::file::{self, Errno, File};
use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};

/// Bytes that are written at a time.
const BUFFER: usize = 1 << 16;

/// How many names for the temporary file are tried before it is given up.
const ATTEMPTS: u64 = 16;

/// Saves all variables, slots of optimizers included, with seed and step, to a file.
///
/// The file is written under another name in the same folder and renamed when it is on the disk. So whenever the process
/// or the system stops, the old file is there or the new one; at worst the other one is left behind, its name that of the
/// file with `.partial` in it.
///
/// # Errors
/// [`Status::Io`]; [`Status::Busy`] if a call that assigns variables is in progress; [`Status::OutOfMemory`];
/// [`Status::InvalidArgument`] if something is null. If the last act failed, to wait until the folder is on the disk, the
/// new file is in its place all the same.
///
/// # Safety
/// See the [module](crate::library).
pub unsafe fn save(artefact: &Artefact, pointer: *const Handle, path: *const c_char) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module.
        let (handle, path) = unsafe { (handle(reporter, pointer)?, reporter.text(path, "path")?) };
        let failed = |action: &str, error: Errno| {
            let shown = path.to_str().unwrap_or("?");
            reporter.say(Status::Io, format_args!("cannot {action} `{shown}`: {error}"))
        };
        let (temporary, file) = create_beside(path)?.map_err(|e| failed("write a file beside", e))?;
        let written = handle.with(|instance| {
            write(reporter.program(), &instance.state()?, &file)?.map_err(|e| failed("write", e))?;
            file.sync().map_err(|e| failed("write", e))?;
            Ok::<(), Reason>(())
        });
        drop(file);
        let renamed = written.and_then(|()| {
            file::rename(path_of(&temporary), path).map_err(|e| failed("rename a file to", e))
        });
        if let Err(reason) = renamed {
            file::remove(path_of(&temporary));
            return Err(reason);
        }
        let folder = folder_of(path)?;
        file::sync_folder(path_of(&folder)).map_err(|e| failed("write the folder of", e))
    })
}

/// Makes a new file in the folder of `path`. The block holds its path.
fn create_beside(path: &CStr) -> Result<Result<(Block, File), Errno>, Status> {
    let bytes = path.to_bytes();
    // Two numbers of at most 20 digits, four full stops and the word.
    let mut name = Block::new(bytes.len() + 64)?;
    let nanos = clock::monotonic_nanos();
    let mut attempt = 0;
    loop {
        name.as_mut_slice().fill(0);
        name.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
        let mut rest = Bytes { bytes: &mut name.as_mut_slice()[bytes.len()..], len: 0 };
        let _ = write!(rest, ".{}.{}.partial", file::process_id(), nanos + attempt);
        match File::create_new(path_of(&name)) {
            Ok(file) => return Ok(Ok((name, file))),
            Err(error) if error.is_taken() && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// The path in a block, which is filled up with NULs.
fn path_of(block: &Block) -> &CStr {
    CStr::from_bytes_until_nul(block.as_slice()).unwrap_or(c"")
}

/// A block with the path of a file's folder.
fn folder_of(path: &CStr) -> Result<Block, Status> {
    let bytes = path.to_bytes();
    let folder = match bytes.iter().rposition(|&byte| byte == b'/') {
        None => &b"."[..],
        Some(0) => b"/",
        Some(slash) => &bytes[..slash],
    };
    let mut block = Block::new(folder.len() + 1)?;
    block.as_mut_slice()[..folder.len()].copy_from_slice(folder);
    Ok(block)
}

/// Writes a checkpoint.
fn write(program: Program<'_>, state: &StateRef<'_>, file: &File) -> Result<Result<(), Errno>, Status> {
    let header = state.header();
    let mut length = Length(0);
    let _ = write_header(&mut length, program, &header, 0);
    // The elements begin at a multiple of 8, as the format advises; blanks fill up the header.
    let length = length.0.next_multiple_of(8);
    let mut buffer = Block::new(PREFIX + length)?;
    let fill = |buffer: &mut Block, checksum| {
        let (prefix, rest) = buffer.as_mut_slice().split_at_mut(PREFIX);
        prefix.copy_from_slice(&(length as u64).to_le_bytes());
        rest.fill(b' ');
        // There is room: the digits of a checksum are always as many.
        let _ = write_header(&mut Bytes { bytes: rest, len: 0 }, program, &header, checksum);
    };
    fill(&mut buffer, 0);
    let mut sum = Checksum::new();
    sum.add(buffer.as_slice());
    for (offset, len) in program.variables().iter().flat_map(|v| program.runs(v)) {
        sum.add(state.bytes(offset, len)?);
    }
    fill(&mut buffer, sum.finish());

    let mut out = Buffered { file, buffer: Block::new(BUFFER)?, filled: 0 };
    Ok((|| {
        out.add(buffer.as_slice())?;
        for (offset, len) in program.variables().iter().flat_map(|v| program.runs(v)) {
            // The same bytes were there a moment ago.
            out.add(state.bytes(offset, len).unwrap_or(&[]))?;
        }
        out.flush()
    })())
}

/// Writes the header's JSON.
fn write_header(
    out: &mut impl Write,
    program: Program<'_>,
    state: &StateHeader,
    checksum: u64,
) -> fmt::Result {
    out.write_str(r#"{"__metadata__":{"bessemer.model":"#)?;
    quote(out, program.name())?;
    let StateHeader { seed, step, .. } = *state;
    let fingerprint = program.record().checkpoint;
    write!(out, r#","bessemer.fingerprint":"{fingerprint:0DIGITS$x}","bessemer.seed":"{seed}""#)?;
    write!(out, r#","bessemer.step":"{step}","bessemer.checksum":"{checksum:0DIGITS$x}"}}"#)?;
    let mut at = 0;
    for variable in program.variables() {
        out.write_str(",")?;
        quote(out, program.text(variable.name))?;
        write!(out, r#":{{"dtype":"{}","shape":["#, element_type(variable).file_name())?;
        for (axis, extent) in program.extents(variable.extents).iter().enumerate() {
            write!(out, "{}{extent}", if axis > 0 { "," } else { "" })?;
        }
        let end = at + variable.bytes;
        write!(out, r#"],"data_offsets":[{at},{end}]}}"#)?;
        at = end;
    }
    out.write_str("}")
}

/// Writes a text as a JSON string.
fn quote(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            '\0'..' ' => write!(out, "\\u{:04x}", character as u32)?,
            _ => out.write_char(character)?,
        }
    }
    out.write_str("\"")
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0 += part.len();
        Ok(())
    }
}

/// Keeps what is written, where there is room.
struct Bytes<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Write for Bytes<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + part.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.len += part.len();
        Ok(())
    }
}

/// A file that is written in large pieces.
struct Buffered<'a> {
    file: &'a File,
    buffer: Block,
    filled: usize,
}

impl Buffered<'_> {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.len() > self.buffer.len() - self.filled {
            self.flush()?;
        }
        if bytes.len() >= self.buffer.len() {
            return self.file.write(bytes);
        }
        self.buffer.as_mut_slice()[self.filled..][..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Errno> {
        self.file.write(&self.buffer.as_slice()[..self.filled])?;
        self.filled = 0;
        Ok(())
    }
}
