//! Reading a checkpoint.

use super::checksum::Checksum;
use super::json::{NotJson, Raw, Reader};
use super::{DIGITS, MAX_HEADER, PREFIX};
use crate::abi::{Artefact, Status};
use crate::library::message::{Reason, Reporter};
use crate::library::program::element_type;
use crate::library::{Handle, Program, handle};
use crate::memory::{Block, Owned};
use crate::sys::file::{Errno, File};
use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::fmt;

/// Gives all variables, seed and step the values that a file has. It is read and checked as a whole before anything is
/// changed.
///
/// # Errors
/// [`Status::Io`] if the file cannot be read; [`Status::Malformed`] if it is no checkpoint, truncated or damaged;
/// [`Status::ProgramMismatch`] if it is one of another model, with the first difference in the text;
/// [`Status::Busy`], [`Status::OutOfMemory`]; [`Status::InvalidArgument`] if something is null.
///
/// # Safety
/// See the [module](crate::library).
pub unsafe fn load(artefact: &Artefact, pointer: *mut Handle, path: *const c_char) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module.
        let (handle, path) = unsafe { (handle(reporter, pointer)?, reporter.text(path, "path")?) };
        let source = Source { reporter, path };
        let program = reporter.program();
        let (mut header, data) = source.read()?;
        let fields = source.check(program, &mut header, &data)?;
        handle.with(|instance| {
            let mut state = instance.state_mut()?;
            for (variable, start) in program.variables().iter().zip(&*fields.starts) {
                let mut values = &data.as_slice()[start.get() as usize..];
                for (offset, len) in program.runs(variable) {
                    // There are as many, as was checked.
                    let (run, rest) = values.split_at(len);
                    state.bytes(offset, len)?.copy_from_slice(run);
                    values = rest;
                }
            }
            state.set_seed(fields.seed);
            state.set_step(fields.step);
            Ok(())
        })
    })
}

/// A file that is loaded, for messages.
#[derive(Clone, Copy)]
struct Source<'a> {
    reporter: Reporter<'a>,
    path: &'a CStr,
}

/// What a header says.
struct Fields {
    seed: u64,
    step: u64,
    /// Where the elements of each variable begin, in bytes from the start of the data.
    starts: Owned<[Cell<u64>]>,
}

/// A value that is no start: the variable was not met.
const MISSING: u64 = u64::MAX;

/// The metadata, while they are read.
#[derive(Default)]
struct Metadata {
    fingerprint: Option<u64>,
    seed: Option<u64>,
    step: Option<u64>,
    checksum: Option<u64>,
    /// Where the digits of the checksum are in the header.
    digits: usize,
}

/// Why a member of the header was refused.
enum Refused {
    NotJson(NotJson),
    Reason(Reason),
}

impl From<NotJson> for Refused {
    fn from(error: NotJson) -> Refused {
        Refused::NotJson(error)
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Refused {
        Refused::Reason(reason)
    }
}

impl Source<'_> {
    fn say(self, status: Status, why: fmt::Arguments<'_>) -> Reason {
        self.reporter.say(status, format_args!("`{}`: {why}", self.path.to_str().unwrap_or("?")))
    }

    fn malformed(self, why: fmt::Arguments<'_>) -> Reason {
        self.say(Status::Malformed, why)
    }

    /// Header and data.
    fn read(self) -> Result<(Block, Block), Reason> {
        let failed = |error: Errno| self.say(Status::Io, format_args!("cannot read it: {error}"));
        let file = File::open(self.path).map_err(failed)?;
        let size = file.size().map_err(failed)?;
        let mut prefix = [0; PREFIX];
        let length = match file.read(&mut prefix).map_err(failed)? {
            PREFIX => u64::from_le_bytes(prefix),
            _ => return Err(self.malformed(format_args!("it has {size} bytes, too few for a checkpoint"))),
        };
        let rest = size.saturating_sub(PREFIX as u64);
        if length > MAX_HEADER || length > rest {
            return Err(self.malformed(format_args!("it is no safetensors file, or it is truncated")));
        }
        let fill = |bytes: u64| {
            let mut block = Block::new(usize::try_from(bytes).map_err(|_| Status::OutOfMemory)?)?;
            match file.read(block.as_mut_slice()).map_err(failed)? as u64 == bytes {
                true => Ok(block),
                false => Err(self.malformed(format_args!("it became shorter while it was read"))),
            }
        };
        Ok((fill(length)?, fill(rest - length)?))
    }

