//! From tokens to syntax.

use std::collections::HashSet;

use super::parts::{attribute, call, taken, tensor_type, variables};
use super::syntax::{AttributeSyntax, Body, File, Func, FuncResult, Name, NodeSyntax, Returned};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::graph::{Train, Variable};
use crate::text::{Cursor, Parsed, Punct, TokenKind};
use crate::types::TensorType;

/// Reads a whole text.
///
/// # Errors
/// Every error of syntax, with the text under the name `name`.
pub fn read<'a>(name: &str, text: &'a str) -> Result<File<'a>, Diagnostics> {
    let mut cursor = Cursor::new(text);
    let c = &mut cursor;
    let mut file = File::default();
    if let Err(error) = header(c, &mut file) {
        recover(c, error, 0);
    }
    while !c.at_end() && !c.is_full() {
        let start = c.peek().range.start;
        if let Err(error) = declaration(c, &mut file) {
            recover(c, error, start);
        }
    }
    cursor.finish(name)?;
    Ok(file)
}

/// Reports an error in the declaration that began at `start`, and skips to the next one.
fn recover(c: &mut Cursor<'_>, error: Diagnostic, start: usize) {
    c.report(error);
    let at_declaration =
        |c: &Cursor<'_>| c.peek().starts_line && ["var", "func", "train"].iter().any(|word| c.at_word(word));
    c.skip_statement(start);
    while !c.at_end() && !at_declaration(c) {
        c.skip_statement(c.peek().range.start);
    }
}

fn header<'a>(c: &mut Cursor<'a>, file: &mut File<'a>) -> Parsed<()> {
    if c.eat_word("module") {
        file.name = c.symbol("the module's name, such as `@mnist`")?.0;
    }
    Ok(())
}

fn declaration<'a>(c: &mut Cursor<'a>, file: &mut File<'a>) -> Parsed<()> {
    if c.eat_word("var") {
        file.variables.push(variable(c)?);
    } else if c.eat_word("func") {
        file.functions.push(function(c)?);
    } else if c.eat_word("train") {
        file.trains.push(train(c)?);
    } else {
        return Err(c.expected("`var`, `func` or `train`"));
    }
    Ok(())
}

fn variable(c: &mut Cursor<'_>) -> Parsed<Variable> {
    let (name, range) = c.symbol("the variable's name, such as `@w`")?;
    c.expect(Punct::Colon)?;
    let ty = tensor_type(c)?.0;
    c.expect(Punct::Equal)?;
    let init = call(c, "an initialiser, such as `zeros`")?;
    let mut trainable = true;
    if c.eat(Punct::LeftBrace) {
        c.expect_word("trainable")?;
        c.expect(Punct::Equal)?;
        trainable = c.eat_word("true");
        if !trainable {
            c.expect_word("false").map_err(|_| c.expected("`true` or `false`"))?;
        }
        c.expect(Punct::RightBrace)?;
    }
    Ok(Variable { name: name.to_owned(), ty, init, trainable, place: Place::Text(range) })
}

fn function<'a>(c: &mut Cursor<'a>) -> Parsed<Func<'a>> {
    let name: Name<'_> = c.symbol("the function's name, such as `@loss`")?.into();
    let params = c.list(Punct::LeftParen, Punct::RightParen, param)?;
    let mut results = Vec::new();
    if c.eat(Punct::Arrow) {
        if c.at(Punct::LeftParen) {
            results = c.list(Punct::LeftParen, Punct::RightParen, result)?;
        } else {
            results.push(result(c)?);
        }
    }
    let mut body = Body::default();
    let mut broken = false;
    c.block(|c| {
        let read = statement(c, &mut body);
        broken |= read.is_err();
        read
    })?;
    if body.returned.is_none() && !broken {
        let end = c.since(0).end;
        return Err(Diagnostic::new("E0109", format!("the function `@{}` does not return", name.text))
            .at(Place::Text(end - 1..end), "expected `return` before this")
            .help("write `return` and the values of the results, with `,` between them"));
    }
    Ok(Func { name, params, results, body })
}

fn statement<'a>(c: &mut Cursor<'a>, body: &mut Body<'a>) -> Parsed<()> {
    if let Some(returned) = &body.returned {
        return Err(c
            .expected("`}` after `return`")
            .at(Place::Text(returned.range.clone()), "it returns here"));
    }
    let is_first = body.nodes.is_empty() && body.assigns.is_empty();
    if !c.peek().starts_line && !is_first {
        return Err(c.expected("the end of the line"));
    }
    if c.at_word("return") {
        let range = c.take().range;
        body.returned = Some(Returned { range, values: values(c)? });
    } else if c.eat_word("assign") {
        let variable = c.symbol("the variable to assign, such as `@w`")?.into();
        c.expect(Punct::Comma)?;
        body.assigns.push((variable, c.value("its new value, such as `%5`")?.into()));
    } else {
        body.nodes.push(node(c)?);
    }
    Ok(())
}

