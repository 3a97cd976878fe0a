//! From characters to tokens.

use std::fmt;
use std::ops::Range;

/// A piece of punctuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`text` gives the characters")]
pub enum Punct {
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Less,
    LessEqual,
    Greater,
    Comma,
    Colon,
    Equal,
    Arrow,
    Star,
    Plus,
    Minus,
}

impl Punct {
    /// Every piece; those that another one starts with come after it.
    const ALL: [Punct; 16] = [
        Punct::LeftParen,
        Punct::RightParen,
        Punct::LeftBrace,
        Punct::RightBrace,
        Punct::LeftBracket,
        Punct::RightBracket,
        Punct::LessEqual,
        Punct::Less,
        Punct::Greater,
        Punct::Comma,
        Punct::Colon,
        Punct::Equal,
        Punct::Arrow,
        Punct::Star,
        Punct::Plus,
        Punct::Minus,
    ];

    /// The characters.
    pub const fn text(self) -> &'static str {
        match self {
            Punct::LeftParen => "(",
            Punct::RightParen => ")",
            Punct::LeftBrace => "{",
            Punct::RightBrace => "}",
            Punct::LeftBracket => "[",
            Punct::RightBracket => "]",
            Punct::Less => "<",
            Punct::LessEqual => "<=",
            Punct::Greater => ">",
            Punct::Comma => ",",
            Punct::Colon => ":",
            Punct::Equal => "=",
            Punct::Arrow => "->",
            Punct::Star => "*",
            Punct::Plus => "+",
            Punct::Minus => "-",
        }
    }
}

impl fmt::Display for Punct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What a token is. Slices are of the text that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind<'a> {
    /// A word.
    Word(&'a str),
    /// A name that stood after `%`.
    Value(&'a str),
    /// A name that stood after `@`.
    Symbol(&'a str),
    /// An integer without sign.
    Int(u64),
    /// A float without sign, as written: what it rounds to depends on the type it is read as.
    Float(&'a str),
    /// A string between its quotes, with escapes as written.
    Str(&'a str),
    /// A piece of punctuation.
    Punct(Punct),
    /// The end of the text.
    End,
    /// A number that is malformed or does not fit 64 bits.
    BadNumber,
    /// A string that does not end on its line.
    BadString,
    /// Something that starts no token: a character, or `%` or `@` without a name.
    BadCharacter,
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind<'a>,
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// Whether it is the first token of its line.
    pub starts_line: bool,
}

/// Reads a text token by token; after the last one it gives [`TokenKind::End`] forever.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    started: bool,
}

/// Whether `text` is one word token.
pub fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.as_bytes()[0].is_ascii_digit() && text.bytes().all(is_word_byte)
}

/// Whether `text` may stand after `%` or `@`.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && name_length(text.as_bytes()) == text.len()
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Number of bytes at the start that belong to a name.
fn name_length(bytes: &[u8]) -> usize {
    (0..bytes.len())
        .find(|&i| match bytes[i] {
            b'/' => bytes.get(i + 1) == Some(&b'/'),
            b => !is_word_byte(b) && b != b'.',
        })
        .unwrap_or(bytes.len())
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of a text.
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0, started: false }
    }

    /// Starts at a byte of a text, where a token begins.
    pub(super) fn starting_at(text: &'a str, at: usize) -> Lexer<'a> {
        Lexer { text, at, started: false }
    }

    /// The next token.
    pub fn token(&mut self) -> Token<'a> {
        let starts_line = self.skip_blank() || !self.started;
        self.started = true;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let kind = match rest.first() {
            None => TokenKind::End,
            Some(b'"') => self.string(),
            Some(b'%' | b'@') => self.name(),
            Some(b) if b.is_ascii_digit() => self.number(),
            Some(&b) if is_word_byte(b) => {
                self.advance_while(is_word_byte);
                TokenKind::Word(&self.text[start..self.at])
            }
            Some(_) => self.punctuation(),
        };
        Token { kind, range: start..self.at, starts_line }
    }

    /// Skips blanks and comments; whether a line ended.
    fn skip_blank(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let mut line_ended = false;
        loop {
            match bytes.get(self.at) {
                Some(b'\n') => {
                    line_ended = true;
                    self.at += 1;
                }
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b';') => self.advance_while(|b| b != b'\n'),
                Some(b'/') if bytes.get(self.at + 1) == Some(&b'/') => self.advance_while(|b| b != b'\n'),
                _ => return line_ended,
            }
        }
    }

    fn advance_while(&mut self, holds: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&b| !holds(b)).unwrap_or(rest.len());
    }

    fn string(&mut self) -> TokenKind<'a> {
        let start = self.at + 1;
        self.at = start;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                None | Some(b'\n') => return TokenKind::BadString,
                Some(b'"') => {
                    self.at += 1;
                    return TokenKind::Str(&self.text[start..self.at - 1]);
                }
                // What follows a backslash is checked when the escapes are read; here it only must not end the string.
                Some(b'\\') if matches!(bytes.get(self.at + 1), Some(b'"' | b'\\')) => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
    }

    fn name(&mut self) -> TokenKind<'a> {
        let sigil = self.text.as_bytes()[self.at];
        let start = self.at + 1;
        self.at = start + name_length(&self.text.as_bytes()[start..]);
        let name = &self.text[start..self.at];
        match sigil {
            _ if name.is_empty() => TokenKind::BadCharacter,
            b'%' => TokenKind::Value(name),
            _ => TokenKind::Symbol(name),
        }
    }

    fn number(&mut self) -> TokenKind<'a> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        if self.text[start..].starts_with("0x") {
            self.advance_while(is_word_byte);
            return match u64::from_str_radix(&self.text[start + 2..self.at], 16) {
                Ok(value) => TokenKind::Int(value),
                Err(_) => TokenKind::BadNumber,
            };
        }
        self.advance_while(|b| b.is_ascii_digit());
        let mut is_float = false;
        if bytes.get(self.at) == Some(&b'.') && bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            is_float = true;
            self.at += 1;
            self.advance_while(|b| b.is_ascii_digit());
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            let sign = usize::from(matches!(bytes.get(self.at + 1), Some(b'+' | b'-')));
            if bytes.get(self.at + 1 + sign).is_some_and(u8::is_ascii_digit) {
                is_float = true;
                self.at += 1 + sign;
                self.advance_while(|b| b.is_ascii_digit());
            }
        }
        let end = self.at;
        self.advance_while(is_word_byte);
        let number = &self.text[start..self.at];
        match number.parse() {
            _ if self.at != end => TokenKind::BadNumber,
            _ if is_float => TokenKind::Float(number),
            Ok(value) => TokenKind::Int(value),
            Err(_) => TokenKind::BadNumber,
        }
    }

    fn punctuation(&mut self) -> TokenKind<'a> {
        let rest = &self.text[self.at..];
        if let Some(punct) = Punct::ALL.into_iter().find(|p| rest.starts_with(p.text())) {
            self.at += punct.text().len();
            return TokenKind::Punct(punct);
        }
        self.at += rest.chars().next().map_or(0, char::len_utf8);
        TokenKind::BadCharacter
    }
}

