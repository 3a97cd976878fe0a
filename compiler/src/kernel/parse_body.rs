//! The part of the [grammar](super::parse()) below a stage: instructions, stores, views and affine expressions.

use super::parse::{expect_turn, extent};
use super::{
    Access, Affine, Axis, BinaryOp, Body, BufferId, CompareOp, Guard, Indirect, Inst, InstKind, MAX_AXES,
    ScalarId, Store, UnaryOp,
};
use crate::diagnostic::{Diagnostic, Place};
use crate::tensor::Scalar;
use crate::text::{Cursor, Literal, Parsed, Punct, TokenKind};
use crate::types::DType;

/// `s3 = what : dtype`, appended to the body.
pub(super) fn read_inst(c: &mut Cursor<'_>, body: &mut Body) -> Parsed<()> {
    let (number, range) =
        c.numbered("s").map_err(|_| c.expected("an instruction such as `s0 = …`, or what follows them"))?;
    // An instruction with an error in it must not put the ones after it out of turn.
    let turn = body.insts.len();
    let slot = body.insts.push(Inst { kind: InstKind::Const(UNTYPED), dtype: DType::Bool });
    expect_turn(number as usize, turn, "s", range)?;
    c.expect(Punct::Equal)?;
    let (mut kind, literal) = what(c)?;
    c.expect(Punct::Colon)?;
    let start = c.peek().range.start;
    let dtype = c.dtype()?;
    if matches!(dtype, DType::F16 | DType::BF16) {
        return Err(Diagnostic::new("E0106", format!("no scalar has the type {dtype} yet"))
            .at(Place::Text(c.since(start)), ""));
    }
    if let InstKind::Const(scalar) | InstKind::Load(Access { fill: scalar, .. }) = &mut kind {
        *scalar = literal.map_or(Ok(Scalar::zero(dtype)), |l| l.scalar(dtype))?;
    }
    body.insts[slot] = Inst { kind, dtype };
    Ok(())
}

/// A scalar that is replaced once its type is known.
const UNTYPED: Scalar = Scalar::Bool(false);

/// What an instruction computes, and the literal in it, whose type comes later.
fn what<'a>(c: &mut Cursor<'a>) -> Parsed<(InstKind, Option<Literal<'a>>)> {
    if let Ok((index, _)) = c.numbered("acc") {
        return Ok((InstKind::Acc { index: index as usize, before: c.eat_word("before") }, None));
    }
    let (name, range) = c.word("an operator")?;
    let kind = match name {
        "const" => {
            let literal = c.literal()?;
            return Ok((InstKind::Const(UNTYPED), Some(literal)));
        }
        "load" => {
            let (access, fill) = access(c)?;
            return Ok((InstKind::Load(access), fill));
        }
        "index" => InstKind::Index(affine(c)?),
        "extent" => InstKind::Extent(extent(c)?),
        "fma" => {
            let [a, b, d] = values(c)?;
            InstKind::Fma(a, b, d)
        }
        "select" => {
            let [condition, a, b] = values(c)?;
            InstKind::Select(condition, a, b)
        }
        "convert" => InstKind::Convert(value(c)?),
        "bitcast" => InstKind::Bitcast(value(c)?),
        "in_bounds" => InstKind::InBounds(if c.at(Punct::Colon) { Vec::new() } else { guards(c)? }),
        "check" => {
            let value = value(c)?;
            c.expect_word("site")?;
            let site = c.size("the number of a check")?;
            c.expect_word("at")?;
            InstKind::Check { value, site, position: affine(c)? }
        }
        "philox" => philox(c)?,
        _ => {
            if let Some(op) = UnaryOp::from_name(name) {
                InstKind::Unary(op, value(c)?)
            } else if let Some(op) = BinaryOp::from_name(name) {
                let [a, b] = values(c)?;
                InstKind::Binary(op, a, b)
            } else if let Some(op) = CompareOp::from_name(name) {
                let [a, b] = values(c)?;
                InstKind::Compare(op, a, b)
            } else {
                return Err(c.unknown("operator", name, range));
            }
        }
    };
    Ok((kind, None))
}

/// The name of a value, such as `s3`.
pub(super) fn value(c: &mut Cursor<'_>) -> Parsed<ScalarId> {
    c.numbered("s").map(|(number, _)| ScalarId::from_u32(number))
}

/// Names of values with `,` between them.
fn values<const N: usize>(c: &mut Cursor<'_>) -> Parsed<[ScalarId; N]> {
    let mut values = [ScalarId::from_u32(0); N];
    for (n, slot) in values.iter_mut().enumerate() {
        if n > 0 {
            c.expect(Punct::Comma)?;
        }
        *slot = value(c)?;
    }
    Ok(values)
}

fn philox(c: &mut Cursor<'_>) -> Parsed<InstKind> {
    c.expect_word("key")?;
    let (key, _) = c.unsigned("a key")?;
    c.expect_word("seed")?;
    let seed = value(c)?;
    c.expect_word("step")?;
    let step = value(c)?;
    c.expect_word("element")?;
    let element = value(c)?;
    c.expect_word("word")?;
    let (word, range) = c.unsigned("the number of a word")?;
    let word = u8::try_from(word).map_err(|_| {
        Diagnostic::new("E0102", "number out of range").at(Place::Text(range), "words are 0 to 3")
    })?;
    Ok(InstKind::Philox { key, seed, step, element, word })
}