    /// What the header says, if all is as this program's checkpoints are.
    fn check(self, program: Program<'_>, header: &mut Block, data: &Block) -> Result<Fields, Reason> {
        let starts = Owned::from_fn(program.variables().len(), |_| Cell::new(MISSING))?;
        let mut metadata = Metadata::default();
        let text = core::str::from_utf8(header.as_slice())
            .map_err(|_| self.malformed(format_args!("its header is not UTF-8 text")))?;
        let mut reader = Reader::new(text);
        let size = data.len() as u64;
        let parsed = reader
            .object(|reader, key| match key.is("__metadata__") {
                true => self.metadata(reader, &mut metadata),
                false => self.tensor(program, reader, key, (&starts, size)),
            })
            .and_then(|()| Ok(reader.end()?));
        parsed.map_err(|refused| match refused {
            Refused::NotJson(NotJson { at }) => {
                self.malformed(format_args!("its header is damaged at byte {}", at + PREFIX))
            }
            Refused::Reason(reason) => reason,
        })?;
        let missing = program.variables().iter().zip(&*starts).find(|(_, start)| start.get() == MISSING);
        if let Some((variable, _)) = missing {
            let (name, ty) = (program.text(variable.name), program.type_of(variable));
            return Err(
                self.mismatch(format_args!("it has no `{name}`, which is {ty} in `{}`", program.name()))
            );
        }
        if program.variables().iter().map(|v| v.bytes).sum::<u64>() != size {
            return Err(self.malformed(format_args!(
                "there are {size} bytes of data, another number than its tensors have"
            )));
        }
        let Metadata {
            fingerprint: Some(fingerprint),
            seed: Some(seed),
            step: Some(step),
            checksum: Some(sum),
            digits,
        } = metadata
        else {
            return Err(self.malformed(format_args!(
                "it was not saved by a compiled model: fingerprint, seed, step or checksum are missing"
            )));
        };
        header.as_mut_slice()[digits..digits + DIGITS].fill(b'0');
        let mut found = Checksum::new();
        found.add(&(header.len() as u64).to_le_bytes());
        found.add(header.as_slice());
        found.add(data.as_slice());
        if found.finish() != sum {
            return Err(self.malformed(format_args!("it is damaged: its checksum is another")));
        }
        if fingerprint != program.record().checkpoint {
            return Err(self.mismatch(format_args!("its fingerprint is that of another model")));
        }
        Ok(Fields { seed, step, starts })
    }

    fn mismatch(self, why: fmt::Arguments<'_>) -> Reason {
        self.say(Status::ProgramMismatch, why)
    }

    fn metadata(self, reader: &mut Reader<'_>, metadata: &mut Metadata) -> Result<(), Refused> {
        reader.object(|reader, key| {
            let value = reader.string()?;
            let hex = || value.number(16).filter(|_| value.text.len() == DIGITS);
            match key {
                _ if key.is("bessemer.fingerprint") => metadata.fingerprint = hex(),
                _ if key.is("bessemer.seed") => metadata.seed = value.number(10),
                _ if key.is("bessemer.step") => metadata.step = value.number(10),
                _ if key.is("bessemer.checksum") => {
                    metadata.checksum = hex();
                    metadata.digits = value.at;
                }
                _ => {}
            }
            Ok(())
        })
    }

    /// Reads the description of a tensor, and notes where its elements begin.
    fn tensor(
        self,
        program: Program<'_>,
        reader: &mut Reader<'_>,
        name: Raw<'_>,
        (starts, size): (&[Cell<u64>], u64),
    ) -> Result<(), Refused> {
        let found = program.variables().iter().zip(starts).find(|(v, _)| name.is(program.text(v.name)));
        let Some((variable, start)) = found else {
            let why = format_args!("it has `{}`, which `{}` has not", name.text, program.name());
            return Err(self.mismatch(why).into());
        };
        let (mut dtype, mut shape_at, mut range, mut ends) = (None, None, [0u64; 2], 0);
        reader.object(|reader, key| {
            if key.is("dtype") {
                dtype = Some(reader.string()?);
                Ok(())
            } else if key.is("shape") {
                shape_at = Some(*reader);
                reader.numbers(|_| Ok(()))
            } else if key.is("data_offsets") {
                reader.numbers(|offset| {
                    *range.get_mut(ends).ok_or(NotJson { at: key.at })? = offset;
                    ends += 1;
                    Ok(())
                })
            } else {
                Err(NotJson { at: key.at })
            }
        })?;
        let (Some(dtype), Some(shape)) = (dtype, shape_at) else {
            return Err(NotJson { at: name.at }.into());
        };
        if !dtype.is(element_type(variable).file_name())
            || !has_extents(shape, program.extents(variable.extents))?
        {
            let shape = fmt::from_fn(|f| {
                let mut comma = "";
                let written = { shape }.numbers(|extent| {
                    let before = core::mem::replace(&mut comma, ",");
                    write!(f, "{before}{extent}").map_err(|_| NotJson { at: 0 })
                });
                written.map_err(|_| fmt::Error)
            });
            let (expected, model) = (program.type_of(variable), program.name());
            let why = format_args!(
                "`{}` is {expected} in `{model}`, but {}[{shape}] in the file",
                name.text, dtype.text
            );
            return Err(self.mismatch(why).into());
        }
        let fits = ends == 2
            && range[1] <= size
            && range[0].checked_add(variable.bytes) == Some(range[1])
            && start.replace(range[0]) == MISSING;
        match fits {
            true => Ok(()),
            false => {
                let why = format_args!("the place of `{}` in it is invalid, or it is truncated", name.text);
                Err(self.malformed(why).into())
            }
        }
    }
}

/// Whether these are the numbers that come next.
fn has_extents(mut reader: Reader<'_>, expected: &[i64]) -> Result<bool, NotJson> {
    let (mut axis, mut all) = (0, true);
    reader.numbers(|found| {
        all &= expected.get(axis).is_some_and(|&extent| extent as u64 == found);
        axis += 1;
        Ok::<(), NotJson>(())
    })?;
    Ok(all && axis == expected.len())
}