#[cfg(test)]
mod tests {
    use super::TokenKind::{BadCharacter, BadNumber, BadString, Float, Int, Str, Symbol, Value, Word};
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind<'_>> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| Some(lexer.token().kind).filter(|k| *k != TokenKind::End)).collect()
    }

    #[test]
    fn every_kind_of_token() {
        assert_eq!(
            kinds("kernel %dense1/kernel @w/adam/m.0 0x1F 18446744073709551615 1e-3 1.5E+2 \"a\\\"\\\\\""),
            [
                Word("kernel"),
                Value("dense1/kernel"),
                Symbol("w/adam/m.0"),
                Int(31),
                Int(u64::MAX),
                Float("1e-3"),
                Float("1.5E+2"),
                Str("a\\\"\\\\"),
            ]
        );
        let pieces: Vec<_> = Punct::ALL.iter().map(|p| p.text()).collect();
        let expected: Vec<_> = Punct::ALL.iter().map(|&p| TokenKind::Punct(p)).collect();
        assert_eq!(kinds(&pieces.join(" ")), expected);
        assert_eq!(
            kinds("i0-1->x"),
            [Word("i0"), TokenKind::Punct(Punct::Minus), Int(1), TokenKind::Punct(Punct::Arrow), Word("x")]
        );
    }

    #[test]
    fn comments_run_to_the_end_of_the_line() {
        assert_eq!(kinds("a ; b \" {\n@w// c\n; d"), [Word("a"), Symbol("w")]);
    }

    #[test]
    fn what_is_no_token_is_named_as_such() {
        assert_eq!(kinds("18446744073709551616"), [BadNumber]);
        assert_eq!(kinds("0x 0xg 10abc 1.5f"), [BadNumber; 4]);
        assert_eq!(kinds("\"abc\n1 \"abc\\"), [BadString, Int(1), BadString]);
        assert_eq!(kinds("% @ é / \0"), [BadCharacter; 5]);
    }

    #[test]
    fn ranges_and_line_starts() {
        let mut lexer = Lexer::new("  é a\n ; c\n  b");
        let tokens: Vec<_> = (0..4).map(|_| lexer.token()).map(|t| (t.range, t.starts_line)).collect();
        assert_eq!(tokens, [(2..4, true), (5..6, false), (14..15, true), (15..15, false)]);
    }

    #[test]
    fn words_and_names() {
        assert!(is_word("a_1") && !is_word("1a") && !is_word("") && !is_word("a/b"));
        assert!(is_name("1/a.b") && is_name("a/") && !is_name("") && !is_name("a//b") && !is_name("a b"));
    }
}
