//! Words become addresses, counters of loops and constants, and no more than is needed.

use iced_x86::Code as Opcode;

use super::levels;
use crate::codegen::emitter::{VectorEmitter, VectorType, WordTest};
use crate::codegen::wide::Level;
use crate::codegen::wide::code::Reg;
use crate::codegen::wide::disassemble;
use crate::codegen::wide::emitter::WideEmitter;
use crate::codegen::wide::encode::encode;
use crate::codegen::wide::testing::call;
use crate::codegen::wide::words::{Sum, Word};
use crate::types::DType;

const I64: VectorType = VectorType { dtype: DType::I64, lanes: 1 };

/// An emitter, and the words that its function is called with.
fn emitter(level: Level) -> (WideEmitter, [Word; 4]) {
    let (mut e, arguments) = WideEmitter::new(level);
    let words = arguments.map(|reg: Reg| e.words.word(Sum::reg(reg)));
    (e, words)
}

/// Keeps a word in memory at an address.
fn keep(e: &mut WideEmitter, word: Word, address: Word, offset: i32) {
    let value = e.word_value(word, DType::I64);
    e.store(I64, 1, value, address, offset);
}

/// The lines of the loops of one block in a listing.
fn inner_loops(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let jump = |line: &str| {
        let target = line.trim_start().strip_prefix("jl ")?.strip_suffix('h')?;
        Some(target.trim_start_matches('0').to_lowercase())
    };
    let start = |end: usize| {
        let target = jump(lines[end])?;
        lines[..end].iter().rposition(|line| line.strip_suffix(':') == Some(&target))
    };
    (0..lines.len()).filter_map(|end| Some(lines[start(end)?..end].to_vec())).collect()
}

#[test]
fn arithmetic_of_words() {
    const LARGE: i64 = 0x1234_5678_9abc;
    for level in levels() {
        let (mut e, [memory, a, b, _]) = emitter(level);
        let large = e.word(LARGE);
        let sum = e.word_add(a, large);
        let scaled = e.word_times(b, LARGE);
        let all = e.word_add(sum, scaled);
        let difference = e.word_sub(all, a);
        let smaller = e.word_min(a, b);
        let (by_eight, by_seven) = (e.word_divide(b, 8), e.word_divide(b, 7));
        let inside = e.word_within(a, 100);
        let chosen = e.word_select(inside, a, large);
        let nothing = e.word_sub(all, all);
        for (n, word) in
            [all, difference, smaller, by_eight, by_seven, chosen, nothing].into_iter().enumerate()
        {
            keep(&mut e, word, memory, 8 * n as i32);
        }
        let bytes = encode(e.finish());
        for (a, b) in [(5i64, 100i64), (-7, 3), (1 << 40, 1 << 50), (99, 0)] {
            let mut found = [0i64; 7];
            call(&bytes, [found.as_mut_ptr() as u64, a.cast_unsigned(), b.cast_unsigned(), 0]);
            let all = a.wrapping_add(LARGE).wrapping_add(b.wrapping_mul(LARGE));
            let chosen = if (0..100).contains(&a) { a } else { LARGE };
            assert_eq!(found, [all, all.wrapping_sub(a), a.min(b), b / 8, b / 7, chosen, 0], "{a} {b}");
        }
    }
}

#[test]
fn loops_count_and_tests_choose() {
    for level in levels() {
        let (mut e, [memory, first, end, _]) = emitter(level);
        let zero = e.word_value(first, DType::I64);
        // Rows of seven words each, of which the first rows get a mark.
        let ((), row, carried) = e.begin_loop(first, &[zero]);
        let (start, seven) = (e.word(0), e.word(7));
        let ((), col, inner) = e.begin_loop(start, &carried);
        let bytes = e.word_times(row, 56);
        let address = e.word_add(memory, bytes);
        let along = e.word_times(col, 8);
        let address = e.word_add(address, along);
        let before = e.value_word(inner[0], DType::I64);
        let next = e.word_add(before, col);
        let held = e.word_value(next, DType::I64);
        e.store(I64, 1, held, address, 0);
        let is_third = e.begin_if(WordTest::Equal, col, 3);
        keep(&mut e, row, address, 0);
        e.end_if(is_third);
        let late = e.begin_if(WordTest::AtLeast, col, 6);
        keep(&mut e, col, address, 0);
        e.end_if(late);
        let after = e.end_loop((), 1, seven, &[held]);
        let after = e.end_loop((), 2, end, &after);
        e.store(I64, 1, after[0], memory, 8 * 70);
        let bytes = encode(e.finish());
        let mut found = [-1i64; 71];
        call(&bytes, [found.as_mut_ptr() as u64, 1, 6, 0]);
        let (mut expected, mut sum) = ([-1i64; 71], 1);
        for row in [1, 3, 5] {
            for col in 0..7 {
                sum += col;
                expected[(7 * row + col) as usize] = match col {
                    3 => row,
                    6 => col,
                    _ => sum,
                };
            }
        }
        expected[70] = sum;
        assert_eq!(found, expected);
    }
}

