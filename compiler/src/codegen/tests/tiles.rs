//! Contractions in tiles: odd sizes, panels, parts of a fold, epilogues and several folded axes.

use crate::codegen::testing::Inputs;
use crate::codegen::testing::{
    PACKED, assert_same, check, expected, function, plain, results, schedule, scheduled, targets,
};
use crate::kernel::{Packed, Schedule, StageSchedule};

/// Tiles for a contraction whose rows are on the first axis and columns on the second, and the other way round.
fn schedules(lanes: usize) -> Vec<Schedule> {
    let mut all = Vec::new();
    for swapped in [false, true] {
        for pack in PACKED {
            let wide = [8, 16].map(|lanes| (3, 2 * lanes, lanes));
            let shapes = [(4, 2 * lanes, lanes), (3, lanes, lanes), (2, 3, 1)];
            for (rows, cols, lanes) in shapes.into_iter().chain(wide) {
                let (row_axis, row_operand) = if swapped { (1, 1) } else { (0, 0) };
                let (rows, cols) = (rows, cols);
                let col_axis = 1 - row_axis;
                let tile = StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, row_operand, pack };
                for chunks in [None, Some((0, 4)), Some((1, 7)), Some((1, 8))] {
                    all.push(schedule(chunks, std::slice::from_ref(&tile)));
                }
            }
        }
    }
    all
}

fn matmul(dtype: &str, (m, n, k): (usize, usize, usize), partials: usize, transposed: bool) -> String {
    let (shape, index) =
        if transposed { (format!("{n},{k}"), "i1, i2") } else { (format!("{k},{n}"), "i2, i1") };
    format!(
        r#"kernels @t {{
  buffer buf0 "a" : {dtype}[{m},{k}] param 0
  buffer buf1 "b" : {dtype}[{shape}] param 1
  buffer buf2 "bias" : {dtype}[{n}] param 2
  buffer buf3 "c" : {dtype}[{m},{n}] result 0
  kernel k0 (i0 < {m}, i1 < {n}) {{
    stage {{
      fold reduce lanes {partials} (i2 < {k}) {{
        s0 = load buf0[i0, i2] : {dtype}
        s1 = load buf1[{index}] : {dtype}
        acc0 = dot s0, s1 : {dtype}
      }}
      s0 = acc0 : {dtype}
      s1 = load buf2[i1] : {dtype}
      s2 = add s0, s1 : {dtype}
      s3 = const {zero} : {dtype}
      s4 = max s2, s3 : {dtype}
      store s4, buf3[i0, i1]
    }}
  }}
}}"#,
        zero = if dtype.starts_with('f') { "0.0" } else { "0" }
    )
}

#[test]
fn every_size() {
    for size in [(1, 1, 1), (3, 5, 17), (17, 17, 3), (5, 13, 0), (0, 3, 2), (4, 0, 2), (9, 24, 9)] {
        let f = function(&matmul("f32", size, 1, size.2 == 17));
        check(&format!("{size:?}"), &f, plain, &schedules(4));
    }
}

/// A product at every pixel of images; if `border` is 1, what is added to it lies inside of a border.
fn pixels(border: usize) -> String {
    let (height, width) = (3 + 2 * border, 5 + 2 * border);
    format!(
        r#"kernels @t {{
  buffer buf0 "x" : f32[2,3,5,7] param 0
  buffer buf1 "w" : f32[7,19] param 1
  buffer buf2 "residual" : f32[2,{height},{width},19] param 2
  buffer buf3 "y" : f32[2,3,5,19] result 0
  kernel k0 (i0 < 2, i1 < 3, i2 < 5, i3 < 19) {{
    stage {{
      fold reduce (i4 < 7) {{
        s0 = load buf0[i0, i1, i2, i4] : f32
        s1 = load buf1[i4, i3] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      s1 = load buf2[i0, i1 + {border}, i2 + {border}, i3] : f32
      s2 = add s0, s1 : f32
      store s2, buf3[i0, i1, i2, i3]
    }}
  }}
}}"#
    )
}

