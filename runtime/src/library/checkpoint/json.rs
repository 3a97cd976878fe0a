//! As much JSON as the header of a safetensors file has.
//!
//! Reference: RFC 8259.

/// What is read of a text, from left to right. Every function skips white space first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// The text is not JSON, or not what the header of a safetensors file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson {
    /// Where, in bytes from the start of the text.
    pub(super) at: usize,
}

/// A string as it stands between its quotes, with escapes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    pub(super) text: &'a str,
    /// Where it begins in the text that was read, in bytes.
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn error(&self) -> NotJson {
        NotJson { at: self.at }
    }

    /// Takes a character, if it comes next.
    fn takes(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Takes a character, which must come next.
    pub(super) fn take(&mut self, wanted: u8) -> Result<(), NotJson> {
        if self.takes(wanted) { Ok(()) } else { Err(self.error()) }
    }

    /// Takes the end.
    pub(super) fn end(mut self) -> Result<(), NotJson> {
        if self.peek().is_none() { Ok(()) } else { Err(self.error()) }
    }

    /// Reads an object: `member` is called after each key and its colon, and reads the value.
    pub(super) fn object<E: From<NotJson>>(
        &mut self,
        mut member: impl FnMut(&mut Reader<'a>, Raw<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            member(self, key)?;
            if !self.takes(b',') {
                return Ok(self.take(b'}')?);
            }
        }
    }

    /// Reads an array of whole numbers.
    pub(super) fn numbers<E: From<NotJson>>(
        &mut self,
        mut element: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(b'[')?;
        if self.takes(b']') {
            return Ok(());
        }
        loop {
            element(self.number()?)?;
            if !self.takes(b',') {
                return Ok(self.take(b']')?);
            }
        }
    }

    /// Reads a whole number without sign, fraction and exponent.
    fn number(&mut self) -> Result<u64, NotJson> {
        self.peek();
        let rest = &self.text[self.at..];
        let digits = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
        let is_canonical = digits == "0" || !digits.starts_with('0');
        let number = digits.parse().ok().filter(|_| is_canonical).ok_or(self.error())?;
        self.at += digits.len();
        Ok(number)
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Result<Raw<'a>, NotJson> {
        self.take(b'"')?;
        let start = self.at;
        let mut bytes = self.text.bytes().enumerate().skip(start);
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.at = at + 1;
                    let raw = Raw { text: &self.text[start..at], at: start };
                    return if raw.characters().all(|c| c.is_some()) {
                        Ok(raw)
                    } else {
                        Err(NotJson { at: start })
                    };
                }
                b'\\' => drop(bytes.next()),
                0..0x20 => return Err(NotJson { at }),
                _ => {}
            }
        }
        Err(NotJson { at: start })
    }
}

impl<'a> Raw<'a> {
    /// The characters that it stands for; `None` where an escape is none.
    fn characters(self) -> impl Iterator<Item = Option<char>> + use<'a> {
        let mut rest = self.text;
        core::iter::from_fn(move || {
            let first = rest.chars().next()?;
            if first != '\\' {
                rest = &rest[first.len_utf8()..];
                return Some(Some(first));
            }
            let (character, len) = escape(rest).unzip();
            rest = len.and_then(|len| rest.get(len..)).unwrap_or("");
            Some(character)
        })
    }

    /// Whether it stands for this text.
    pub(super) fn is(self, text: &str) -> bool {
        self.characters().eq(text.chars().map(Some))
    }

    /// The number that its characters say in this base, where it has no sign and nothing else.
    pub(super) fn number(self, radix: u32) -> Option<u64> {
        if self.text.starts_with('+') { None } else { u64::from_str_radix(self.text, radix).ok() }
    }
}

/// The character that the escape at the start of a text stands for, and the length of the escape.
fn escape(text: &str) -> Option<(char, usize)> {
    let short = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = |at: usize| {
                let digits = text.get(at..at + 4)?;
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
            };
            let first = unit(2)?;
            if !(0xd800..0xdc00).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            // Two units of UTF-16 make a character beyond the first 65,536.
            let second =
                unit(8).filter(|low| (0xdc00..0xe000).contains(low) && text[6..].starts_with("\\u"))?;
            return Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12));
        }
        _ => return None,
    };
    Some((short, 2))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn string(text: &str) -> Result<Raw<'_>, NotJson> {
        let mut reader = Reader::new(text);
        let raw = reader.string()?;
        reader.end()?;
        Ok(raw)
    }

    #[test]
    fn escapes_stand_for_characters() {
        assert!(string(r#" "a\"\\\/\n\u0041\ud83d\ude00é" "#).unwrap().is("a\"\\/\nA😀é"));
        assert!(!string(r#""ab""#).unwrap().is("a"));
        assert!(!string(r#""a""#).unwrap().is("ab"));
        for wrong in [
            r#"""#,
            r#""\"#,
            r#""\x""#,
            r#""\u12g4""#,
            r#""\ud83d""#,
            r#""\ud83dxude00""#,
            "\"\n\"",
            r#""\u+123""#,
            "a",
        ] {
            assert!(string(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn objects_and_numbers() {
        let mut found = Vec::new();
        let mut reader = Reader::new(r#" { "a" : [ ] , "b":[0,12] } "#);
        let read = reader.object(|reader, key| {
            reader.numbers(|n| {
                found.push((key.text, n));
                Ok::<(), NotJson>(())
            })
        });
        assert_eq!((read, reader.end().is_ok()), (Ok(()), true));
        assert_eq!(found, [("b", 0), ("b", 12)]);
        let none = |_: &mut Reader<'_>, _: Raw<'_>| Ok::<(), NotJson>(());
        assert_eq!(Reader::new("{}").object(none), Ok(()));
        for wrong in ["{", "{,}", r#"{"a"}"#, r#"{"a":"#, r#"{"a":1"#, ""] {
            assert!(Reader::new(wrong).object(none).is_err(), "{wrong}");
        }
        for wrong in ["[", "[1", "[1,]", "[-1]", "[01]", "[1.5]", "[18446744073709551616]", "[1 2]"] {
            assert!(Reader::new(wrong).numbers(|_| Ok::<(), NotJson>(())).is_err(), "{wrong}");
        }
    }
}