/// Addresses that differ by numbers are one register, and what loops around contribute is added outside of the inner one.
#[test]
fn inner_loops_compute_no_addresses() {
    let (mut e, [memory, first, end, _]) = emitter(Level::Avx2);
    let ((), row, _) = e.begin_loop(first, &[]);
    let ((), col, _) = e.begin_loop(first, &[]);
    let (rows, cols) = (e.word_times(row, 1000), e.word_times(col, 4));
    let address = e.word_add(memory, rows);
    let address = e.word_add(address, cols);
    for offset in [0, 400, 800] {
        let there = e.load(VectorType::scalar(DType::F32), 1, address, offset, false);
        e.store(VectorType::scalar(DType::F32), 1, there, address, offset + 4);
    }
    e.end_loop((), 1, end, &[]);
    e.end_loop((), 1, end, &[]);
    let text = disassemble(&encode(e.finish()));
    let inner: Vec<&str> =
        text.lines().skip_while(|l| !l.contains("vmovss")).take_while(|l| !l.contains("  j")).collect();
    assert_eq!(inner.len(), 8, "three loads and stores, one count and one test:\n{text}");
    assert!(inner[6].contains("add") && inner[7].contains("cmp"), "{text}");
    assert_eq!(text.matches("imul").count(), 1, "{text}");
}

/// More words than there are registers, of which each loop needs a half in every turn: it takes from memory what is there
/// before it begins.
#[test]
fn inner_loops_take_nothing_from_the_frame() {
    const WORDS: usize = 18;
    for level in [Level::Avx2, Level::Avx512] {
        let (mut e, [memory, first, end, _]) = emitter(level);
        let words: Vec<Reg> = (0..WORDS).map(|n| e.load(I64, 1, memory, 8 * n as i32, false)).collect();
        for half in words.chunks(WORDS / 2) {
            let ((), row, _) = e.begin_loop(first, &[]);
            let along = e.word_times(row, 8 * half.len() as i64);
            let address = e.word_add(memory, along);
            for (n, &word) in half.iter().enumerate() {
                let bits = e.load(I64, 1, address, 8 * (WORDS + n) as i32, false);
                let sum = e.binary(crate::kernel::BinaryOp::Add, I64, bits, word);
                e.store(I64, 1, sum, address, 8 * (WORDS + n) as i32);
            }
            e.end_loop((), 1, end, &[]);
        }
        let bytes = encode(e.finish());
        let text = disassemble(&bytes);
        assert!(text.contains("[rsp"), "the words fit into registers:\n{text}");
        let loops = inner_loops(&text);
        assert_eq!(loops.len(), 2, "{text}");
        assert!(!loops.concat().iter().any(|line| line.contains("[rsp")), "{text}");
        if levels().contains(&level) {
            const TURNS: usize = 3;
            let mut found: Vec<u64> = (1..=WORDS as u64).collect();
            found.resize(WORDS + TURNS * WORDS / 2, 100);
            call(&bytes, [found.as_mut_ptr() as u64, 0, TURNS as u64, 0]);
            for (n, &word) in found.iter().enumerate().skip(WORDS) {
                let n = ((n - WORDS) % (WORDS / 2)) as u64;
                assert_eq!(word, 100 + (n + 1) + (n + 1 + WORDS as u64 / 2), "{level:?}");
            }
        }
    }
}

#[test]
fn what_is_computed_twice_is_recorded_once() {
    let (mut e, [memory, a, b, _]) = emitter(Level::Avx2);
    let (x, y) = (e.word_value(a, DType::I64), e.word_value(b, DType::I64));
    let product = |e: &mut WideEmitter| e.binary(crate::kernel::BinaryOp::Mul, I64, x, y);
    let (one, other) = (product(&mut e), product(&mut e));
    assert_eq!(one, other);
    // Also in a loop, in front of which it moves, but not out of an arm.
    let ((), _, _) = e.begin_loop(a, &[]);
    assert_eq!(product(&mut e), one);
    let moved = e.general2(Opcode::Xor_r64_rm64, x, y);
    e.end_loop((), 1, b, &[]);
    assert_eq!(e.general2(Opcode::Xor_r64_rm64, x, y), moved);
    let arm = e.begin_if(WordTest::Equal, a, 3);
    let inside = e.general2(Opcode::Or_r64_rm64, x, y);
    e.end_if(arm);
    assert_ne!(e.general2(Opcode::Or_r64_rm64, x, y), inside);
    keep(&mut e, a, memory, 0);
}
