//! Where variables are stored in the state block.

use std::ops::Range;

use bessemer_runtime::abi::{Runs, StateHeader, align_up};

use super::NamedType;
use crate::diagnostic::Diagnostic;
use crate::memory::{Layout, PANEL, pitch, rest_of, rest_shape, stored_shape};
use crate::types::TensorType;

/// Where variables are stored in the state block. All figures are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLayout {
    /// In the order of the module's variables.
    pub variables: Vec<VariableLayout>,
    /// Size of the state block with its header, a multiple of 64.
    pub bytes: usize,
}

/// A variable and the order in which its elements are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVariable {
    /// Its name and type.
    pub variable: NamedType,
    /// The order; it fits the shape.
    pub layout: Layout,
}

impl StoredVariable {
    /// A variable that is stored row after row.
    pub fn by_rows(variable: NamedType) -> StoredVariable {
        StoredVariable { variable, layout: Layout::Rows }
    }
}

/// Where a variable is stored. Its elements, row-major, are those of some *runs* of bytes of every row of the last axis. With
/// [`Layout::Rows`] a row is one run; with [`Layout::Panels`] it has one in each panel, and the columns that fill none lie behind
/// the panels, one after the other. There are gaps between rows, panels and columns where [`pitch`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableLayout {
    /// Its name and type.
    pub variable: NamedType,
    /// In which order it is stored.
    pub layout: Layout,
    /// Offset from the start of the state block, in bytes; a multiple of 64.
    pub offset: usize,
    /// Size in bytes, with all gaps, and the one behind the last row, panel or column.
    pub bytes: usize,
    /// The runs of each row: those of rows or panels, then those of columns that fill no panel, an element in each of them.
    pub runs: Vec<Runs>,
}

impl VariableLayout {
    /// Where a variable is stored that begins at `offset`; `None` if that exceeds the address space.
    fn new(stored: &StoredVariable, offset: usize) -> Option<VariableLayout> {
        let StoredVariable { variable, layout } = stored.clone();
        let (dtype, shape) = (variable.ty.dtype, variable.ty.shape.as_fixed()?);
        let (size, elements) = (dtype.bytes(), byte_size(&variable.ty)?);
        // What is stored are matrices, whose lines are rows, panels or columns: the bytes of a line, to the next one, and of all.
        let lines = |matrix: &[usize]| {
            let line = matrix.last().map_or(1, |&extent| extent).saturating_mul(size).max(1);
            let apart = pitch(dtype, matrix).map_or(line, |pitch| pitch * size);
            let count = if elements == 0 { 0 } else { matrix.iter().product::<usize>() * size / line };
            Some((line, apart, count.checked_mul(apart)?))
        };
        let of = |start: usize, count: usize, bytes: usize, apart: usize, pitch: usize| {
            let [start, count, bytes, apart, pitch] = [start, count, bytes, apart, pitch].map(|n| n as u64);
            Runs { start, count, bytes, apart, pitch }
        };
        let (line, apart, all) = lines(&stored_shape(layout, &shape))?;
        let (mut runs, mut bytes) = (Vec::new(), all);
        match layout {
            Layout::Rows => runs.push(of(0, 1, line, line, apart)),
            Layout::Panels => {
                let (panel, columns) = (PANEL * size, *shape.last()?);
                runs.push(of(0, columns / PANEL, panel, apart, panel));
                if let Some(matrix) = rest_shape(&shape) {
                    let (_, apart, rest) = lines(&matrix)?;
                    runs.push(of(all, columns % PANEL, size, apart, size));
                    bytes = all.checked_add(rest)?;
                }
            }
        }
        Some(VariableLayout { variable, layout, offset, bytes, runs })
    }

    /// The runs among the `bytes` that are stored, in the order of the elements.
    fn in_order(&self) -> impl Iterator<Item = Range<usize>> {
        let bytes = byte_size(&self.variable.ty).unwrap_or(0) as u64;
        Runs::in_order(&self.runs, bytes).map(|(start, len)| start as usize..(start + len) as usize)
    }

