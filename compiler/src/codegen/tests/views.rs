//! What stages read and write: views, local buffers, aliases and indices that are data.

use bessemer_runtime::abi::{Context, IndexError};

use crate::codegen::Target;
use crate::codegen::testing::{
    Buffers, Inputs, check, compile, function, plain, record, schedule, scheduled, strip, targets,
};
use crate::kernel::{Schedule, StageSchedule};

fn strips() -> Vec<Schedule> {
    let stages = [StageSchedule::Scalar, strip(0, 4), strip(1, 4), strip(1, 1), strip(1, 2)];
    let chunks = [None, Some((0, 2)), Some((1, 5)), Some((1, 4))];
    chunks.iter().flat_map(|&c| stages.iter().map(move |s| schedule(c, std::slice::from_ref(s)))).collect()
}

fn map(dtype: &str, load: &str, index: &str, (m, n): (usize, usize)) -> String {
    let shape = if index.starts_with("i1") { format!("{n},{m}") } else { format!("{m},{n}") };
    format!(
        r#"kernels @t {{
  buffer buf0 "x" : {dtype}[5,17] param 0
  buffer buf1 "y" : {dtype}[{shape}] result 0
  kernel k0 (i0 < {m}, i1 < {n}) {{
    stage {{
      s0 = load buf0{load} : {dtype}
      store s0, buf1[{index}]
    }}
  }}
}}"#
    )
}

#[test]
fn views_of_every_stride() {
    for dtype in ["f32", "u8", "bool", "i64"] {
        for (load, index, extents) in [
            ("[i0, i1]", "i0, i1", (5, 17)),
            ("[i1, i0]", "i0, i1", (17, 5)),
            ("[-i0 + 4, -i1 + 16]", "i0, i1", (5, 17)),
            ("[i0, 2*i1 + 1]", "i1, i0", (5, 8)),
            ("[3, i1]", "i0, i1", (17, 17)),
            ("[0, 16]", "i0, i1", (3, 9)),
            ("[i0 - 1, i1 - 2] where 0 <= i0 - 1 < 5, 0 <= i1 - 2 < 17 else FILL", "i0, i1", (7, 17)),
            ("[i0, -i1 + 3] where 0 <= -i1 + 3 < 17 else FILL", "i0, -i1 + 16", (5, 17)),
            ("[i1, 5*i0] where 0 <= 5*i0 < 17 else FILL", "i1, i0", (9, 5)),
        ] {
            let fill = match dtype {
                "bool" => "true",
                "f32" => "-1.5",
                _ => "7",
            };
            let f = function(&map(dtype, &load.replace("FILL", fill), index, extents));
            check(&format!("{dtype} {load}"), &f, plain, &strips());
        }
    }
}

#[test]
fn an_empty_buffer_is_never_touched() {
    let text = r#"kernels @t {
  buffer buf0 "x" : f32[0] param 0
  buffer buf1 "y" : f32[9] result 0
  kernel k0 (i0 < 9) {
    stage {
      s0 = load buf0[i0] where 0 <= i0 < 0 else 2.5 : f32
      store s0, buf1[i0]
    }
  }
}"#;
    check("empty", &function(text), plain, &[strip(0, 4), strip(0, 1)].map(|s| schedule(None, &[s])));
}

const SOFTMAX: &str = r#"kernels @t {
  buffer buf0 "x" : f32[13,ROW] param 0
  buffer buf1 "max" : f32[13] local
  buffer buf2 "e" : f32[13,ROW] local
  buffer buf3 "sum" : f32[13] local
  buffer buf4 "y" : f32[13,ROW] result 0
  buffer buf5 "last" : f32[13] result 1
  kernel k0 (i0 < 13) {
    stage {
      fold reduce lanes 4 (i1 < ROW) {
        s0 = load buf0[i0, i1] : f32
        acc0 = max s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf1[i0]
    }
    stage (i1 < ROW) {
      s0 = load buf0[i0, i1] : f32
      s1 = load buf1[i0] : f32
      s2 = sub s0, s1 : f32
      s3 = mul s2, s2 : f32
      store s3, buf2[i0, i1]
    }
    stage {
      fold reduce lanes 4 (i1 < ROW) {
        s0 = load buf2[i0, i1] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf3[i0]
      store s0, buf5[i0]
    }
    stage (i1 < ROW) {
      s0 = load buf2[i0, i1] : f32
      s1 = load buf3[i0] : f32
      s2 = div s0, s1 : f32
      store s2, buf4[i0, i1]
    }
  }
}"#;

#[test]
fn local_buffers_hold_one_chunk() {
    for row in [1usize, 10, 33] {
        let f = function(&SOFTMAX.replace("ROW", &row.to_string()));
        let along = [strip(1, 4), strip(1, 4), strip(1, 4), strip(1, 4)];
        let across = [strip(0, 4), strip(0, 4), strip(1, 4), StageSchedule::Scalar];
        let mut schedules = Vec::new();
        for chunks in [None, Some((0, 1)), Some((0, 4)), Some((0, 5)), Some((0, 13)), Some((0, 20))] {
            schedules.extend([&along, &across].map(|s| schedule(chunks, s)));
            schedules.push(schedule(chunks, &[]));
        }
        let one_by_one = Schedule { each: vec![0], ..schedule(None, &along) };
        schedules.push(one_by_one.clone());
        check("softmax", &f, plain, &schedules);
        let bytes = |block| {
            let f = scheduled(&f, &schedule(Some((0, block)), &along));
            compile(&f, &Target::host().unwrap()).kernels[0].worker_bytes
        };
        let held = 64 + (4 * row).next_multiple_of(64);
        assert_eq!(bytes(1), held, "a chunk of one row holds one row, and the sum where the maximum was");
        assert_eq!(bytes(13) % 64, 0);
        let f = scheduled(&f, &one_by_one);
        assert_eq!(
            compile(&f, &Target::host().unwrap()).kernels[0].worker_bytes,
            bytes(1),
            "so does each row"
        );
    }
}

#[test]
fn aliases_are_other_shapes_of_the_same_bytes() {
    let text = r#"kernels @t {
  buffer buf0 "x" : f32[6,4] param 0
  buffer buf1 "x" : f32[3,8] alias buf0
  buffer buf2 "t" : f32[3,8] temp
  buffer buf3 "t" : f32[8,3] alias buf2
  buffer buf4 "y" : f32[8,3] result 0
  kernel k0 (i0 < 3, i1 < 8) {
    stage {
      s0 = load buf1[i0, i1] : f32
      s1 = neg s0 : f32
      store s1, buf2[i0, i1]
    }
  }
  kernel k1 (i0 < 8, i1 < 3) {
    stage {
      s0 = load buf3[i0, i1] : f32
      s1 = mul s0, s0 : f32
      store s1, buf4[i0, i1]
    }
  }
}"#;
    check("alias", &function(text), plain, &strips());
}

