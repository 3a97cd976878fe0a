//! Variables in several layouts: what a caller sees is dense and row-major, whatever the layout.

use std::path::Path;

use bessemer::artefact::{ArtefactOptions, Kind, Linker, Output, Weights, artefact_source};
use bessemer::compile::{Model, levels, options};
use bessemer::compiler::artefact;
use bessemer::compiler::graph::Module;
use bessemer::compiler::memory::Layout;
use bessemer::compiler::pipeline::OptLevel;
use bessemer::compiler::tensor::Tensor;
use bessemer::compiler::types::DType;

use crate::support::*;

/// `@wide` has gaps between its panels; `@deep` has none, and columns that fill none. Kernels read neither.
const TEXT: &str = "module @model
var @wide : f32[32,144] = zeros
var @deep : f32[2,5,45] = zeros
var @bias : f32[7] = zeros
func @f(%x: f32[7]) -> (y: f32[7]) {
  %0 = read @bias
  %1 = add %0, %x
  return %1
}";

/// Makes `folder/model.so` with the first two variables in this layout; how far apart their runs are, in bytes.
fn library(folder: &Path, layout: Layout) -> Vec<usize> {
    let module = Module::parse("model.bsm", TEXT).unwrap();
    let targets = levels(None, &[], None).unwrap();
    let passes = options(OptLevel::O3, &[], &[]).unwrap();
    let model = Model::new(&module, passes, targets[0].clone()).unwrap();
    let choices = ArtefactOptions {
        name: "model".into(),
        entries: Vec::new(),
        batch: "1".parse().unwrap(),
        weights: Weights::Embed,
        threads: false,
    };
    let (mut source, _) = artefact_source(&module, &model, &choices).unwrap();
    for (at, shape) in [&[32, 144][..], &[2, 5, 45]].into_iter().enumerate() {
        source.variables[at].stored.layout = layout;
        let values = (0..shape.iter().product::<usize>()).map(|i| (at * 10000 + i) as f32);
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        source.embedded.push((at, Tensor::from_bytes(DType::F32, shape, &bytes).unwrap()));
    }
    let artefact = artefact::compile(&source, &targets).unwrap();
    let output = Output { prefix: folder.join("model") };
    for kind in [Kind::Shared, Kind::Header] {
        output.write(kind, ("model", &artefact), &targets[0], &Linker::default()).unwrap();
    }
    artefact.program.state.variables[..2].iter().map(|place| place.runs[0].apart as usize).collect()
}

#[test]
fn callers_and_files_know_nothing_of_layouts() {
    let folders = ["layout_rows", "layout_panels"].map(folder);
    let [rows, panels] = &folders;
    assert_eq!(library(rows, Layout::Rows), [144 * 4, 45 * 4]);
    assert_eq!(library(panels, Layout::Panels), [32 * 64 + 64, 10 * 64]);
    let programs = folders.each_ref().map(|folder| build(folder, "model", "layouts"));
    let saved = folders.each_ref().map(|folder| folder.join("saved"));
    for (program, saved) in programs.iter().zip(&saved) {
        run(program, ["save".as_ref(), saved.as_os_str()]);
    }
    let [of_rows, of_panels] = saved.each_ref().map(|saved| std::fs::read(saved).unwrap());
    assert!(of_rows == of_panels, "files are the same");
    let file = safetensors::SafeTensors::deserialize(&of_panels).unwrap();
    let wide = file.tensor("wide").unwrap();
    let expected: Vec<u8> = (0..32 * 144).flat_map(|i| (-(i as f32)).to_le_bytes()).collect();
    assert!(wide.shape() == [32, 144] && wide.data() == expected);
    for (program, saved) in programs.iter().zip(saved.iter().rev()) {
        run(program, ["load".as_ref(), saved.as_os_str()]);
    }
}
