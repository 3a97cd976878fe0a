//! Kernel IR from text.
//!
//! # Grammar
//! Tokens and comments are those of [`text`](crate::text). `x*` is any number, `x?` at most one, `x,*` a list with commas.
//!
//! ```text
//! function = "kernels" @NAME ("(" "n" "<=" N ")")? "{" (buffer | check | kernel)* "}"
//! buffer   = "buffer" bufN STRING ":" DTYPE extents ["pitch" INT] kind          N counts from 0
//! extents  = "[" extent,* "]"
//! extent   = SIZE | (INT "*")? "n"                               n: the batch size, at most N
//! kind     = ("param" | "result" | "variable" | "next") N
//!          | "constant" "[" scalar,* "]"                          all elements, row-major
//!          | "alias" bufN | "random_state" | "temp" | "local"
//! check    = "check" N STRING extents "<" BOUND                   N counts from 0
//!
//! kernel   = "kernel" WORD axes? "{" origin? stage* schedule? "}"
//! axes     = "(" (iN "<" extent),* ")"                            N counts on: the kernel's, the stage's, the fold's
//! origin   = "origin" STRING,*
//! stage    = "stage" axes? "{" fold? inst* store* "}"
//! fold     = "fold" ("reduce" | "scan") ("lanes" L)? axes? "{" inst* acc* "}"
//! acc      = accN "=" combine ":" DTYPE                           N counts from 0
//! combine  = ("sum" | "prod" | "max" | "min" | "argmax" | "argmin") sN | "dot" sN "," sN
//! store    = ("store" | "store_add") sN "," element
//!
//! inst     = sN "=" what ":" DTYPE                                N counts from 0 in every body
//! what     = "const" scalar | "index" affine | "extent" extent | "load" element where?
//!          | accN "before"? | UNARY sN | BINARY sN "," sN | COMPARE sN "," sN
//!          | "fma" sN "," sN "," sN | "select" sN "," sN "," sN | "convert" sN | "bitcast" sN
//!          | "in_bounds" guard,* | "check" sN "site" N "at" affine
//!          | "philox" "key" K "seed" sN "step" sN "element" sN "word" W
//! element  = bufN "[" (affine | (affine "+")? sN),* "]"           sN: the indirect coordinate, on one axis
//! where    = "where" guard,* "else" scalar | "else" scalar        the fill is 0 if it is not given
//! guard    = "0" "<=" affine "<" BOUND
//! affine   = "-"? term (("+" | "-") term)*
//! term     = INT | (INT "*")? iN
//!
//! schedule = "schedule" "{" ("chunks" iN "by" B)? ("each" iN)* "threads"? ("stage" N how)* "}"
//! how      = "scalar" | "strip" iN "lanes" L
//!          | "tile" "rows" iN "by" R "cols" iN "by" C "lanes" L "broadcast" OPERAND ("stream" | "pack" "both"?)?
//! ```
//!
//! The parser knows form only; whether what it reads makes sense is for the [verifier](super::verify()).

use std::ops::Range;

use cranelift_entity::PrimaryMap;

