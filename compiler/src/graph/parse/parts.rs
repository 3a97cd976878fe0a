//! Types, attributes and calls: what declarations and statements are made of.

use std::collections::HashSet;
use std::ops::Range;

use super::syntax::Name;
use crate::diagnostic::{Diagnostic, Place};
use crate::graph::verify::check_type;
use crate::graph::{Argument, Call};
use crate::ops::attributes::{Attribute, AttributeValue as _};
use crate::tensor::Scalar;
use crate::text::{Cursor, Literal, Parsed, Punct, TokenKind};
use crate::types::{DType, Extent, Shape, TensorType};

/// Reads a type and its bytes.
pub fn tensor_type(c: &mut Cursor<'_>) -> Parsed<(TensorType, Range<usize>)> {
    let start = c.peek().range.start;
    let dtype = c.dtype()?;
    let extents = c.list(Punct::LeftBracket, Punct::RightBracket, |c| match c.peek().kind {
        TokenKind::Word("N") => {
            c.take();
            Ok(Extent::N)
        }
        _ => {
            let start = c.peek().range.start;
            let size = c.size("an extent: a number, `N` or `c*N`")?;
            if c.at(Punct::Star) { multiple_of_n(c, size, start) } else { Ok(Extent::Const(size)) }
        }
    })?;
    let (ty, range) = (TensorType::new(dtype, Shape(extents)), c.since(start));
    check_type(&ty).map_err(|e| e.at(Place::Text(range.clone()), ""))?;
    Ok((ty, range))
}

/// Reads `* N` after a factor that began at `start`.
fn multiple_of_n(c: &mut Cursor<'_>, factor: usize, start: usize) -> Parsed<Extent> {
    c.expect(Punct::Star)?;
    c.expect_word("N")?;
    if factor == 0 {
        return Err(Diagnostic::new("E0102", "a multiple of `N` must be at least 1")
            .at(Place::Text(c.since(start)), "")
            .help("write `0` for an empty axis"));
    }
    Ok(Extent::Batch(factor))
}

/// Reads the value of an attribute.
pub fn attribute(c: &mut Cursor<'_>) -> Parsed<Attribute> {
    match c.peek().kind {
        TokenKind::Str(_) => Ok(Attribute::Text(c.string("a text")?)),
        TokenKind::Punct(Punct::LeftBracket) => {
            Ok(Attribute::List(c.list(Punct::LeftBracket, Punct::RightBracket, attribute)?))
        }
        // None stands here in a right text, but this way the error can say where it belongs.
        TokenKind::Symbol(name) => {
            c.take();
            Ok(Attribute::Symbol(name.to_owned()))
        }
        TokenKind::Word("N") => {
            c.take();
            Ok(Extent::N.to_attribute())
        }
        TokenKind::Word(word) if !is_literal(word) => {
            c.take();
            Ok(Attribute::Word(word.to_owned()))
        }
        TokenKind::Word(_) | TokenKind::Int(_) | TokenKind::Float(_) | TokenKind::Punct(Punct::Minus) => {
            let literal = c.literal()?;
            match literal.kind {
                TokenKind::Int(_) => {
                    let value = literal.as_i64().ok_or_else(|| inexact(&literal, "does not fit i64"))?;
                    match usize::try_from(value) {
                        Ok(factor) if c.at(Punct::Star) => {
                            Ok(multiple_of_n(c, factor, literal.range.start)?.to_attribute())
                        }
                        _ => Ok(Attribute::Int(value)),
                    }
                }
                TokenKind::Word("true" | "false") => Ok(Attribute::Bool(boolean(&literal)?)),
                _ => Ok(Attribute::Float(literal.scalar(DType::F64)?.as_f64())),
            }
        }
        _ => Err(c.expected("the value of an attribute")),
    }
}

/// Whether a word is a number or bool.
fn is_literal(word: &str) -> bool {
    matches!(word, "inf" | "nan" | "true" | "false")
}

fn boolean(literal: &Literal<'_>) -> Parsed<bool> {
    Ok(literal.scalar(DType::Bool)? == Scalar::Bool(true))
}

fn inexact(literal: &Literal<'_>, why: &str) -> Diagnostic {
    Diagnostic::new("E0102", "number out of range").at(Place::Text(literal.range.clone()), why)
}

/// The error that an attribute or argument is given twice.
pub fn taken(kind: &str, name: &Name<'_>) -> Diagnostic {
    Diagnostic::new("E0107", format!("the {kind} `{}` is given twice", name.text))
        .at(name.place(), "again here")
}

/// Reads a word with arguments; `what` says what it should name.
pub fn call(c: &mut Cursor<'_>, what: &str) -> Parsed<Call> {
    let (name, range) = c.word(what)?;
    let mut args = Vec::new();
    if c.at(Punct::LeftParen) {
        let mut names = HashSet::new();
        args = c.list(Punct::LeftParen, Punct::RightParen, |c| {
            let mut key = None;
            if c.at_second(Punct::Equal) {
                let name: Name<'_> = c.word("the name of an argument")?.into();
                c.expect(Punct::Equal)?;
                if !names.insert(name.text) {
                    return Err(taken("argument", &name));
                }
                key = Some(name.text.to_owned());
            }
            Ok((key, argument(c)?))
        })?;
    }
    Ok(Call { name: name.to_owned(), args, place: Place::Text(range) })
}

fn argument(c: &mut Cursor<'_>) -> Parsed<Argument> {
    match c.peek().kind {
        TokenKind::Str(_) => Ok(Argument::Text(c.string("a text")?)),
        TokenKind::Value(name) => {
            c.take();
            Ok(Argument::Param(name.to_owned()))
        }
        TokenKind::Punct(Punct::LeftParen) => Ok(Argument::Variables(variables(c)?)),
        TokenKind::Word(word) if !is_literal(word) => Ok(Argument::Call(call(c, "a call")?)),
        TokenKind::Word(_) | TokenKind::Int(_) | TokenKind::Float(_) | TokenKind::Punct(Punct::Minus) => {
            let literal = c.literal()?;
            match literal.kind {
                TokenKind::Word("true" | "false") => Ok(Argument::Bool(boolean(&literal)?)),
                // Whole numbers are seeds and counts, where a neighbour will not do.
                TokenKind::Int(v) if v as f64 as u128 != u128::from(v) => {
                    Err(inexact(&literal, "does not fit f64 exactly"))
                }
                _ => Ok(Argument::Number(literal.scalar(DType::F64)?.as_f64())),
            }
        }
        _ => Err(c.expected("an argument: a number, a text, `%param`, `(@variable)` or a call")),
    }
}

/// Reads `(@w, @b)`.
pub fn variables(c: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    c.list(Punct::LeftParen, Punct::RightParen, |c| Ok(c.symbol("a variable, such as `@w`")?.0.to_owned()))
}