/// Rows that run on from one line of an image to the next and from one image to the next, and rows that cannot.
#[test]
fn tiles_of_several_lines() {
    for border in [0, 1] {
        let f = function(&pixels(border));
        for target in targets() {
            let lanes = target.lanes(crate::types::DType::F32);
            let expected = expected(&f, &target, Inputs::Rule(plain));
            for (rows, pack) in
                [(4, Packed::Vectors), (4, Packed::Neither), (6, Packed::Both), (8, Packed::Neither)]
            {
                let tile = StageSchedule::Tile {
                    row_axis: 2,
                    col_axis: 3,
                    rows,
                    cols: lanes,
                    lanes,
                    row_operand: 0,
                    pack,
                };
                for chunks in [None, Some((0, 1)), Some((1, 2)), Some((2, 2)), Some((3, 16))] {
                    let f = scheduled(&f, &schedule(chunks, std::slice::from_ref(&tile)));
                    let found = results(&f, &target, Inputs::Rule(plain));
                    assert_same(
                        &format!("{rows} rows, border {border}, {chunks:?} {:?}", target.vectors()),
                        &found,
                        &expected,
                    );
                }
            }
        }
    }
}

/// Tiles of every size that fits registers, and of columns of which the last vector is any part; operands end where memory
/// does.
#[test]
fn tiles_of_every_size() {
    let tiled = targets().into_iter().filter_map(|t| Some((t.vectors().tile_registers()?, t)));
    for (registers, target) in tiled {
        let lanes = target.lanes(crate::types::DType::F32);
        for vectors in 1..=4 {
            let rows = (1..=14).filter(|rows| rows * vectors + vectors < registers);
            for rows in rows {
                // One tile of all rows and one of some, and a part of a vector that grows with the rows.
                let cols = lanes * vectors + 1 + (5 * rows + vectors) % (lanes * vectors);
                let f = function(&matmul("f32", (rows + rows.div_ceil(2), cols, 5), 1, rows % 2 == 0));
                let expected = expected(&f, &target, Inputs::Rule(plain));
                for pack in PACKED {
                    let tile = StageSchedule::Tile {
                        row_axis: 0,
                        col_axis: 1,
                        rows,
                        cols: lanes * vectors,
                        lanes,
                        row_operand: 0,
                        pack,
                    };
                    let f = scheduled(&f, &schedule(None, &[tile]));
                    let found = results(&f, &target, Inputs::Rule(plain));
                    assert_same(&format!("{rows} x {vectors} on {:?}", target.vectors()), &found, &expected);
                }
            }
        }
    }
}

/// Tiles of two vectors of columns that are packed, for vectors of every size, cut in each of these ways.
fn packed(cuts: &[Option<(usize, usize)>]) -> Vec<Schedule> {
    let tile = |lanes: usize| StageSchedule::Tile {
        row_axis: 0,
        col_axis: 1,
        rows: 4,
        cols: 2 * lanes,
        lanes,
        row_operand: 0,
        pack: Packed::Vectors,
    };
    let tiles = [1, 4, 8, 16].map(tile);
    tiles.iter().flat_map(|tile| cuts.iter().map(|&cut| schedule(cut, std::slice::from_ref(tile)))).collect()
}

/// Folds in segments, between which the next panel is asked for: beyond the last one there is nothing.
#[test]
fn tiles_that_ask_for_the_next_panel() {
    for (rows, elements, partials) in [(9, 40, 1), (21, 47, 1), (9, 40, 4)] {
        let f = function(&matmul("f32", (rows, 1701, elements), partials, false));
        check(&format!("{rows} x {elements}"), &f, plain, &packed(&[None, Some((0, 8)), Some((1, 320))]));
    }
}

/// The same for columns that lie in panels of 16 elements of the fold and are turned: with fewer tiles than a block has columns,
/// and with more.
#[test]
fn tiles_that_ask_for_columns_to_turn() {
    for rows in [9, 70] {
        let (panels, columns) = (5, 901);
        let f = function(&format!(
            r#"kernels @t {{
  buffer buf0 "a" : f32[{rows},{elements}] param 0
  buffer buf1 "b" : f32[{panels},{panel}] param 1
  buffer buf2 "c" : f32[{rows},{columns}] result 0
  kernel k0 (i0 < {rows}, i1 < {columns}) {{
    stage {{
      fold reduce (i2 < {panels}, i3 < 16) {{
        s0 = load buf0[i0, 16*i2 + i3] : f32
        s1 = load buf1[i2, 16*i1 + i3] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf2[i0, i1]
    }}
  }}
}}"#,
            elements = 16 * panels,
            panel = 16 * columns,
        ));
        check(&format!("{rows} rows"), &f, plain, &packed(&[None, Some((1, 160))]));
    }
}