use super::parse_body::{self as body, axis};
use super::{
    Accumulator, Buffer, BufferId, BufferKind, CheckSite, Chunks, Extent, Fold, FoldKind, FoldOp, Kernel,
    KernelFunction, MAX_AXES, Packed, Schedule, Stage, StageSchedule, most,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::tensor::Tensor;
use crate::text::{Cursor, Parsed, Punct};
use crate::types::{DType, MAX_ELEMENTS};

/// The function that `text` is. `name` is shown in errors, such as that of a file.
///
/// # Errors
/// E0101 to E0108, several at once.
pub fn parse(name: &str, text: &str) -> Result<KernelFunction, Diagnostics> {
    let mut cursor = Cursor::new(text);
    let mut function = KernelFunction::default();
    if let Err(error) = read_function(&mut cursor, &mut function) {
        cursor.report(error);
    }
    cursor.finish(name)?;
    Ok(function)
}

fn read_function(c: &mut Cursor<'_>, function: &mut KernelFunction) -> Parsed<()> {
    c.expect_word("kernels")?;
    function.name = c.symbol("the name of a function, such as `@step`")?.0.into();
    if c.eat(Punct::LeftParen) {
        c.expect_word("n")?;
        c.expect(Punct::LessEqual)?;
        function.largest = Some(c.size("the largest batch size")?);
        c.expect(Punct::RightParen)?;
    }
    let start = c.peek().range.start;
    c.block(|c| {
        if c.at_word("buffer") {
            read_buffer(c, &mut function.buffers)
        } else if c.at_word("check") {
            read_check(c, &mut function.checks)
        } else if c.at_word("kernel") {
            read_kernel(c, &mut function.kernels)
        } else {
            Err(c.expected("`buffer`, `check`, `kernel` or `}`"))
        }
    })?;
    set_largest(function, c.since(start))?;
    if c.at_end() || c.is_full() { Ok(()) } else { Err(c.expected("the end of the text")) }
}

/// Extents were read for a largest batch size of 1.
fn set_largest(function: &mut KernelFunction, range: Range<usize>) -> Parsed<()> {
    let largest = function.largest;
    let mut fits = true;
    function.each_extent(|extent| {
        let Some(each) = extent.each() else { return };
        match largest.filter(|&largest| each.checked_mul(largest).is_some()) {
            Some(largest) => *extent = Extent::batch(each, largest),
            None => fits = false,
        }
    });
    match fits {
        true => Ok(()),
        false => Err(Diagnostic::new(
            "E0108",
            "an extent depends on `n`, which has no largest value, or is too large",
        )
        .at(Place::Text(range), "")
        .help("write the largest value behind the name: `kernels @step (n <= 64) {`")),
    }
}

/// The error that something was numbered out of turn.
pub(super) fn expect_turn(found: usize, turn: usize, prefix: &str, range: Range<usize>) -> Parsed<()> {
    if found == turn {
        return Ok(());
    }
    Err(Diagnostic::new("E0107", format!("`{prefix}{found}` is out of turn"))
        .at(Place::Text(range), format!("expected `{prefix}{turn}`"))
        .note("numbers count from 0 in order of the text"))
}

fn read_buffer(c: &mut Cursor<'_>, buffers: &mut PrimaryMap<BufferId, Buffer>) -> Parsed<()> {
    c.expect_word("buffer")?;
    let (id, range) = c.numbered("buf")?;
    // A buffer with an error in it must not put the ones after it out of turn.
    let turn = buffers.len();
    let slot = buffers.push(Buffer {
        name: String::new(),
        dtype: DType::F32,
        shape: Vec::new(),
        pitch: None,
        kind: BufferKind::Temp,
    });
    expect_turn(id as usize, turn, "buf", range)?;
    let name = c.string("the name of the buffer in quotes")?;
    c.expect(Punct::Colon)?;
    let dtype = c.dtype()?;
    let shape = extents(c)?;
    let pitch = if c.eat_word("pitch") { Some(c.size("the elements from row to row")?) } else { None };
    let kind = buffer_kind(c, dtype, &most(&shape))?;
    buffers[slot] = Buffer { name, dtype, shape, pitch, kind };
    Ok(())
}

fn extents(c: &mut Cursor<'_>) -> Parsed<Vec<Extent>> {
    c.list(Punct::LeftBracket, Punct::RightBracket, extent)
}

/// `12`, `n` or `3*n`, for a largest `n` of 1.
pub(super) fn extent(c: &mut Cursor<'_>) -> Parsed<Extent> {
    if c.eat_word("n") {
        return Ok(Extent::batch(1, 1));
    }
    let size = c.size("an extent")?;
    if !c.eat(Punct::Star) {
        return Ok(size.into());
    }
    c.expect_word("n")?;
    Ok(Extent::batch(size, 1))
}

fn buffer_kind(c: &mut Cursor<'_>, dtype: DType, shape: &[usize]) -> Parsed<BufferKind> {
    let numbered: Option<fn(usize) -> BufferKind> = [
        ("param", BufferKind::Param as fn(usize) -> BufferKind),
        ("result", BufferKind::Result),
        ("variable", BufferKind::Variable),
        ("next", BufferKind::Next),
    ]
    .into_iter()
    .find_map(|(word, kind)| c.eat_word(word).then_some(kind));
    if let Some(kind) = numbered {
        return c.size("its number").map(kind);
    }
    if c.eat_word("alias") {
        c.numbered("buf").map(|(id, _)| BufferKind::Alias(BufferId::from_u32(id)))
    } else if c.eat_word("random_state") {
        Ok(BufferKind::RandomState)
    } else if c.eat_word("temp") {
        Ok(BufferKind::Temp)
    } else if c.eat_word("local") {
        Ok(BufferKind::Local)
    } else if c.eat_word("constant") {
        constant(c, dtype, shape).map(BufferKind::Constant)
    } else {
        Err(c.expected(
            "`param`, `result`, `variable`, `next`, `constant`, `alias`, `random_state`, `temp` or `local`",
        ))
    }
}

fn constant(c: &mut Cursor<'_>, dtype: DType, shape: &[usize]) -> Parsed<Tensor> {
    let start = c.peek().range.start;
    let elements =
        c.list(Punct::LeftBracket, Punct::RightBracket, |c| c.literal().and_then(|l| l.scalar(dtype)))?;
    // Extents of 0 do not hide large ones, which no array can have.
    let limited =
        shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e.max(1)).filter(|&n| n <= MAX_ELEMENTS));
    let expected = limited.map(|_| shape.iter().product::<usize>());
    if expected != Some(elements.len()) {
        let needed = expected.map_or("more than fit memory".into(), |n| n.to_string());
        return Err(Diagnostic::new("E0108", "the elements do not fill the shape of the constant").at(
            Place::Text(c.since(start)),
            format!("{} elements, the shape has {needed}", elements.len()),
        ));
    }
    if matches!(dtype, DType::F16 | DType::BF16) {
        return Err(Diagnostic::new("E0102", format!("no constant has the type {dtype} yet"))
            .at(Place::Text(c.since(start)), ""));
    }
    Ok(Tensor::from_scalars(dtype, shape, elements))
}