fn param<'a>(c: &mut Cursor<'a>) -> Parsed<(Name<'a>, TensorType)> {
    let name = c.value("a parameter, such as `%x: f32[N]`")?.into();
    c.expect(Punct::Colon)?;
    Ok((name, tensor_type(c)?.0))
}

fn result<'a>(c: &mut Cursor<'a>) -> Parsed<FuncResult<'a>> {
    let mut name = None;
    if c.at_second(Punct::Colon) {
        name = Some(c.word("the name of a result")?.into());
        c.expect(Punct::Colon)?;
    }
    let (ty, range) = tensor_type(c)?;
    Ok(FuncResult { name, ty, range })
}

fn node<'a>(c: &mut Cursor<'a>) -> Parsed<NodeSyntax<'a>> {
    let mut results = vec![c.value("`%name = op ..`, `assign` or `return`")?.into()];
    while c.eat(Punct::Comma) {
        results.push(c.value("a further result")?.into());
    }
    c.expect(Punct::Equal)?;
    let op = c.word("an op, such as `matmul`")?.into();
    let mut symbols = Vec::new();
    while let TokenKind::Symbol(name) = c.peek().kind {
        symbols.push((name, c.take().range).into());
    }
    let mut operands = Vec::new();
    if symbols.is_empty() || c.eat(Punct::Comma) {
        operands = values(c)?;
    }
    let mut attributes = Vec::new();
    if c.at(Punct::LeftBrace) {
        let mut names = HashSet::new();
        attributes = c.list(Punct::LeftBrace, Punct::RightBrace, |c| {
            let name: Name<'_> = c.word("the name of an attribute")?.into();
            if !names.insert(name.text) {
                return Err(taken("attribute", &name));
            }
            c.expect(Punct::Equal)?;
            let start = c.peek().range.start;
            let value = attribute(c)?;
            Ok(AttributeSyntax { name, value, range: c.since(start) })
        })?;
    }
    let mut types = Vec::new();
    if c.eat(Punct::Colon) {
        types.push(tensor_type(c)?);
        while c.eat(Punct::Comma) {
            types.push(tensor_type(c)?);
        }
    }
    Ok(NodeSyntax { results, op, symbols, operands, attributes, types })
}

/// Values with `,` between them, or none if the next token begins a line: it begins a node, then.
fn values<'a>(c: &mut Cursor<'a>) -> Parsed<Vec<Name<'a>>> {
    let mut values = Vec::new();
    if matches!(c.peek().kind, TokenKind::Value(_)) && !c.peek().starts_line {
        values.push(c.value("a value")?.into());
        while c.eat(Punct::Comma) {
            values.push(c.value("a value, such as `%x`")?.into());
        }
    }
    Ok(values)
}

fn train(c: &mut Cursor<'_>) -> Parsed<Train> {
    let (name, range) = c.symbol("the training step's name, such as `@train_step`")?;
    let params = c.list(Punct::LeftParen, Punct::RightParen, param)?;
    c.expect(Punct::Equal)?;
    c.expect_word("minimize")?;
    let loss = c.symbol("the function to minimize, such as `@loss`")?.0;
    let over = match c.eat_word("over") {
        true => {
            let start = c.peek().range.start;
            let names = variables(c)?;
            if names.is_empty() {
                return Err(Diagnostic::new("E0108", "`over` names no variable")
                    .at(Place::Text(c.since(start)), "expected `(@w)`, for example")
                    .help("leave `over` out to train every trainable variable that the loss reads"));
            }
            names
        }
        false => Vec::new(),
    };
    c.expect_word("with")?;
    let mut with = vec![call(c, "an optimizer, such as `adam(lr = %lr)`")?];
    while c.eat(Punct::Comma) {
        with.push(call(c, "a modifier, such as `clip_norm(1.0)`")?);
    }
    Ok(Train {
        name: name.to_owned(),
        params: params.into_iter().map(|(name, ty)| (name.text.to_owned(), ty)).collect(),
        loss: loss.to_owned(),
        over,
        with,
        place: Place::Text(range),
    })
}
