//! How far apart the rows of a matrix are.
//!
//! The address of a cache line decides which set of the cache it may be in. Where the rows of a matrix are a multiple of
//! 2,048 bytes apart, the lines that a walk down its columns touches fall into a few sets of the first two levels, and
//! push one another out: a matrix product that reads such an operand row by row runs at half its speed. So such rows get
//! a *pitch* one line larger than they are, and consecutive rows start in consecutive sets.
//!
//! Where rows are not whole lines apart, vectors of most rows lie across two lines, and a few columns in more lines than
//! they fill. Such rows get a pitch of whole lines, if it is not much more than they are.
//!
//! Constants are stored like temporaries. The pitch of a variable follows from its type alone, so that all programs over the
//! same variables agree on it. Parameters and results are the caller's, and dense.

use std::collections::HashSet;

use crate::kernel::{
    Access, Affine, Body, BodyBuilder, Buffer, BufferId, BufferKind, Kernel, KernelFunction, Schedule, Stage,
    Store, most,
};
use crate::tensor::Scalar;
use crate::types::DType;

/// Rows that are a multiple of this apart, in bytes, get a pitch.
const CROWDED: usize = 2048;
/// A pitch that aligns rows is no multiple of this, so that it does not crowd them.
const FULL: usize = 1024;
/// Rows are at least so many times as long as what aligning puts between them.
const ROOM: usize = 8;
/// Fewer rows than this fit into a set together.
const ROWS: usize = 8;
/// Bytes of a cache line.
const LINE: usize = 64;

/// The pitch of rows of a variable or temporary of this type, in elements, if they are not to be dense.
pub fn pitch(dtype: DType, shape: &[usize]) -> Option<usize> {
    let [outer @ .., row] = shape else { return None };
    // Where another axis is empty, one may be longer than memory.
    let rows = outer.iter().fold(1, |rows: usize, &extent| rows.saturating_mul(extent));
    if rows <= ROWS || *row == 0 {
        return None;
    }
    let bytes = row * dtype.bytes();
    let pitch = if bytes.is_multiple_of(CROWDED) {
        bytes + LINE
    } else {
        match bytes.next_multiple_of(LINE) {
            lines if lines > bytes && lines.is_multiple_of(FULL) => lines + LINE,
            lines => lines,
        }
    };
    (pitch > bytes && (pitch - bytes) * ROOM <= bytes).then_some(pitch / dtype.bytes())
}

/// Gives every variable, next value, temporary and constant its pitch. A temporary or constant whose bytes are also used
/// under a shape with other rows stays dense; for a variable there is a dense copy then.
pub fn pad_rows(f: &mut KernelFunction) {
    let misfits = misfits(f);
    let mut copies = Vec::new();
    for id in f.buffers.keys().collect::<Vec<_>>() {
        let buffer = &f.buffers[id];
        let pitch = pitch(buffer.dtype, &most(&buffer.shape));
        let padded = match buffer.kind {
            BufferKind::Alias(of) => f.buffers[of].pitch,
            BufferKind::Temp | BufferKind::Constant(_) | BufferKind::Variable(_) | BufferKind::Next(_)
                if !misfits.contains(&id) =>
            {
                pitch
            }
            BufferKind::Variable(_) | BufferKind::Next(_) if pitch.is_some() => {
                copies.push(id);
                None
            }
            _ => None,
        };
        f.buffers[id].pitch = padded;
    }
    for dense in copies {
        let pitch = pitch(f.buffers[dense].dtype, &most(&f.buffers[dense].shape));
        copy(f, dense, pitch);
    }
}

/// The buffers with an alias whose rows are others.
fn misfits(f: &KernelFunction) -> HashSet<BufferId> {
    let aliases = f.buffers.keys().map(|id| (id, f.storage(id)));
    aliases
        .filter(|&(id, of)| {
            f.buffers[id].shape.last() != f.buffers[of].shape.last() || f.buffers[id].shape.len() < 2
        })
        .map(|(_, of)| of)
        .collect()
}