fn read_check(c: &mut Cursor<'_>, checks: &mut Vec<CheckSite>) -> Parsed<()> {
    c.expect_word("check")?;
    let (number, range) = c.unsigned("the number of the check")?;
    let turn = checks.len();
    checks.push(CheckSite { name: String::new(), shape: Vec::new(), bound: 1 });
    expect_turn(usize::try_from(number).unwrap_or(usize::MAX), turn, "check ", range)?;
    let name = c.string("the name of the checked value in quotes")?;
    let shape = most(&extents(c)?);
    c.expect(Punct::Less)?;
    checks[turn] = CheckSite { name, shape, bound: c.size("a bound")? };
    Ok(())
}

/// `(i2 < 10, i3 < 20)` for axes numbered from `first`, or nothing.
fn axes(c: &mut Cursor<'_>, first: usize) -> Parsed<Vec<Extent>> {
    if !c.at(Punct::LeftParen) {
        return Ok(Vec::new());
    }
    let mut turn = first;
    c.list(Punct::LeftParen, Punct::RightParen, |c| {
        let (number, range) = c.numbered("i")?;
        expect_turn(number as usize, turn, "i", range.clone())?;
        if turn == MAX_AXES {
            return Err(Diagnostic::new("E0108", format!("a stage has more than {MAX_AXES} axes"))
                .at(Place::Text(range), "one too many"));
        }
        turn += 1;
        c.expect(Punct::Less)?;
        extent(c)
    })
}

fn read_kernel(c: &mut Cursor<'_>, kernels: &mut Vec<Kernel>) -> Parsed<()> {
    c.expect_word("kernel")?;
    let (name, _) = c.word("the name of a kernel, such as `k0`")?;
    let axes = axes(c, 0)?;
    let mut kernel = Kernel {
        name: name.into(),
        axes,
        stages: Vec::new(),
        schedule: Schedule::default(),
        origin: Vec::new(),
    };
    c.block(|c| {
        if c.at_word("stage") {
            let stage = stage(c, kernel.axes.len())?;
            kernel.stages.push(stage);
        } else if c.at_word("origin") && kernel.origin.is_empty() {
            c.take();
            kernel.origin.push(c.string("a name in quotes")?);
            while c.eat(Punct::Comma) {
                kernel.origin.push(c.string("a name in quotes")?);
            }
        } else if c.at_word("schedule") && kernel.schedule == Schedule::default() {
            c.take();
            read_schedule(c, &mut kernel.schedule)?;
        } else {
            return Err(c.expected("`origin`, `stage`, `schedule` (at most one each but for stages) or `}`"));
        }
        Ok(())
    })?;
    kernels.push(kernel);
    Ok(())
}