    /// The elements of the variable, dense, row-major, of the `bytes` that are stored.
    ///
    /// # Panics
    /// If `stored` are fewer.
    pub fn gather(&self, stored: &[u8]) -> Vec<u8> {
        let mut elements = Vec::with_capacity(stored.len());
        for run in self.in_order() {
            elements.extend_from_slice(&stored[run]);
        }
        elements
    }

    /// What is to be stored for the variable to have these elements, which are dense and row-major. Gaps are zero.
    ///
    /// # Panics
    /// If `elements` are fewer.
    pub fn scatter(&self, elements: &[u8]) -> Vec<u8> {
        let mut stored = vec![0; self.bytes];
        let mut left = elements;
        for run in self.in_order() {
            let (elements, behind) = left.split_at(run.len());
            stored[run].copy_from_slice(elements);
            left = behind;
        }
        stored
    }
}

impl StateLayout {
    /// Places for these variables, one behind the other.
    ///
    /// # Errors
    /// `E0611` if they exceed the address space together.
    ///
    /// # Panics
    /// If the layout of a variable does not [fit](Layout::fits) its shape.
    pub fn new(variables: impl IntoIterator<Item = StoredVariable>) -> Result<StateLayout, Diagnostic> {
        let mut state = StateLayout { variables: Vec::new(), bytes: StateHeader::SIZE };
        for stored in variables {
            let place = VariableLayout::new(&stored, state.bytes);
            let end = place.as_ref().and_then(|place| state.bytes.checked_add(align_up(place.bytes)?));
            let (Some(place), Some(end)) = (place, end.filter(|&end| isize::try_from(end).is_ok())) else {
                let NamedType { name, ty } = &stored.variable;
                return Err(Diagnostic::new("E0611", "the variables exceed the address space")
                    .note(format!("`@{name}` : {ty} does not fit")));
            };
            state.variables.push(place);
            state.bytes = end;
        }
        Ok(state)
    }

    /// The offsets of the variables, in bytes, in order.
    pub fn offsets(&self) -> Vec<usize> {
        self.variables.iter().map(|v| v.offset).collect()
    }

    /// The offsets of what kernels know as variables, in bytes, by their numbers: the variables, and the columns of each that fill no
    /// panel ([`rest_of`]).
    pub fn offsets_in_kernels(&self) -> Vec<usize> {
        let count = self.variables.len();
        let mut offsets = self.offsets();
        offsets.resize(2 * count, 0);
        for (n, v) in self.variables.iter().enumerate() {
            offsets[rest_of(n, count)] = v.offset + v.runs.last().map_or(0, |runs| runs.start as usize);
        }
        offsets
    }

    /// The layouts of the variables, in order.
    pub fn layouts(&self) -> Vec<Layout> {
        self.variables.iter().map(|v| v.layout).collect()
    }

    /// Identifies the meaning of a state block: the hash of the lines `NAME : TYPE` of all variables, with ` in panels` behind
    /// those that are stored so. It is the same wherever and whenever it is computed.
    pub fn fingerprint(&self) -> u64 {
        self.hash(|variable| match variable.layout {
            Layout::Rows => "",
            Layout::Panels => " in panels",
        })
    }

    /// Identifies names and types of all variables, however they are stored: what a checkpoint is for. Where all are stored by
    /// rows, it is the [fingerprint](StateLayout::fingerprint).
    pub fn types_fingerprint(&self) -> u64 {
        self.hash(|_| "")
    }