/// Lets a dense temporary stand for a variable or its next value, which has a pitch and is copied from or to it; gives the
/// variable.
pub(super) fn copy(f: &mut KernelFunction, dense: BufferId, pitch: Option<usize>) -> BufferId {
    let buffer = &mut f.buffers[dense];
    let kind = std::mem::replace(&mut buffer.kind, BufferKind::Temp);
    let reads = matches!(kind, BufferKind::Variable(_));
    let buffer = buffer.clone();
    let (dtype, axes) = (buffer.dtype, buffer.shape.clone());
    let origin = vec![buffer.name.clone()];
    let padded = f.buffers.push(Buffer { pitch, kind, ..buffer });
    let (from, to) = if reads { (padded, dense) } else { (dense, padded) };
    let index: Vec<Affine> = (0..axes.len()).map(Affine::axis).collect();
    let b = BodyBuilder::new();
    let value = b.load(
        Access {
            buffer: from,
            index: index.clone(),
            indirect: None,
            guards: Vec::new(),
            fill: Scalar::zero(dtype),
        },
        dtype,
    );
    let body: Body = b.finish();
    let store = Store { value, buffer: to, index, indirect: None, add: false };
    let stage = Stage { axes: Vec::new(), fold: None, body, stores: vec![store] };
    let name = format!("copy{}", padded.as_u32());
    let kernel = Kernel { name, axes, stages: vec![stage], schedule: Schedule::default(), origin };
    let position = if reads { 0 } else { f.kernels.len() };
    f.kernels.insert(position, kernel);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{parse, verify};

    fn padded(text: &str) -> KernelFunction {
        let mut f = parse("test", text).unwrap_or_else(|e| panic!("{e}"));
        pad_rows(&mut f);
        verify(&f).unwrap_or_else(|e| panic!("{e}\n{f}"));
        f
    }

    #[test]
    fn crowded_rows_are_a_line_further_apart() {
        assert_eq!(pitch(DType::F32, &[784, 1024]), Some(1040));
        assert_eq!(pitch(DType::F32, &[3, 3, 512]), Some(528));
        assert_eq!(pitch(DType::F64, &[784, 1024]), Some(1032));
        assert_eq!(pitch(DType::U8, &[784, 4096]), Some(4160));
        for shape in [&[784, 992][..], &[8, 1024], &[1024], &[], &[784, 0], &[0, 1024]] {
            assert_eq!(pitch(DType::F32, shape), None, "{shape:?}");
        }
    }

    #[test]
    fn rows_are_aligned_where_there_is_room_for_it() {
        assert_eq!(pitch(DType::F32, &[784, 300]), Some(304));
        assert_eq!(pitch(DType::F32, &[784, 500]), Some(528), "512 elements would crowd");
        assert_eq!(pitch(DType::F64, &[784, 150]), Some(152));
        assert_eq!(pitch(DType::F32, &[784, 100]), Some(112));
        assert_eq!(pitch(DType::F32, &[784, 200]), Some(208));
        // 65 elements would take 80; few rows are not worth it.
        for shape in [[784, 65], [784, 10], [784, 1], [8, 300], [0, usize::MAX]] {
            assert_eq!(pitch(DType::F32, &shape), None, "{shape:?}");
        }
        assert_eq!(pitch(DType::F32, &[1 << 40, 1 << 40, 0]), None);
    }

    /// A variable that is read and assigned, with an alias of some shape that is read too.
    fn with_alias(of: &str, alias: &str) -> KernelFunction {
        padded(&format!(
            r#"kernels @f {{
  buffer buf0 "w" : f32[16,512] variable 0
  buffer buf1 "w" : f32[16,512] next 0
  buffer buf2 "t" : f32[16,512] temp
  buffer buf3 "a" : f32{alias} alias {of}
  buffer buf4 "r" : f32[] result 0
  kernel k0 (i0 < 16, i1 < 512) {{
    stage {{
      s0 = load buf0[i0, i1] : f32
      store s0, buf1[i0, i1]
      store s0, buf2[i0, i1]
    }}
  }}
  kernel k1 {{
    stage {{
      s0 = load buf3[{}] : f32
      store s0, buf4[]
    }}
  }}
}}"#,
            vec!["0"; alias.matches(',').count() + 1].join(", ")
        ))
    }

    #[test]
    fn aliases_with_the_same_rows_are_padded_alike() {
        for of in ["buf0", "buf1", "buf2"] {
            let f = with_alias(of, "[4,4,512]");
            assert_eq!(f.kernels.len(), 2);
            let pitches: Vec<_> = f.buffers.values().map(|b| b.pitch).collect();
            assert_eq!(pitches, [Some(528), Some(528), Some(528), Some(528), None]);
        }
    }

    #[test]
    fn what_has_other_rows_elsewhere_stays_dense() {
        let f = with_alias("buf2", "[8192]");
        assert_eq!(f.kernels.len(), 2);
        assert_eq!(f.buffers[BufferId::from_u32(2)].pitch, None);
        // Variables have the pitch of their type, whatever a function does with them: it takes a copy.
        let f = with_alias("buf0", "[8192]");
        assert_eq!(f.kernels.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["copy5", "k0", "k1"]);
        let f = with_alias("buf1", "[16,8,64]");
        assert_eq!(f.kernels.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["k0", "k1", "copy5"]);
        let next = f.buffers.values().find(|b| b.kind == BufferKind::Next(0));
        assert_eq!(next.and_then(|b| b.pitch), Some(528));
    }
}