fn stage(c: &mut Cursor<'_>, kernel_axes: usize) -> Parsed<Stage> {
    c.expect_word("stage")?;
    let axes = axes(c, kernel_axes)?;
    let first_fold_axis = kernel_axes + axes.len();
    let mut stage = Stage { axes, fold: None, body: Default::default(), stores: Vec::new() };
    c.block(|c| {
        if c.at_word("fold") && stage.fold.is_none() && stage.body.insts.is_empty() {
            stage.fold = Some(fold(c, first_fold_axis)?);
            Ok(())
        } else if c.at_word("store") || c.at_word("store_add") {
            stage.stores.push(body::store(c)?);
            Ok(())
        } else if stage.stores.is_empty() {
            body::read_inst(c, &mut stage.body)
        } else {
            Err(c.expected("`store`, `store_add` or `}`"))
        }
    })?;
    Ok(stage)
}

fn fold(c: &mut Cursor<'_>, first_axis: usize) -> Parsed<Fold> {
    c.expect_word("fold")?;
    let kind = if c.eat_word("reduce") {
        FoldKind::Reduce
    } else if c.eat_word("scan") {
        FoldKind::Scan
    } else {
        return Err(c.expected("`reduce` or `scan`"));
    };
    let lanes = if c.eat_word("lanes") { c.size("a number of lanes")? } else { 1 };
    let axes = axes(c, first_axis)?;
    let mut fold = Fold { kind, axes, lanes, body: Default::default(), accumulators: Vec::new() };
    c.block(|c| match c.numbered("acc") {
        Ok((number, range)) => {
            expect_turn(number as usize, fold.accumulators.len(), "acc", range)?;
            c.expect(Punct::Equal)?;
            let op = fold_op(c)?;
            c.expect(Punct::Colon)?;
            fold.accumulators.push(Accumulator { op, dtype: c.dtype()? });
            Ok(())
        }
        Err(_) if fold.accumulators.is_empty() => body::read_inst(c, &mut fold.body),
        Err(error) => Err(error),
    })?;
    Ok(fold)
}

fn fold_op(c: &mut Cursor<'_>) -> Parsed<FoldOp> {
    let (name, range) = c.word("what combines, such as `sum`")?;
    let value = body::value;
    Ok(match name {
        "sum" => FoldOp::Sum(value(c)?),
        "prod" => FoldOp::Prod(value(c)?),
        "max" => FoldOp::Max(value(c)?),
        "min" => FoldOp::Min(value(c)?),
        "argmax" => FoldOp::ArgMax(value(c)?),
        "argmin" => FoldOp::ArgMin(value(c)?),
        "dot" => {
            let a = value(c)?;
            c.expect(Punct::Comma)?;
            FoldOp::Dot(a, value(c)?)
        }
        _ => return Err(c.unknown("combination", name, range)),
    })
}

fn read_schedule(c: &mut Cursor<'_>, schedule: &mut Schedule) -> Parsed<()> {
    c.block(|c| {
        if schedule.chunks.is_none() && c.eat_word("chunks") {
            let axis = axis(c)?;
            c.expect_word("by")?;
            schedule.chunks = Some(Chunks { axis, block: c.size("a number of indices")? });
        } else if c.eat_word("each") {
            schedule.each.push(axis(c)?);
        } else if !schedule.threads && c.eat_word("threads") {
            schedule.threads = true;
        } else if c.eat_word("stage") {
            let (number, range) = c.unsigned("the number of the stage")?;
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            expect_turn(number, schedule.stages.len(), "stage ", range)?;
            schedule.stages.push(stage_schedule(c)?);
        } else {
            return Err(c.expected("`chunks` or `threads` (once each), `each`, `stage` or `}`"));
        }
        Ok(())
    })
}