    /// The FNV-1a hash, 64 bits, of a line for each variable that ends in what `what` says.
    fn hash(&self, what: impl Fn(&VariableLayout) -> &'static str) -> u64 {
        let lines =
            self.variables.iter().map(|v| format!("{} : {}{}\n", v.variable.name, v.variable.ty, what(v)));
        lines.fold(0xcbf2_9ce4_8422_2325, |hash, line| {
            line.bytes().fold(hash, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
        })
    }
}

/// Size of a tensor in bytes; `None` on overflow or if its batch size is not bound.
fn byte_size(ty: &TensorType) -> Option<usize> {
    let (elements, _) = ty.shape.elements().filter(|&(_, power)| power == 0)?;
    elements.checked_mul(ty.dtype.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DType;

    fn variable(name: &str, dtype: DType, shape: &[usize]) -> StoredVariable {
        StoredVariable::by_rows(NamedType { name: name.into(), ty: TensorType::new(dtype, shape) })
    }

    #[test]
    fn variables_follow_the_header_at_multiples_of_64() {
        let layout = StateLayout::new([
            variable("w", DType::F32, &[17]),
            variable("empty", DType::F64, &[0, 3]),
            variable("b", DType::Bool, &[]),
        ])
        .unwrap();
        assert_eq!(layout.offsets(), [64, 192, 192]);
        assert_eq!(layout.variables.iter().map(|v| v.bytes).collect::<Vec<_>>(), [68, 0, 1]);
        assert_eq!(layout.bytes, 256);
    }

    fn panels_of(name: &str, dtype: DType, shape: &[usize]) -> StoredVariable {
        StoredVariable { layout: Layout::Panels, ..variable(name, dtype, shape) }
    }

    /// The place of one variable, and elements for it, dense, of which no byte is zero.
    fn place(stored: StoredVariable) -> (VariableLayout, Vec<u8>) {
        let bytes = byte_size(&stored.variable.ty).unwrap();
        let place = StateLayout::new([stored]).unwrap().variables.remove(0);
        (place, (0..bytes).map(|n| (n % 251) as u8 + 1).collect())
    }

    #[test]
    fn crowded_rows_have_gaps() {
        let (w, dense) = place(variable("w", DType::F32, &[9, 512]));
        assert_eq!((w.runs[0].bytes, w.runs[0].count, w.runs[0].pitch, w.bytes), (2048, 1, 2112, 9 * 2112));
        let stored = w.scatter(&dense);
        for (stored, dense) in stored.chunks(2112).zip(dense.chunks(2048)) {
            assert!(stored[..2048] == *dense && stored[2048..] == [0; 64]);
        }
    }

    #[test]
    fn panels_lie_one_behind_the_other() {
        // Bytes of an element, rows, columns, panels, and bytes from panel to panel, and from column to column behind them:
        // crowded ones have gaps.
        for (dtype, shape, [size, rows, columns, panels, apart, rest]) in [
            (DType::F32, &[20, 48][..], [4, 20, 48, 3, 20 * 64, 0]),
            (DType::F32, &[32, 144], [4, 32, 144, 9, 32 * 64 + 64, 0]),
            (DType::F32, &[2, 4, 4, 160], [4, 32, 160, 10, 32 * 64 + 64, 0]),
            (DType::F32, &[32, 128], [4, 32, 128, 8, 32 * 64, 0]),
            (DType::F64, &[16, 144], [8, 16, 144, 9, 16 * 128 + 64, 0]),
            (DType::U8, &[3, 32], [1, 3, 32, 2, 48, 0]),
            (DType::F32, &[7, 16], [4, 7, 16, 1, 7 * 64, 0]),
            (DType::F32, &[64], [4, 1, 64, 4, 64, 0]),
            (DType::F32, &[20, 49], [4, 20, 49, 3, 20 * 64, 80]),
            (DType::F32, &[32, 143], [4, 32, 143, 8, 32 * 64, 128]),
            (DType::F32, &[2, 16, 145], [4, 32, 145, 9, 32 * 64 + 64, 128]),
            (DType::F32, &[512, 25], [4, 512, 25, 1, 512 * 64, 2048 + 64]),
            (DType::U8, &[3, 31], [1, 3, 31, 1, 48, 3]),
        ] {
            let (w, dense) = place(panels_of("w", dtype, shape));
            let stored = w.scatter(&dense);
            assert_eq!(
                (w.bytes, stored.len()),
                (panels * apart + columns % PANEL * rest, w.bytes),
                "{shape:?}"
            );
            let mut expected = vec![0; w.bytes];
            for (n, element) in dense.chunks(size).enumerate() {
                let (row, column) = (n / columns, n % columns);
                assert!(row < rows, "{shape:?}");
                let at = match column / PANEL {
                    panel if panel < panels => panel * apart + (row * PANEL + column % PANEL) * size,
                    _ => panels * apart + column % PANEL * rest + row * size,
                };
                expected[at..at + size].copy_from_slice(element);
            }
            assert_eq!(stored, expected, "{shape:?}");
        }
    }

    #[test]
    fn what_is_scattered_is_gathered() {
        for stored in [
            variable("w", DType::F32, &[9, 512]),
            variable("w", DType::F32, &[3]),
            variable("w", DType::Bool, &[]),
            variable("w", DType::F64, &[0, 3]),
            variable("w", DType::F64, &[3, 0]),
            panels_of("w", DType::F32, &[32, 144]),
            panels_of("w", DType::F32, &[5, 3, 32]),
            panels_of("w", DType::F32, &[5, 3, 37]),
            panels_of("w", DType::F64, &[32, 145]),
            panels_of("w", DType::F32, &[0, 33]),
            panels_of("w", DType::F64, &[33, 16]),
            panels_of("w", DType::BF16, &[96]),
            panels_of("w", DType::F32, &[0, 32]),
            panels_of("w", DType::F32, &[0, 1 << 62, 1 << 62, 32]),
        ] {
            let what = format!("{stored:?}");
            let (place, dense) = place(stored);
            assert_eq!(place.gather(&place.scatter(&dense)), dense, "{what}");
        }
    }

    #[test]
    fn panels_take_their_gaps_with_them() {
        let layout =
            StateLayout::new([panels_of("w", DType::F32, &[32, 144]), variable("b", DType::F32, &[3])])
                .unwrap();
        assert_eq!(layout.offsets(), [64, 64 + 9 * (32 * 64 + 64)]);
        let ragged = StateLayout::new([
            variable("b", DType::F32, &[3]),
            panels_of("w", DType::F32, &[32, 144]),
            panels_of("v", DType::F32, &[32, 145]),
        ])
        .unwrap();
        let [_, w, v] = ragged.offsets()[..] else { panic!("three variables") };
        assert_eq!(ragged.offsets_in_kernels()[rest_of(2, 3)], v + 9 * (32 * 64 + 64));
        assert_eq!(ragged.offsets_in_kernels()[..3], [64, w, v]);
        let most = panels_of("w", DType::F32, &[1 << 30, 1 << 31]);
        assert_eq!(StateLayout::new([most]).unwrap_err().code, "E0611");
    }

    #[test]
    #[should_panic(expected = "[4, 15] cannot be stored in Panels")]
    fn fewer_columns_than_a_panel_has_are_refused() {
        let _ = StateLayout::new([panels_of("w", DType::F32, &[4, 15])]);
    }

    #[test]
    fn variables_beyond_the_address_space_are_refused() {
        let huge = || variable("w", DType::F64, &[1 << 59]);
        assert!(StateLayout::new([huge()]).is_ok());
        assert_eq!(StateLayout::new([huge(), huge()]).unwrap_err().code, "E0611");
        assert_eq!(StateLayout::new([variable("w", DType::F32, &[1 << 62])]).unwrap_err().code, "E0611");
        assert_eq!(
            StateLayout::new([variable("w", DType::F32, &[1 << 40, 1 << 40])]).unwrap_err().code,
            "E0611"
        );
    }

    #[test]
    fn the_fingerprint_is_that_of_names_types_and_layouts() {
        let state = |variables: &[StoredVariable]| StateLayout::new(variables.to_vec()).unwrap();
        let of = |variables: &[StoredVariable]| state(variables).fingerprint();
        let w = variable("w", DType::F32, &[2, 3]);
        // FNV-1a of nothing, and of "w : f32[2,3]\n".
        assert_eq!(of(&[]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of(std::slice::from_ref(&w)), FINGERPRINT);
        assert_ne!(of(&[variable("w", DType::F32, &[3, 2])]), FINGERPRINT);
        assert_ne!(of(&[variable("v", DType::F32, &[2, 3])]), FINGERPRINT);
        assert_ne!(of(&[w.clone(), w]), FINGERPRINT);
        // A checkpoint is the same, however variables are stored.
        let by_rows = state(&[variable("w", DType::F32, &[2, 32])]);
        let in_panels = state(&[panels_of("w", DType::F32, &[2, 32])]);
        assert_ne!(in_panels.fingerprint(), by_rows.fingerprint());
        assert_eq!(in_panels.types_fingerprint(), by_rows.types_fingerprint());
        assert_eq!(by_rows.types_fingerprint(), by_rows.fingerprint());
    }

    const FINGERPRINT: u64 = 0x4ceb_bde7_6f72_19cc;
}
