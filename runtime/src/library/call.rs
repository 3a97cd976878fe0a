//! Running entry points.

use super::message::{Reason, Reporter};
use super::program::{bytes_at, element_type};
use super::{Handle, Program, handle};
use crate::abi::{Artefact, EntryRecord, Status, TensorRecord, VariantRecord};
use crate::instance::{Access, BadIndex, Failure};
use core::fmt;

/// Calls the entry point with this position. `args` are its parameters, then its results.
///
/// # Errors
/// - [`Status::InvalidArgument`] if the instance or an argument is null, an argument is not aligned to its elements, or a
///   result overlaps another argument;
/// - [`Status::BatchSize`] if it was not compiled for `n`;
/// - [`Status::Busy`], [`Status::OutOfMemory`], [`Status::IndexOutOfRange`].
///
/// # Safety
/// See the [module](super). `args` leads to as many pointers as the entry point has arguments, each null or good for the
/// bytes of its type at batch size `n`.
pub unsafe fn call(
    artefact: &Artefact,
    pointer: *mut Handle,
    entry: u32,
    n: u64,
    args: *const *mut u8,
) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module.
        let handle = unsafe { handle(reporter, pointer) }?;
        let program = reporter.program();
        let Some(record) = program.entries().get(entry as usize) else { return Err(Status::NotFound.into()) };
        let variant = variant(reporter, program, record, n)?;
        // Where no batch size matters, it is 1.
        let n = n.clamp(variant.first, variant.last);
        let (params, results) = (program.params(record), program.results(record));
        // SAFETY: by this function's contract.
        let args = unsafe { core::slice::from_raw_parts(args, params.len() + results.len()) };
        check_arguments(reporter, program, (params, results), n, args)?;
        let is_exclusive = record.flags & EntryRecord::EXCLUSIVE != 0;
        let access = if is_exclusive { Access::Exclusive } else { Access::Shared };
        let called = handle.with(|instance| {
            // SAFETY: state and scratch are the instance's, whose layout is the program's; `access` says whether
            // variables are assigned; the arguments were checked.
            instance.run_with(access, |ctx, state, scratch| unsafe {
                (artefact.call)(ctx, state, scratch, entry, n, args.as_ptr())
            })
        });
        called.map_err(|failure| explain(reporter, program, record, variant, failure))
    })
}

/// Gives all variables their first values, the random ones from `seed`, and sets the step to 0.
///
/// # Errors
/// [`Status::Busy`], [`Status::OutOfMemory`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn init(artefact: &Artefact, pointer: *mut Handle, seed: u64) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module.
        let handle = unsafe { handle(reporter, pointer) }?;
        // SAFETY: state and scratch are the instance's, whose layout is the program's.
        let run = |ctx, state, scratch| unsafe { (artefact.init)(ctx, state, scratch, seed) };
        Ok(handle.with(|instance| instance.run_with(Access::Exclusive, run))?)
    })
}

/// The entry point at a batch size.
fn variant<'a>(
    reporter: Reporter<'_>,
    program: Program<'a>,
    entry: &EntryRecord,
    n: u64,
) -> Result<&'a VariantRecord, Reason> {
    let variants = program.variants(entry);
    let is_symbolic = entry.flags & EntryRecord::SYMBOLIC != 0;
    let found = if is_symbolic { VariantRecord::of(variants, n) } else { variants.first() };
    found.ok_or_else(|| {
        let sizes = fmt::from_fn(|f| {
            variants.iter().enumerate().try_for_each(|(at, v)| {
                let separator = if at > 0 { ", " } else { "" };
                match v.first == v.last {
                    true => write!(f, "{separator}{}", v.last),
                    false => write!(f, "{separator}{} to {}", v.first, v.last),
                }
            })
        });
        reporter.say(
            Status::BatchSize,
            format_args!("`{}` was not compiled for n = {n}, but for {sizes}", program.text(entry.name)),
        )
    })
}

fn check_arguments(
    reporter: Reporter<'_>,
    program: Program<'_>,
    (params, results): (&[TensorRecord], &[TensorRecord]),
    n: u64,
    args: &[*mut u8],
) -> Result<(), Reason> {
    let all = || params.iter().chain(results).zip(args);
    for (tensor, arg) in all() {
        let name = program.text(tensor.name);
        // What has no bytes is not looked at.
        if bytes_at(tensor, n) == 0 {
            continue;
        }
        if arg.is_null() {
            return Err(reporter.null(name));
        }
        let align = element_type(tensor).bytes();
        if !arg.addr().is_multiple_of(align) {
            return Err(reporter.invalid(format_args!("`{name}` is not aligned to {align} bytes")));
        }
    }
    let range = |tensor, arg: &*mut u8| (arg.addr(), arg.addr().saturating_add(bytes_at(tensor, n)));
    for (at, (result, arg)) in all().enumerate().skip(params.len()) {
        let (start, end) = range(result, arg);
        for (other, arg) in all().take(at) {
            let (from, to) = range(other, arg);
            if start < to && from < end {
                return Err(reporter.invalid(format_args!(
                    "`{}` overlaps `{}`",
                    program.text(result.name),
                    program.text(other.name)
                )));
            }
        }
    }
    Ok(())
}

/// A failed call in words.
fn explain(
    reporter: Reporter<'_>,
    program: Program<'_>,
    entry: &EntryRecord,
    variant: &VariantRecord,
    failure: Failure,
) -> Reason {
    let found =
        failure.index.and_then(|index| Some((index, program.checks(variant).get(index.site as usize)?)));
    let Some((BadIndex { position, value, .. }, check)) = found else { return failure.into() };
    let extents = program.extents(check.extents);
    let coordinates = fmt::from_fn(|f| {
        for axis in 0..extents.len() {
            let inner = extents[axis + 1..].iter().product::<i64>().unsigned_abs().max(1);
            let at = position / inner % extents[axis].unsigned_abs().max(1);
            write!(f, "{}{at}", if axis > 0 { ", " } else { "" })?;
        }
        Ok(())
    });
    reporter.say(
        failure.status,
        format_args!(
            "`{}[{coordinates}]` of `{}` is {value}; it must be at least 0 and below {}",
            program.text(check.name),
            program.text(entry.name),
            check.bound
        ),
    )
}
