//! A position in a text, with what a parser asks of it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Lexer, Literal, Punct, Token, TokenKind};
use crate::diagnostic::{Diagnostic, Diagnostics, MAX_ERRORS, Place, Source};
use crate::types::DType;

/// How deep brackets of all kinds may nest.
pub const MAX_NESTING: usize = 64;

/// What a parsing function returns; the error is not yet reported.
pub type Parsed<T> = Result<T, Diagnostic>;

/// A position in a text: the token that comes next, and the errors so far.
///
/// Functions named `eat` take a token if it is there; those named `expect` fail with E0101 if it is not.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    next: Token<'a>,
    previous_end: usize,
    depth: usize,
    errors: Vec<Diagnostic>,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first token.
    pub fn new(text: &'a str) -> Cursor<'a> {
        let mut lexer = Lexer::new(text);
        let next = lexer.token();
        Cursor { text, lexer, next, previous_end: 0, depth: 0, errors: Vec::new() }
    }

    /// The token that comes next.
    pub fn peek(&self) -> &Token<'a> {
        &self.next
    }

    /// Takes the token that comes next.
    pub fn take(&mut self) -> Token<'a> {
        self.previous_end = self.next.range.end;
        std::mem::replace(&mut self.next, self.lexer.token())
    }

    /// Whether no token is left.
    pub fn at_end(&self) -> bool {
        self.next.kind == TokenKind::End
    }

    /// Whether this piece of punctuation comes next.
    pub fn at(&self, punct: Punct) -> bool {
        self.next.kind == TokenKind::Punct(punct)
    }

    /// Whether this piece of punctuation comes after the next token.
    pub fn at_second(&self, punct: Punct) -> bool {
        self.lexer.clone().token().kind == TokenKind::Punct(punct)
    }

    /// Whether this word comes next.
    pub fn at_word(&self, word: &str) -> bool {
        matches!(self.next.kind, TokenKind::Word(w) if w == word)
    }

    /// The bytes from `start`, the beginning of some token, to the end of the token that was taken last.
    pub fn since(&self, start: usize) -> Range<usize> {
        start..self.previous_end.max(start)
    }

    /// Takes this piece of punctuation if it comes next; whether it did.
    pub fn eat(&mut self, punct: Punct) -> bool {
        let found = self.at(punct);
        if found {
            self.take();
        }
        found
    }

    /// Takes this word if it comes next; whether it did.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.take();
        }
        found
    }

    /// Takes this piece of punctuation.
    ///
    /// # Errors
    /// E0101 if something else comes next.
    pub fn expect(&mut self, punct: Punct) -> Parsed<Range<usize>> {
        if self.at(punct) { Ok(self.take().range) } else { Err(self.expected(format_args!("`{punct}`"))) }
    }

    /// Takes this word.
    ///
    /// # Errors
    /// E0101 if something else comes next.
    pub fn expect_word(&mut self, word: &str) -> Parsed<Range<usize>> {
        if self.at_word(word) { Ok(self.take().range) } else { Err(self.expected(format_args!("`{word}`"))) }
    }

    /// Takes any word; `what` says what it should name.
    ///
    /// # Errors
    /// E0101 if no word comes next.
    pub fn word(&mut self, what: &str) -> Parsed<(&'a str, Range<usize>)> {
        match self.next.kind {
            TokenKind::Word(word) => Ok((word, self.take().range)),
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a word that is `prefix` and a decimal number below 2³² - 1 without leading zeros, such as `buf12`.
    ///
    /// # Errors
    /// E0101 if something else comes next.
    pub fn numbered(&mut self, prefix: &str) -> Parsed<(u32, Range<usize>)> {
        let number = match self.next.kind {
            TokenKind::Word(word) => word.strip_prefix(prefix).and_then(parse_number),
            _ => None,
        };
        match number {
            Some(number) => Ok((number, self.take().range)),
            None => Err(self.expected(format_args!("`{prefix}` and a number"))),
        }
    }

    /// Takes a name after `%`; `what` says what it should name.
    ///
    /// # Errors
    /// E0101 if no such token comes next.
    pub fn value(&mut self, what: &str) -> Parsed<(&'a str, Range<usize>)> {
        match self.next.kind {
            TokenKind::Value(name) => Ok((name, self.take().range)),
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a name after `@`; `what` says what it should name.
    ///
    /// # Errors
    /// E0101 if no such token comes next.
    pub fn symbol(&mut self, what: &str) -> Parsed<(&'a str, Range<usize>)> {
        match self.next.kind {
            TokenKind::Symbol(name) => Ok((name, self.take().range)),
            _ => Err(self.expected(what)),
        }
    }

    /// Takes an integer without sign; `what` says what it counts.
    ///
    /// # Errors
    /// E0101 if no integer comes next.
    pub fn unsigned(&mut self, what: &str) -> Parsed<(u64, Range<usize>)> {
        match self.next.kind {
            TokenKind::Int(value) => Ok((value, self.take().range)),
            _ => Err(self.expected(what)),
        }
    }

    /// Takes an integer without sign as a size; `what` says of what.
    ///
    /// # Errors
    /// E0101 if no integer comes next, E0102 if it does not fit.
    pub fn size(&mut self, what: &str) -> Parsed<usize> {
        let (value, range) = self.unsigned(what)?;
        usize::try_from(value).map_err(|_| out_of_range(range, "a size"))
    }

    /// Takes an integer with an optional `-`; `what` says what it counts.
    ///
    /// # Errors
    /// E0101 if no integer comes next, E0102 if it does not fit.
    pub fn integer(&mut self, what: &str) -> Parsed<i64> {
        let start = self.next.range.start;
        let negative = self.eat(Punct::Minus);
        let (magnitude, _) = self.unsigned(what)?;
        let value = if negative { 0i64.checked_sub_unsigned(magnitude) } else { magnitude.try_into().ok() };
        value.ok_or_else(|| out_of_range(self.since(start), "i64"))
    }

    /// Takes a string and reads its escapes; `what` says what it holds.
    ///
    /// # Errors
    /// E0101 if no string comes next, E0103 if it has an escape that is not known.
    pub fn string(&mut self, what: &str) -> Parsed<String> {
        match self.next.kind {
            TokenKind::Str(raw) => {
                let range = self.take().range;
                unescape(raw).map_err(|bad| {
                    let at = range.start + 1 + bad;
                    Diagnostic::new("E0103", "unknown escape in a string")
                        .at(Place::Text(at..at + 1), "this `\\` starts no escape")
                        .help("write `\\\\` for a backslash")
                })
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes the name of a dtype.
    ///
    /// # Errors
    /// E0101 if no word comes next, E0106 if it names no dtype.
    pub fn dtype(&mut self) -> Parsed<DType> {
        let (name, range) = self.word("a dtype")?;
        DType::from_name(name).ok_or_else(|| {
            let names: Vec<_> = DType::ALL.iter().map(|d| format!("`{d}`")).collect();
            self.unknown("dtype", name, range).note(format!("dtypes are {}", names.join(", ")))
        })
    }

    /// Takes a scalar whose type comes from elsewhere.
    ///
    /// # Errors
    /// E0101 if none comes next.
    pub fn literal(&mut self) -> Parsed<Literal<'a>> {
        let start = self.next.range.start;
        let negative = self.eat(Punct::Minus);
        let kind = match self.next.kind {
            kind @ (TokenKind::Int(_) | TokenKind::Float(_)) => kind,
            kind @ TokenKind::Word("inf" | "nan" | "true" | "false") => kind,
            _ => return Err(self.expected("a number, `true` or `false`")),
        };
        self.take();
        let mut bits = None;
        if kind == TokenKind::Word("nan") && self.eat(Punct::LeftParen) {
            bits = Some(self.unsigned("the bits of the NaN")?.0);
            self.expect(Punct::RightParen)?;
        }
        Ok(Literal { negative, kind, bits, range: self.since(start) })
    }

    /// Reads what stands within a pair of brackets that nest, so that depth is bounded.
    ///
    /// # Errors
    /// E0105 if they nest deeper than [`MAX_NESTING`], and what `inner` returns.
    pub fn nest<T>(&mut self, inner: impl FnOnce(&mut Cursor<'a>) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_NESTING {
            return Err(Diagnostic::new("E0105", format!("brackets nest deeper than {MAX_NESTING}"))
                .at(Place::Text(self.next.range.clone()), "one too many"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Takes `open`, any number of items with `,` between them, and `close`.
    ///
    /// # Errors
    /// E0101 and E0105, and what `item` returns.
    pub fn list<T>(
        &mut self,
        open: Punct,
        close: Punct,
        mut item: impl FnMut(&mut Cursor<'a>) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.expect(open)?;
        let items = self.nest(|cursor| {
            let mut items = Vec::new();
            while !cursor.at(close) {
                items.push(item(cursor)?);
                if !cursor.eat(Punct::Comma) && !cursor.at(close) {
                    return Err(cursor.expected(format_args!("`,` or `{close}`")));
                }
            }
            Ok(items)
        })?;
        self.expect(close)?;
        Ok(items)
    }

    /// Takes `{`, statements, and `}`. An error in a statement is reported and its statement skipped; the values of the
    /// others are dropped with the parse, since [`Cursor::finish`] then fails.
    ///
    /// # Errors
    /// E0101 if a brace is missing, E0105.
    pub fn block(&mut self, mut statement: impl FnMut(&mut Cursor<'a>) -> Parsed<()>) -> Parsed<()> {
        let open = self.expect(Punct::LeftBrace)?;
        self.nest(|cursor| {
            while !cursor.at(Punct::RightBrace) && !cursor.at_end() && !cursor.is_full() {
                let start = cursor.next.range.start;
                if let Err(error) = statement(cursor) {
                    cursor.report(error);
                    cursor.skip_statement(start);
                }
            }
            Ok(())
        })?;
        if !self.eat(Punct::RightBrace) && !self.is_full() {
            return Err(self.expected("`}`").at(Place::Text(open), "to close this brace"));
        }
        Ok(())
    }

    /// Skips to the end of the statement that began at `start`: to the first token of a line or the closing brace of the
    /// block, whichever comes first outside of braces that open within the statement. At least one token is taken after
    /// `start`, so that loops over statements end.
    pub fn skip_statement(&mut self, start: usize) {
        let mut braces = Braces::default();
        // What was read before the error may have opened some.
        let mut lexer = Lexer::starting_at(self.text, start);
        let mut token = lexer.token();
        while token.range.start < self.next.range.start {
            let following = lexer.token();
            braces.pass(&token, &following);
            token = following;
        }
        while !self.at_end() {
            let taken = self.next.range.start > start;
            let closes = self.at(Punct::RightBrace) && braces.inline == 0;
            if taken && braces.blocks == 0 && (self.next.starts_line || closes) {
                return;
            }
            let token = self.take();
            braces.pass(&token, &self.next);
        }
    }

    /// The error that `what` was expected and something else comes next; or what is wrong with the next token itself.
    #[must_use]
    pub fn expected(&self, what: impl fmt::Display) -> Diagnostic {
        let place = Place::Text(self.next.range.clone());
        match self.next.kind {
            TokenKind::BadNumber => Diagnostic::new("E0102", "malformed number, or one of more than 64 bits")
                .at(place, format!("expected {what}")),
            TokenKind::BadString => Diagnostic::new("E0103", "a string does not end on its line")
                .at(place, "it begins here")
                .help("end it with `\"`; write a line end as `\\n`"),
            TokenKind::BadCharacter => Diagnostic::new("E0104", format!("{} starts no token", self.found()))
                .at(place, format!("expected {what}")),
            _ => Diagnostic::new("E0101", format!("expected {what}, found {}", self.found()))
                .at(place, format!("expected {what}")),
        }
    }

    /// The error that `name` names nothing of this kind.
    #[must_use]
    pub fn unknown(&self, kind: &str, name: &str, range: Range<usize>) -> Diagnostic {
        Diagnostic::new("E0106", format!("unknown {kind} `{}`", shorten(name)))
            .at(Place::Text(range), format!("no {kind} has this name"))
    }

    /// The next token, for an error.
    fn found(&self) -> String {
        match self.next.kind {
            TokenKind::End => "the end of the text".into(),
            _ => format!("`{}`", shorten(&self.text[self.next.range.clone()])),
        }
    }

    /// Notes an error; the parse goes on.
    pub fn report(&mut self, error: Diagnostic) {
        if !self.is_full() {
            self.errors.push(error);
        }
    }

    /// Whether so many errors were reported that reading on is of no use.
    pub fn is_full(&self) -> bool {
        self.errors.len() >= MAX_ERRORS
    }

    /// Ends the parse.
    ///
    /// # Errors
    /// What was reported, with the text under the name `name`.
    pub fn finish(self, name: &str) -> Result<(), Diagnostics> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let source = Source { name: name.into(), text: self.text.into() };
        Diagnostics::check(Some(Arc::new(source)), self.errors)
    }
}

/// The braces that are open at some token of a statement.
#[derive(Debug, Default)]
struct Braces {
    /// Those that end their line, as blocks do.
    blocks: usize,
    /// Those that do not, as attributes do: where one is not closed on its line, it is an error and counts no further.
    inline: usize,
}

impl Braces {
    /// Goes on from `token` to `following`.
    fn pass(&mut self, token: &Token<'_>, following: &Token<'_>) {
        if token.starts_line {
            self.inline = 0;
        }
        match token.kind {
            TokenKind::Punct(Punct::LeftBrace) if following.starts_line => self.blocks += 1,
            TokenKind::Punct(Punct::LeftBrace) => self.inline += 1,
            TokenKind::Punct(Punct::RightBrace) if self.inline > 0 => self.inline -= 1,
            TokenKind::Punct(Punct::RightBrace) => self.blocks = self.blocks.saturating_sub(1),
            _ => {}
        }
    }
}

fn out_of_range(range: Range<usize>, of: &str) -> Diagnostic {
    Diagnostic::new("E0102", "number out of range").at(Place::Text(range), format!("does not fit {of}"))
}

/// A decimal number below 2³² - 1, in the one way it is printed.
fn parse_number(digits: &str) -> Option<u32> {
    let number = digits.parse().ok().filter(|&n: &u32| n < u32::MAX)?;
    let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    canonical.then_some(number)
}

/// The beginning of a text, short enough for a message.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// The string that `raw` stands for, or where an unknown escape begins.
fn unescape(raw: &str) -> Result<String, usize> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let bad = raw.len() - rest.len() + at;
        let escape = &rest[at + 1..];
        let (character, length) = match escape.as_bytes().first() {
            Some(b'"') => ('"', 1),
            Some(b'\\') => ('\\', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'0') => ('\0', 1),
            Some(b'u') => unicode_escape(escape).ok_or(bad)?,
            _ => return Err(bad),
        };
        out.push(character);
        rest = &escape[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The character that `u{…}` at the start of `escape` stands for, and the length of the escape.
fn unicode_escape(escape: &str) -> Option<(char, usize)> {
    const LONGEST: usize = "u{10ffff}".len();
    let head = escape.get(..escape.floor_char_boundary(LONGEST))?;
    let digits = head.strip_prefix("u{")?;
    let digits = &digits[..digits.find('}')?];
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let character = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
    Some((character, digits.len() + "u{}".len()))
}

#[cfg(test)]
mod tests {
    use super::super::quote;
    use super::*;
    use crate::tensor::Scalar;

    fn scalar(text: &str, dtype: DType) -> Option<Scalar> {
        let mut cursor = Cursor::new(text);
        let scalar = cursor.literal().ok()?.scalar(dtype).ok();
        scalar.filter(|_| cursor.at_end())
    }

    #[test]
    fn scalars_print_and_parse() {
        let nan = |bits| Scalar::F32(f32::from_bits(bits));
        let scalars = [
            Scalar::F32(0.1),
            Scalar::F32(-0.0),
            Scalar::F32(f32::MIN_POSITIVE / 4.0),
            Scalar::F32(f32::NEG_INFINITY),
            nan(0x7fc0_0000),
            nan(0xffc0_0000),
            nan(0x7f80_0001),
            Scalar::F64(f64::MAX),
            Scalar::F64(f64::from_bits(0xfff8_0000_0000_0000)),
            Scalar::I32(i32::MIN),
            Scalar::I64(i64::MIN),
            Scalar::I64(i64::MAX),
            Scalar::U8(255),
            Scalar::Bool(true),
        ];
        for s in scalars {
            assert_eq!(scalar(&s.to_string(), s.dtype()), Some(s), "{s}");
        }
    }

    #[test]
    fn a_float_is_rounded_once() {
        // Halfway between two f32 and a little more: rounding to f64 first would lose the little more.
        let text = "1.00000005960464477539062500000000001";
        assert_eq!(scalar(text, DType::F32), Some(Scalar::F32(1.000_000_1)));
        assert_eq!(scalar("16777217", DType::F32), Some(Scalar::F32(16_777_216.0)));
    }

    #[test]
    fn scalars_out_of_range_are_refused() {
        for (text, dtype) in [
            ("2147483648", DType::I32),
            ("-2147483649", DType::I32),
            ("9223372036854775808", DType::I64),
            ("-9223372036854775809", DType::I64),
            ("256", DType::U8),
            ("-1", DType::U8),
            ("1.0", DType::I32),
            ("true", DType::F32),
            ("1", DType::Bool),
            ("-true", DType::Bool),
            ("nan(0)", DType::F32),
            ("nan(0x17fc00000)", DType::F32),
            ("1.0", DType::F16),
        ] {
            let error = Cursor::new(text).literal().and_then(|l| l.scalar(dtype)).unwrap_err();
            assert_eq!(error.code, "E0102", "{text} as {dtype}");
        }
    }

    #[test]
    fn strings_print_and_parse() {
        for text in ["", "a/b", "\"\\\n\r\t\0\u{7f}", "é\u{301}𝄞 // ; "] {
            assert_eq!(Cursor::new(&quote(text)).string("a name").unwrap(), text);
        }
        for text in ["\"\\q\"", "\"\\u{110000}\"", "\"\\u{41\"", "\"\\u{+41}\"", "\"\\u\"", "\"\\u{𝄞𝄞𝄞}\""]
        {
            let error = Cursor::new(text).string("a name").unwrap_err();
            assert_eq!((error.code, &error.labels[0].place), ("E0103", &Place::Text(1..2)), "{text}");
        }
        assert_eq!(Cursor::new("\"a\n").string("a name").unwrap_err().code, "E0103");
    }

    #[test]
    fn numbered_words_have_one_spelling() {
        assert_eq!(Cursor::new("buf0").numbered("buf").unwrap().0, 0);
        assert_eq!(Cursor::new("buf4294967294").numbered("buf").unwrap().0, u32::MAX - 1);
        for text in ["buf", "buf00", "buf01", "buf4294967295", "buf99999999999", "bufx", "3"] {
            assert_eq!(Cursor::new(text).numbered("buf").unwrap_err().code, "E0101", "{text}");
        }
    }

    #[test]
    fn errors_say_what_was_expected_and_found() {
        let error = Cursor::new("a = }").expect(Punct::Colon).unwrap_err();
        assert_eq!(error.message, "expected `:`, found `a`");
        assert_eq!(
            Cursor::new(" ; c").word("a name").unwrap_err().message,
            "expected a name, found the end of the text"
        );
        assert_eq!(Cursor::new("é").word("a name").unwrap_err().message, "`é` starts no token");
        assert_eq!(Cursor::new("f31").dtype().unwrap_err().code, "E0106");
    }

    /// `let WORD` statements, or blocks of them, one a line.
    fn statement(cursor: &mut Cursor<'_>) -> Parsed<()> {
        if cursor.at(Punct::LeftBrace) {
            return cursor.block(statement);
        }
        cursor.expect_word("let")?;
        cursor.word("a name").map(|_| ())
    }

    fn errors(text: &str) -> Vec<(&'static str, usize)> {
        let mut cursor = Cursor::new(text);
        if let Err(error) = cursor.block(statement) {
            cursor.report(error);
        }
        let errors = cursor.finish("t").err().map(|e| e.errors).unwrap_or_default();
        errors
            .into_iter()
            .map(|e| match e.labels[0].place {
                Place::Text(ref range) => (e.code, text[..range.start].matches('\n').count() + 1),
                _ => unreachable!("every error of a cursor has a place in its text"),
            })
            .collect()
    }

    #[test]
    fn one_parse_collects_several_errors() {
        assert_eq!(errors("{\nlet a\n{ let b\nlet c }\n}"), []);
        assert_eq!(
            errors("{\nlet 1 {\n}\nlut a {\nlet\n} junk\nlet é\nlet b\n}"),
            [("E0101", 2), ("E0101", 4), ("E0104", 7)]
        );
        assert_eq!(errors("{\nlet a"), [("E0101", 2)]);
    }

    #[test]
    fn skipping_minds_the_braces_that_a_statement_opened() {
        // Braces that close on their line, that should have, and that hold a block; the error is after three tokens.
        for text in ["a { b 1 }\nc", "a { b 1\nc }", "a {\nb 1\n}\nc"] {
            let mut cursor = Cursor::new(text);
            for _ in 0..3 {
                cursor.take();
            }
            cursor.skip_statement(0);
            assert!(cursor.at_word("c"), "{text}");
        }
        let mut cursor = Cursor::new("a { b } }");
        for _ in 0..3 {
            cursor.take();
        }
        cursor.skip_statement(0);
        assert_eq!(cursor.peek().range, 8..9);
    }

    #[test]
    fn endless_errors_stop_at_the_limit() {
        assert_eq!(errors(&format!("{{{}", "\n1".repeat(100_000))).len(), MAX_ERRORS);
    }

    #[test]
    fn deep_nesting_is_an_error() {
        assert_eq!(errors(&"{".repeat(1_000_000))[0].0, "E0105");
        fn list(cursor: &mut Cursor<'_>) -> Parsed<()> {
            cursor.list(Punct::LeftBracket, Punct::RightBracket, list).map(|_| ())
        }
        assert_eq!(list(&mut Cursor::new(&"[".repeat(1_000_000))).unwrap_err().code, "E0105");
        let deepest = "[".repeat(MAX_NESTING) + &"]".repeat(MAX_NESTING);
        assert!(list(&mut Cursor::new(&deepest)).is_ok());
    }

    #[test]
    fn huge_tokens_take_linear_time_and_short_messages() {
        let digits = "9".repeat(10_000_000);
        let error = Cursor::new(&digits).size("an extent").unwrap_err();
        assert!(error.code == "E0102" && error.message.len() < 200);
        let word = "a".repeat(10_000_000);
        let error = Cursor::new(&word).size("an extent").unwrap_err();
        assert!(error.code == "E0101" && error.message.len() < 200);
    }

    #[test]
    fn lists_end_with_or_without_a_comma() {
        let list =
            |text| Cursor::new(text).list(Punct::LeftParen, Punct::RightParen, |c| c.integer("a number"));
        assert_eq!(list("()").unwrap(), []);
        assert_eq!(list("(1, -2,)").unwrap(), [1, -2]);
        for text in ["(,)", "(1 2)", "(1,,2)", "(1", "(1]"] {
            assert_eq!(list(text).unwrap_err().code, "E0101", "{text}");
        }
    }
}