/// Panels of several blocks of columns, of which chunks have several and the last one less; and, with more elements, several parts
/// of the fold, between which accumulators are kept for the rows of all lines.
#[test]
fn panels_of_several_blocks() {
    let wide: Vec<_> = targets().into_iter().filter(|t| t.vectors().tile_registers().is_some()).collect();
    for (elements, cols) in [(2100, 100), (5200, 52)] {
        let f = function(&lines(2, 5, cols, elements));
        for target in &wide {
            let lanes = target.lanes(crate::types::DType::F32);
            let expected = expected(&f, target, Inputs::Rule(plain));
            for pack in [Packed::Streamed, Packed::Vectors, Packed::Both] {
                let tile = StageSchedule::Tile {
                    row_axis: 1,
                    col_axis: 2,
                    rows: 3,
                    cols: 2 * lanes,
                    lanes,
                    row_operand: 0,
                    pack,
                };
                for chunks in [None, Some((0, 1)), Some((2, 6 * lanes)), Some((2, 41))] {
                    let f = scheduled(&f, &schedule(chunks, std::slice::from_ref(&tile)));
                    let found = results(&f, target, Inputs::Rule(plain));
                    assert_same(&format!("{elements} {pack:?} {chunks:?}"), &found, &expected);
                }
            }
        }
    }
}

/// Columns that come in streams, of a fold of several parts: in one group or in several, of which the last has less; of several
/// partial results; and for rows of which chunks have any number.
#[test]
fn columns_in_streams() {
    for (rows, cols, elements, partials) in [(7, 83, 50, 1), (2, 40, 17, 4), (250, 300, 70, 1)] {
        let f = function(&matmul("f32", (rows, cols, elements), partials, false));
        let mut schedules = Vec::new();
        for lanes in [1, 4, 8, 16] {
            for (height, vectors) in [(4, 2), (3, 1)] {
                let tile = StageSchedule::Tile {
                    row_axis: 0,
                    col_axis: 1,
                    rows: height,
                    cols: vectors * lanes,
                    lanes,
                    row_operand: 0,
                    pack: Packed::Streamed,
                };
                let cuts = [None, Some((0, 5)), Some((1, 2 * lanes)), Some((1, 13))];
                schedules.extend(cuts.map(|cut| schedule(cut, std::slice::from_ref(&tile))));
            }
        }
        check(&format!("{rows} x {cols} x {elements}"), &f, plain, &schedules);
    }
}

/// A product of lines of rows with a matrix that all of them share. Rows are consecutive along themselves.
fn lines(count: usize, rows: usize, cols: usize, elements: usize) -> String {
    format!(
        r#"kernels @t {{
  buffer buf0 "a" : f32[{count},{elements},{rows}] param 0
  buffer buf1 "b" : f32[{elements},{cols}] param 1
  buffer buf2 "c" : f32[{count},{cols},{rows}] result 0
  kernel k0 (i0 < {count}, i1 < {rows}, i2 < {cols}) {{
    stage {{
      fold reduce (i3 < {elements}) {{
        s0 = load buf0[i0, i3, i1] : f32
        s1 = load buf1[i3, i2] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf2[i0, i2, i1]
    }}
  }}
}}"#
    )
}

/// An operand that lies in panels of 16 columns, which is read where it is or packed again, in tiles of one panel, of two and of
/// half a one; and the sums of products that are stored in panels.
#[test]
fn panels_that_are_there() {
    for (rows, panels, elements) in [(7, 5, 9), (1, 2, 700), (13, 1, 3), (4, 3, 0)] {
        let (columns, row) = (16 * panels, 16 * elements);
        let f = function(&format!(
            r#"kernels @t {{
  buffer buf0 "a" : f32[{rows},{elements}] param 0
  buffer buf1 "b" : f32[{panels},{row}] param 1
  buffer buf2 "bias" : f32[{columns}] param 2
  buffer buf3 "c" : f32[{rows},{columns}] result 0
  buffer buf4 "d" : f32[{panels},{packed}] result 1
  kernel k0 (i0 < {rows}, i1 < {panels}, i2 < 16) {{
    stage {{
      fold reduce (i3 < {elements}) {{
        s0 = load buf0[i0, i3] : f32
        s1 = load buf1[i1, 16*i3 + i2] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      s1 = load buf2[16*i1 + i2] : f32
      s2 = add s0, s1 : f32
      store s2, buf3[i0, 16*i1 + i2]
      store s0, buf4[i1, 16*i0 + i2]
    }}
  }}
}}"#,
            packed = 16 * rows
        ));
        for target in targets() {
            let lanes = target.lanes(crate::types::DType::F32);
            let expected = expected(&f, &target, Inputs::Rule(plain));
            for pack in PACKED {
                for (height, cols) in [(3, 16), (4, 32), (2, 8), (1, 48)] {
                    let (row_axis, col_axis, row_operand) = (0, 2, 0);
                    let lanes = lanes.min(cols);
                    let tile = StageSchedule::Tile {
                        row_axis,
                        col_axis,
                        rows: height,
                        cols,
                        lanes,
                        row_operand,
                        pack,
                    };
                    for chunks in [None, Some((0, 4)), Some((1, 2)), Some((1, 3))] {
                        let f = scheduled(&f, &schedule(chunks, std::slice::from_ref(&tile)));
                        let found = results(&f, &target, Inputs::Rule(plain));
                        let what = format!("{height} x {cols} {pack:?} {chunks:?} {:?}", target.vectors());
                        assert_same(&what, &found, &expected);
                    }
                }
            }
        }
    }
}