fn stage_schedule(c: &mut Cursor<'_>) -> Parsed<StageSchedule> {
    if c.eat_word("scalar") {
        return Ok(StageSchedule::Scalar);
    }
    if c.eat_word("strip") {
        let axis = axis(c)?;
        c.expect_word("lanes")?;
        return Ok(StageSchedule::Strip { axis, lanes: c.size("a number of lanes")? });
    }
    if !c.eat_word("tile") {
        return Err(c.expected("`scalar`, `strip` or `tile`"));
    }
    c.expect_word("rows")?;
    let row_axis = axis(c)?;
    c.expect_word("by")?;
    let rows = c.size("a number of rows")?;
    c.expect_word("cols")?;
    let col_axis = axis(c)?;
    c.expect_word("by")?;
    let cols = c.size("a number of columns")?;
    c.expect_word("lanes")?;
    let lanes = c.size("a number of lanes")?;
    c.expect_word("broadcast")?;
    let row_operand = c.size("the operand, 0 or 1")?;
    let pack = match c.eat_word("pack") {
        false if c.eat_word("stream") => Packed::Streamed,
        false => Packed::Neither,
        true if c.eat_word("both") => Packed::Both,
        true => Packed::Vectors,
    };
    Ok(StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, row_operand, pack })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form of the grammar, as the printer writes it.
    const EVERYTHING: &str = r#"kernels @mnist/step {
  buffer buf0 "x" : f32[2,3] param 0
  buffer buf1 "loss \"mean\"" : f64[] result 0
  buffer buf2 "w" : f32[3,4] variable 1
  buffer buf3 "w" : f32[3,4] next 1
  buffer buf4 "mask" : bool[2] constant [true, false]
  buffer buf5 "c" : f32[13] constant [
    1.0, -0.0, inf, -inf, nan, nan(0xffc00001), 1e-40, 3.4028235e38, 0.1, 1.0, 2.0, 3.0,
    4.0
  ]
  buffer buf6 "none" : u8[0,7] constant []
  buffer buf7 "random" : i64[2] random_state
  buffer buf8 "t" : i32[2] temp
  buffer buf9 "m" : f32[2] local
  buffer buf10 "t" : i32[1,2] alias buf8
  buffer buf11 "v" : f32[9,512] pitch 528 variable 2
  check 0 "y" [2] < 10
  kernel k0 (i0 < 2, i1 < 4) {
    origin "dense1/matmul", "dense1/relu"
    stage {
      fold reduce lanes 4 (i2 < 3) {
        s0 = load buf0[i0, i2] : f32
        s1 = load buf2[i2, i1] : f32
        acc0 = dot s0, s1 : f32
        acc1 = argmax s0 : i32
      }
      s0 = acc0 : f32
      s1 = acc1 : i32
      store s0, buf9[i0]
      store s1, buf8[1]
    }
    stage (i2 < 5) {
      s0 = load buf0[i0 - 1, 2*i1 - 3*i2 + 7] where 0 <= i0 - 1 < 2, 0 <= 2*i1 < 3 else -inf : f32
      s1 = load buf0[-i0, 0] else 1.5 : f32
      s2 = const nan : f32
      s3 = index -i0 + 4 : i64
      s4 = check s3 site 0 at i0 : i64
      s5 = load buf0[s4, i1] : f32
      s6 = in_bounds 0 <= i0 < 1 : bool
      s7 = in_bounds : bool
      s8 = erf_inv s0 : f32
      s9 = shr_logical s3, s4 : i64
      s10 = fma s0, s1, s2 : f32
      s11 = le s0, s1 : bool
      s12 = select s11, s0, s1 : f32
      s13 = convert s0 : u8
      s14 = bitcast s0 : i32
      s15 = philox key 18446744073709551615 seed s3 step s3 element s4 word 3 : i64
      store s0, buf9[i0 + 1 + s4]
    }
    stage {
      fold scan (i2 < 3) {
      }
    }
    stage {
      fold scan (i2 < 3) {
        s0 = load buf0[i0, i2] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 before : f32
      store_add s0, buf3[i2, i1]
    }
    schedule {
      chunks i0 by 14
      each i1
      threads
      stage 0 tile rows i0 by 14 cols i1 by 32 lanes 16 broadcast 0 pack
      stage 1 strip i2 lanes 8
      stage 2 scalar
    }
  }
  kernel k1 {
    stage {
      s0 = const -9223372036854775808 : i64
    }
  }
}
"#;

    /// Every form of an extent that depends on the batch size.
    const RANGE: &str = r#"kernels @f (n <= 64) {
  buffer buf0 "x" : f32[3*n,4] param 0
  buffer buf1 "y" : f32[n] result 0
  kernel k0 (i0 < n) {
    stage (i1 < 3*n) {
      fold reduce (i2 < 2*n, i3 < 4) {
      }
      s0 = extent 3*n : i64
      s1 = extent 7 : i64
    }
  }
}
"#;

    fn codes(text: &str) -> Vec<&'static str> {
        parse("t", text).err().map_or(Vec::new(), |e| e.errors.iter().map(|e| e.code).collect())
    }

    #[test]
    fn what_is_parsed_prints_as_it_was_written() {
        for packed in ["", " stream", " pack both"] {
            let text = EVERYTHING.replace(" pack\n", &format!("{packed}\n"));
            let function = parse("t", &text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(function.to_string(), text);
        }
        let function = parse("t", EVERYTHING).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(function.to_string(), EVERYTHING);
        assert_eq!(parse("t", &function.to_string()).as_ref(), Ok(&function));
        let range = parse("t", RANGE).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(range.to_string(), RANGE);
        assert_eq!(range.buffers.values().next().map(|b| most(&b.shape)), Some(vec![192, 4]));
        let bound = range.at(5).to_string();
        assert_eq!(
            bound,
            RANGE
                .replace(" (n <= 64)", "")
                .replace("3*n", "15")
                .replace("2*n", "10")
                .replace("< n", "< 5")
                .replace("[n]", "[5]")
        );
        assert_eq!(codes(&RANGE.replace("(n <= 64) ", "")), ["E0108"]);
        assert_eq!(codes(&RANGE.replace("<= 64", "<= 18446744073709551615")), ["E0108"]);
    }

    #[test]
    fn every_operator_prints_and_parses() {
        use super::super::{BinaryOp, CompareOp, UnaryOp};
        let unary = UnaryOp::ALL.iter().map(|op| format!("{} s0", op.name()));
        let binary = BinaryOp::ALL.iter().map(|op| format!("{} s0, s1", op.name()));
        let compare = CompareOp::ALL.iter().map(|op| format!("{} s0, s1", op.name()));
        let lines: String = unary
            .chain(binary)
            .chain(compare)
            .enumerate()
            .map(|(n, l)| format!("      s{n} = {l} : f32\n"))
            .collect();
        let text = format!("kernels @f {{\n  kernel k0 {{\n    stage {{\n{lines}    }}\n  }}\n}}\n");
        assert_eq!(parse("t", &text).unwrap_or_else(|e| panic!("{e}")).to_string(), text);
    }

    #[test]
    fn terms_of_one_axis_add_up() {
        let text = "kernels @f { kernel k (i0 < 1) { stage { s0 = index 1 + i0 - 2*i0 + 0*i0 - 4 : i64 } } }";
        let printed = parse("t", text).unwrap().to_string();
        assert!(printed.contains("s0 = index -i0 - 3 : i64"), "{printed}");
    }

    /// Cutting the text off anywhere, or leaving out or doubling any character, gives an error or a function, never a panic.
    #[test]
    fn damaged_text_never_panics() {
        let mut errors = 0;
        for (at, _) in EVERYTHING.char_indices() {
            let (head, tail) = EVERYTHING.split_at(at);
            let first = tail.chars().next().unwrap_or(' ');
            for damaged in [head.to_string(), format!("{head}{}", &tail[1..]), format!("{head}{first}{tail}")]
            {
                errors += usize::from(parse("t", &damaged).is_err());
            }
        }
        assert!(errors > EVERYTHING.len(), "{errors}");
    }

    #[test]
    fn malformed_text_is_refused() {
        let in_function = |text: &str| codes(&format!("kernels @f {{\n{text}\n}}"));
        let in_stage = |text: &str| in_function(&format!("kernel k0 (i0 < 4) {{\nstage {{\n{text}\n}}\n}}"));
        assert_eq!(codes(""), ["E0101"]);
        assert_eq!(codes("kernels @f {} kernels"), ["E0101"]);
        assert_eq!(codes("kernels @f {"), ["E0101"]);
        for (text, code) in [
            ("buffer buf1 \"x\" : f32[] temp", "E0107"),
            ("buffer buf0 \"x\" : f31[] temp", "E0106"),
            ("buffer buf0 \"x\" : f32[-1] temp", "E0101"),
            ("buffer buf0 \"x\" : f32[99999999999999999999] temp", "E0102"),
            ("buffer buf0 \"x\" : f32[2] constant [1.0]", "E0108"),
            ("buffer buf0 \"x\" : f32[0,1099511627776,1099511627776,1099511627776] constant []", "E0108"),
            ("buffer buf0 \"x\" : i32[1] constant [1.5]", "E0102"),
            ("buffer buf0 \"x\" : bf16[0] constant []", "E0102"),
            ("buffer buf0 \"x\" : f32[1] somewhere", "E0101"),
            ("buffer buf0 \"x : f32[1] temp", "E0103"),
            ("check 1 \"y\" [2] < 3", "E0107"),
            ("kernel k0 (i1 < 4) {}", "E0107"),
            ("kernel k0 { stage {} schedule { threads threads } }", "E0101"),
            ("kernel k0 { schedule { stage 1 scalar } }", "E0107"),
            ("kernel k0 { origin \"a\" origin \"b\" }", "E0101"),
            ("kernel k0 { stage (i0 < 2) { fold reduce (i0 < 2) {} } }", "E0107"),
            ("kernel k0 { stage { fold sideways {} } }", "E0101"),
            ("kernel k0 { stage { fold reduce { acc1 = sum s0 : f32 } } }", "E0107"),
            ("kernel k0 { stage { fold reduce { acc0 = mean s0 : f32 } } }", "E0106"),
        ] {
            assert_eq!(in_function(text), [code], "{text}");
        }
        for (text, code) in [
            ("s1 = const 1 : i32", "E0107"),
            ("s0 = const 1.5 : i32", "E0102"),
            ("s0 = const 1.5 : f16", "E0106"),
            ("s0 = frobnicate s0 : f32", "E0106"),
            ("s0 = add s0 : f32", "E0101"),
            ("s0 = neg s0", "E0101"),
            ("s0 = index i64 : i64", "E0102"),
            ("s0 = index i0 + : i64", "E0101"),
            ("s0 = index s0 : i64", "E0101"),
            ("s0 = index 9223372036854775807 + 1 : i64", "E0102"),
            ("s0 = index 9223372036854775807*i0 + 2*i0 : i64", "E0102"),
            ("s0 = load buf0[i0] where 1 <= i0 < 2 else 0 : f32", "E0101"),
            ("s0 = load buf0[i0] where 0 <= i0 < 2 : f32", "E0101"),
            ("s0 = load buf0[s0, s0] : f32", "E0107"),
            ("s0 = load buf0[i0 - s0] : f32", "E0101"),
            ("s0 = philox key 1 seed s0 step s0 element s0 word 256 : i64", "E0102"),
            ("store s0, buf0[]\ns0 = const 1 : i32", "E0101"),
        ] {
            assert_eq!(in_stage(text), [code], "{text}");
        }
    }

    #[test]
    fn one_parse_reports_the_errors_of_every_line() {
        let text = "kernels @f {
  buffer buf0 \"x\" : f31[2] param 0
  buffer buf1 \"y\" : f32[2] result 0
  kernel k0 (i0 < 2) {
    stage {
      s0 = lod buf0[i0] : f32
      s1 = add s0, s0 : f32
      store s1 buf1[i0]
    }
  }
}";
        assert_eq!(codes(text), ["E0106", "E0106", "E0101"]);
        let rendered = parse("f.bsk", text).unwrap_err().to_string();
        assert!(rendered.contains(" --> f.bsk:6:12"), "{rendered}");
        assert!(rendered.contains("expected `,`, found `buf1`"), "{rendered}");
    }

    #[test]
    fn enormous_text_is_read_in_linear_time() {
        for text in ["{".repeat(1_000_000), "[".repeat(1_000_000), "kernels @f {".repeat(100_000)] {
            assert!(parse("t", &text).is_err());
            assert!(parse("t", &format!("kernels @f {{ {text}")).is_err());
        }
        let terms = "i0 + ".repeat(200_000);
        let text = format!("kernels @f {{ kernel k (i0 < 1) {{ stage {{ s0 = index {terms}0 : i64 }} }} }}");
        assert!(parse("t", &text).unwrap().to_string().contains("index 200000*i0 : i64"));
    }
}