/// An access but for its fill, and the fill if it is given.
fn access<'a>(c: &mut Cursor<'a>) -> Parsed<(Access, Option<Literal<'a>>)> {
    let (buffer, index, indirect) = element(c)?;
    let guards = if c.eat_word("where") { guards(c)? } else { Vec::new() };
    let fill = match guards.is_empty() {
        false => {
            c.expect_word("else")?;
            Some(c.literal()?)
        }
        true if c.eat_word("else") => Some(c.literal()?),
        true => None,
    };
    Ok((Access { buffer, index, indirect, guards, fill: UNTYPED }, fill))
}

/// `store s3, buf1[i0]` or `store_add s3, buf1[i0]`.
pub(super) fn store(c: &mut Cursor<'_>) -> Parsed<Store> {
    let add = c.eat_word("store_add");
    if !add {
        c.expect_word("store")?;
    }
    let value = value(c)?;
    c.expect(Punct::Comma)?;
    let (buffer, index, indirect) = element(c)?;
    Ok(Store { value, buffer, index, indirect, add })
}

/// `buf1[i0, 2*i1 + s3]`.
fn element(c: &mut Cursor<'_>) -> Parsed<(BufferId, Vec<Affine>, Option<Indirect>)> {
    let (buffer, _) = c.numbered("buf")?;
    let mut axis = 0;
    let mut indirect = None;
    let index = c.list(Punct::LeftBracket, Punct::RightBracket, |c| {
        let start = c.peek().range.start;
        let (expr, value) = sum(c, true)?;
        if let Some(value) = value
            && indirect.replace(Indirect { axis, value }).is_some()
        {
            return Err(Diagnostic::new("E0107", "an access has one indirect coordinate")
                .at(Place::Text(c.since(start)), "a second one"));
        }
        axis += 1;
        Ok(expr)
    })?;
    Ok((BufferId::from_u32(buffer), index, indirect))
}

fn guards(c: &mut Cursor<'_>) -> Parsed<Vec<Guard>> {
    let mut guards = vec![guard(c)?];
    while c.eat(Punct::Comma) {
        guards.push(guard(c)?);
    }
    Ok(guards)
}

fn guard(c: &mut Cursor<'_>) -> Parsed<Guard> {
    if c.peek().kind != TokenKind::Int(0) {
        return Err(c.expected("a guard such as `0 <= i0 - 1 < 28`"));
    }
    c.take();
    c.expect(Punct::LessEqual)?;
    let expr = affine(c)?;
    c.expect(Punct::Less)?;
    Ok(Guard { expr, below: c.size("a bound")? })
}

/// The name of an axis, such as `i2`.
pub(super) fn axis(c: &mut Cursor<'_>) -> Parsed<Axis> {
    let (number, range) = c.numbered("i")?;
    if number as usize >= MAX_AXES {
        return Err(Diagnostic::new("E0102", "number out of range")
            .at(Place::Text(range), format!("a stage has at most {MAX_AXES} axes")));
    }
    Ok(number as usize)
}

fn affine(c: &mut Cursor<'_>) -> Parsed<Affine> {
    sum(c, false).map(|(expr, _)| expr)
}

/// An affine expression, with a value added to it where `indirect` allows.
fn sum(c: &mut Cursor<'_>, indirect: bool) -> Parsed<(Affine, Option<ScalarId>)> {
    let start = c.peek().range.start;
    let mut offset = 0i64;
    let mut factors = [0i64; MAX_AXES];
    let mut value_added = None;
    let mut negative = c.eat(Punct::Minus);
    loop {
        let fits = if let TokenKind::Int(_) = c.peek().kind {
            let (magnitude, _) = c.unsigned("a number")?;
            let factor =
                if negative { 0i64.checked_sub_unsigned(magnitude) } else { magnitude.try_into().ok() };
            let target = if c.eat(Punct::Star) { &mut factors[axis(c)?] } else { &mut offset };
            add_to(target, factor)
        } else if indirect && !negative && value_added.is_none() && is_value(c) {
            value_added = Some(value(c)?);
            true
        } else {
            if !matches!(c.peek().kind, TokenKind::Word(word) if word.starts_with('i')) {
                return Err(c.expected("a number or an axis such as `i0`"));
            }
            let axis = axis(c)?;
            add_to(&mut factors[axis], Some(if negative { -1 } else { 1 }))
        };
        if !fits {
            return Err(Diagnostic::new("E0102", "number out of range")
                .at(Place::Text(c.since(start)), "does not fit i64"));
        }
        negative = c.at(Punct::Minus);
        if !c.eat(Punct::Plus) && !c.eat(Punct::Minus) {
            break;
        }
    }
    let expr = (0..MAX_AXES)
        .filter(|&axis| factors[axis] != 0)
        .fold(Affine::constant(offset), |sum, axis| sum.plus(&Affine::axis(axis).times(factors[axis])));
    Ok((expr, value_added))
}

/// Adds without overflow; whether it fitted.
fn add_to(target: &mut i64, amount: Option<i64>) -> bool {
    match amount.and_then(|a| target.checked_add(a)) {
        Some(sum) => {
            *target = sum;
            true
        }
        None => false,
    }
}

fn is_value(c: &Cursor<'_>) -> bool {
    matches!(c.peek().kind, TokenKind::Word(word) if word.starts_with('s'))
}
