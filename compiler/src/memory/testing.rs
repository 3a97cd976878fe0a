//! Functions whose variables lie in panels, for tests.

use super::layout::{Layout, PANEL};
use super::panels::store_in_panels;
use crate::kernel::{BufferKind, KernelFunction, Memory, Options, evaluate, most, parse, verify};
use crate::tensor::{Scalar, Tensor};

/// The most variables of such a function; those numbered from here on are columns that fill no panel.
pub const VARIABLES: usize = 4;

/// The function with all of its variables in panels, which gives the same values as before where `value` gives the n-th element
/// of each parameter and variable.
pub fn in_panels_of(text: &str, value: fn(usize) -> f32) -> KernelFunction {
    let f = parse("test", &format!("kernels @f {{\n{text}\n}}")).unwrap_or_else(|e| panic!("{e}"));
    verify(&f).unwrap_or_else(|e| panic!("{e}\n{f}"));
    let mut stored = f.clone();
    store_in_panels(&mut stored, &[Layout::Panels; VARIABLES]);
    verify(&stored).unwrap_or_else(|e| panic!("{e}\n{stored}"));
    assert_eq!(run(&f, &f, value), run(&stored, &f, value), "{stored}");
    stored
}

/// Which element of which variable of the original a stored one is: of the whole panels, or of the rest.
fn original(kind: &BufferKind, n: usize, stored: &[usize], of: &KernelFunction) -> (BufferKind, usize) {
    let (rest, kind) = match *kind {
        BufferKind::Variable(v) => (v >= VARIABLES, BufferKind::Variable(v % VARIABLES)),
        BufferKind::Next(v) => (v >= VARIABLES, BufferKind::Next(v % VARIABLES)),
        _ => return (kind.clone(), n),
    };
    let shape = of.buffers.values().find(|b| b.kind == kind).map(|b| most(&b.shape)).unwrap();
    let (all, line) = (shape[shape.len() - 1], stored[stored.len() - 1]);
    match shape == stored {
        true => (kind, n),
        false if rest => (kind, n % line * all + all / PANEL * PANEL + n / line),
        false => (kind, n % line / PANEL * all + n / line * PANEL + n % PANEL),
    }
}

/// Results and next values of the original, every element once and in order.
fn run(f: &KernelFunction, of: &KernelFunction, value: fn(usize) -> f32) -> Vec<(String, usize, Scalar)> {
    let mut memory = Memory::new(f);
    for (id, buffer) in &f.buffers {
        if matches!(buffer.kind, BufferKind::Param(_) | BufferKind::Variable(_)) {
            let shape = most(&buffer.shape);
            let values = (0..buffer.elements()).map(|n| value(original(&buffer.kind, n, &shape, of).1));
            memory.set(id, &Tensor::from_vec(&shape, values.collect()));
        }
    }
    evaluate(f, &mut memory, Options { fused_multiply_add: true }).unwrap();
    let mut kept = Vec::new();
    for (id, buffer) in &f.buffers {
        if matches!(buffer.kind, BufferKind::Result(_) | BufferKind::Next(_)) {
            let shape = most(&buffer.shape);
            for (n, value) in memory.get(id).scalars().enumerate() {
                let (kind, n) = original(&buffer.kind, n, &shape, of);
                kept.push((format!("{kind:?}"), n, value));
            }
        }
    }
    kept.sort_by_key(|(kind, n, _)| (kind.clone(), *n));
    kept
}

/// The extents of every kernel's axes.
pub fn axes_of(f: &KernelFunction) -> Vec<Vec<usize>> {
    f.kernels.iter().map(|kernel| most(&kernel.axes)).collect()
}

/// A kernel along the columns of a variable that keeps something for itself.
pub fn with_local(columns: usize) -> String {
    format!(
        r#"
  buffer buf0 "d" : f32[9,{columns}] param 0
  buffer buf1 "w" : f32[9,{columns}] variable 0
  buffer buf2 "t" : f32[{columns},9] local
  buffer buf3 "w" : f32[9,{columns}] next 0
  buffer buf4 "s" : f32[{columns}] result 0
  kernel k0 (i0 < {columns}) {{
    stage (i1 < 9) {{
      s0 = load buf0[i1, i0] : f32
      s1 = load buf1[i1, i0] : f32
      s2 = mul s0, s1 : f32
      store s2, buf2[i0, i1]
      store s0, buf3[i1, i0]
    }}
    stage {{
      fold reduce (i1 < 9) {{
        s0 = load buf2[i0, i1] : f32
        s1 = load buf3[i1, i0] : f32
        s2 = add s0, s1 : f32
        acc0 = sum s2 : f32
      }}
      s0 = acc0 : f32
      store s0, buf4[i0]
    }}
  }}"#
    )
}