const GATHER: &str = r#"kernels @t {
  buffer buf0 "table" : f32[5,9] param 0
  buffer buf1 "which" : i64[7] constant [0, 4, 1, 2, 3, 4, LAST]
  buffer buf2 "rows" : f32[7,9] result 0
  check 0 "which" [7] < 5
  kernel k0 (i0 < 7, i1 < 9) {
    stage {
      s0 = load buf1[i0] : i64
      s1 = check s0 site 0 at i0 : i64
      s2 = load buf0[s1, i1] : f32
      store s2, buf2[i0, i1]
    }
  }
}"#;

#[test]
fn rows_are_gathered() {
    check("gather", &function(&GATHER.replace("LAST", "0")), plain, &strips());
}

#[test]
fn indices_out_of_range_are_reported_and_replaced_by_the_nearest() {
    for (last, nearest) in [("-1", 0), ("5", 4), ("-9223372036854775808", 0), ("9223372036854775807", 4)] {
        let stages = [StageSchedule::Scalar, strip(1, 4), strip(0, 4)];
        for (target, stage) in targets().iter().flat_map(|t| stages.iter().map(move |s| (t, s.clone()))) {
            let f = scheduled(&function(&GATHER.replace("LAST", last)), &schedule(None, &[stage]));
            let code = compile(&f, target);
            let buffers = Buffers::new(&f, Inputs::Rule(plain));
            let mut context = Context { report_index_error: Some(record), ..Context::serial() };
            code.run(&f, None, &buffers, &mut context);
            let error = &context.index_error;
            assert_eq!((error.site, error.position, error.value), (0, 6, last.parse().unwrap()));
            let good = scheduled(
                &function(&GATHER.replace("LAST", &nearest.to_string())),
                &schedule(None, &[StageSchedule::Scalar]),
            );
            let same = Buffers::new(&good, Inputs::Rule(plain));
            compile(&good, target).run(&good, None, &same, &mut Context::serial());
            assert_eq!(buffers.results(&f), same.results(&good));
            // Without a hook, the flag alone says it.
            let mut bare = Context::serial();
            code.run(&f, None, &buffers, &mut bare);
            assert_eq!(*bare.index_error.flag.get_mut(), IndexError::UNLOCATED);
        }
    }
}

/// Sums of looked-up rows, which are live while an index is reported.
const SUMS: &str = r#"kernels @t {
  buffer buf0 "table" : f32[5,41] param 0
  buffer buf1 "which" : i32[3,7] constant [0, 4, 1, -2, 3, 4, 2, 5, 5, 0, 1, 2, 3, 4, 9, 0, 1, 2, 3, 4, 0]
  buffer buf2 "sums" : f32[3,41] result 0
  check 0 "which" [3,7] < 5
  kernel k0 (i0 < 3, i1 < 41) {
    stage {
      fold reduce (i2 < 7) {
        s0 = load buf1[i0, i2] : i32
        s1 = check s0 site 0 at 7*i0 + i2 : i32
        s2 = load buf0[s1, i1] : f32
        s3 = const 0.5 : f32
        acc0 = dot s2, s3 : f32
        acc1 = max s2 : f32
      }
      s0 = acc0 : f32
      s1 = acc1 : f32
      s2 = add s0, s1 : f32
      store s2, buf2[i0, i1]
    }
  }
}"#;

#[test]
fn what_is_live_survives_a_report() {
    let good = function(&SUMS.replace("-2", "0").replace("2, 5, 5,", "2, 4, 4,").replace('9', "4"));
    for target in targets() {
        let expected = crate::codegen::testing::expected(&good, &target, Inputs::Rule(plain));
        for stage in [StageSchedule::Scalar, strip(1, 4), strip(1, 8), strip(1, 16), strip(0, 2)] {
            let schedule = schedule(None, &[stage]);
            if !crate::codegen::testing::fits(&schedule, &target) {
                continue;
            }
            let f = scheduled(&function(SUMS), &schedule);
            let buffers = Buffers::new(&f, Inputs::Rule(plain));
            let mut context = Context { report_index_error: Some(record), ..Context::serial() };
            compile(&f, &target).run(&f, None, &buffers, &mut context);
            assert!([-2, 5, 9].contains(&context.index_error.value));
            assert_eq!(buffers.results(&f), expected, "{target} {:?}", target.vectors());
        }
    }
}