/// Accumulators of one tile that take more than a page of the stack.
#[test]
fn tiles_that_no_registers_hold() {
    for target in targets() {
        let lanes = target.lanes(crate::types::DType::F32);
        let f = function(&matmul("f32", (41, 4 * lanes + 3, 3), 1, false));
        let expected = expected(&f, &target, Inputs::Rule(plain));
        let tile = StageSchedule::Tile {
            row_axis: 0,
            col_axis: 1,
            rows: 40,
            cols: 4 * lanes,
            lanes,
            row_operand: 0,
            pack: Packed::Neither,
        };
        let f = scheduled(&f, &schedule(None, &[tile]));
        let found = results(&f, &target, Inputs::Rule(plain));
        assert_same(&format!("{:?}", target.vectors()), &found, &expected);
    }
}

#[test]
fn every_dtype_and_partial_results() {
    let f = function(&matmul("f64", (5, 11, 6), 1, false));
    check("f64", &f, plain, &schedules(2));
    let f = function(&matmul("f32", (5, 11, 11), 4, true));
    check("partial results", &f, plain, &schedules(4));
}

#[test]
fn folds_that_are_run_in_parts() {
    let tile = |rows| StageSchedule::Tile {
        row_axis: 0,
        col_axis: 1,
        rows,
        cols: 8,
        lanes: 4,
        row_operand: 0,
        pack: Packed::Vectors,
    };
    // 519 rows are more than are kept, and 5 of a tile divide neither.
    for (size, partials) in [((5, 13, 1030), 1), ((6, 3, 1536), 1), ((5, 9, 1100), 8), ((519, 2, 600), 1)] {
        let f = function(&matmul("f32", size, partials, true));
        let schedules =
            [(4, None), (4, Some((0, 3))), (5, None)].map(|(rows, chunks)| schedule(chunks, &[tile(rows)]));
        check(&format!("{size:?}"), &f, plain, &schedules);
    }
}

#[test]
fn convolution_with_padding() {
    let text = r#"kernels @t {
  buffer buf0 "x" : f32[2,3,6,7] param 0
  buffer buf1 "w" : f32[5,3,3,3] param 1
  buffer buf2 "y" : f32[2,5,6,7] result 0
  kernel k0 (i0 < 2, i1 < 5, i2 < 6, i3 < 7) {
    stage {
      fold reduce (i4 < 3, i5 < 3, i6 < 3) {
        s0 = load buf1[i1, i4, i5, i6] : f32
        s1 = load buf0[i0, i4, i2 + i5 - 1, i3 + i6 - 1] where 0 <= i2 + i5 - 1 < 6, 0 <= i3 + i6 - 1 < 7 else 0.0 : f32
        acc0 = dot s0, s1 : f32
      }
      s0 = acc0 : f32
      store s0, buf2[i0, i1, i2, i3]
    }
  }
}"#;
    let f = function(text);
    let mut schedules = vec![schedule(None, &[StageSchedule::Scalar])];
    for (row_axis, col_axis) in [(1, 3), (1, 2), (2, 3)] {
        for pack in PACKED {
            if matches!(pack, Packed::Vectors | Packed::Both) && row_axis != 1 {
                continue;
            }
            let tile =
                StageSchedule::Tile { row_axis, col_axis, rows: 4, cols: 8, lanes: 4, row_operand: 0, pack };
            schedules.push(schedule(Some((1, 2)), std::slice::from_ref(&tile)));
            schedules.push(schedule(Some((3, 4)), std::slice::from_ref(&tile)));
            schedules.push(schedule(None, &[tile]));
        }
    }
    check("convolution", &f, plain, &schedules);
}
