//! Copying variables in and out of a state: `NAME_raw_get` and `NAME_raw_set`.

use std::mem::offset_of;

use bessemer_runtime::abi::{Runs, Span, Status, TensorRecord};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, types};
use cranelift_module::{DataId, FuncId, Linkage, Module};

use super::emit::{Code, define};
use super::raw::Raw;
use crate::codegen::CodegenError;

impl Raw<'_> {
    /// `NAME_raw_get` and `NAME_raw_set`.
    pub(super) fn access(
        &self,
        module: &mut dyn Module,
        (program, variables): (DataId, usize),
        copy: FuncId,
        is_get: bool,
    ) -> Result<(), CodegenError> {
        let params = [types::I64, types::I32, types::I64, types::I64];
        let symbol = self.symbol(if is_get { "get" } else { "set" });
        let ty = (&params[..], Some(types::I32));
        define(module, self.target(), (&symbol, Linkage::Export), ty, |code, params| {
            let &[state, variable, other, bytes] = params else { unreachable!("there are four parameters") };
            self.check_memory(code, state, None);
            let count = self.state.variables.len() as u64;
            let is_none = code.compare(IntCC::UnsignedGreaterThanOrEqual, variable, count);
            code.refuse_when(is_none, Status::NotFound);
            let position = code.b.ins().uextend(types::I64, variable);
            let position = code.b.ins().imul_imm_s(position, size_of::<TensorRecord>() as i64);
            let program = code.data(program);
            let record = code.b.ins().iadd(program, position);
            let field = |code: &mut Code<'_, '_>, at| code.load(types::I64, record, variables + at);
            let size = field(code, offset_of!(TensorRecord, bytes));
            let is_other = code.b.ins().icmp(IntCC::NotEqual, bytes, size);
            code.refuse_when(is_other, Status::InvalidArgument);
            let is_empty = code.compare(IntCC::Equal, size, 0);
            code.refuse_when(is_empty, Status::Ok);
            code.refuse_address(other, 1);
            let offset = field(code, offset_of!(TensorRecord, offset));
            let place = code.b.ins().iadd(state, offset);
            let span = variables + offset_of!(TensorRecord, runs);
            let [first, count] = [offset_of!(Span, offset), offset_of!(Span, count)].map(|at| {
                let word = code.load(types::I32, record, span + at);
                code.b.ins().uextend(types::I64, word)
            });
            let first = code.b.ins().iadd(program, first);
            let end = code.b.ins().iadd(other, bytes);
            // Row after row, and in each the runs of one record after those of the other.
            let blocks = [(); 6].map(|()| code.b.create_block());
            let [on_row, on_record, on_run, record_end, row_end, done] = blocks;
            let [row, dense] = [(); 2].map(|()| code.b.append_block_param(on_row, types::I64));
            let zero = code.number(types::I64, 0);
            code.b.ins().jump(on_row, &[zero.into(), other.into()]);
            code.b.switch_to_block(on_row);
            let [runs, left, dense_of_record] =
                [(); 3].map(|()| code.b.append_block_param(on_record, types::I64));
            code.b.ins().jump(on_record, &[first.into(), count.into(), dense.into()]);
            code.b.switch_to_block(on_record);
            let [start, count, length, apart, pitch] = [
                offset_of!(Runs, start),
                offset_of!(Runs, count),
                offset_of!(Runs, bytes),
                offset_of!(Runs, apart),
                offset_of!(Runs, pitch),
            ]
            .map(|at| code.load(types::I64, runs, at));
            let place = code.b.ins().iadd(place, start);
            let before = code.b.ins().imul(row, pitch);
            let place = code.b.ins().iadd(place, before);
            let [place_of_run, dense_of_run, runs_left] =
                [(); 3].map(|()| code.b.append_block_param(on_run, types::I64));
            code.b.ins().jump(on_run, &[place.into(), dense_of_record.into(), count.into()]);
            code.b.switch_to_block(on_run);
            let (to, from) = if is_get { (dense_of_run, place_of_run) } else { (place_of_run, dense_of_run) };
            code.call(copy, &[to, from, length]);
            let next_place = code.b.ins().iadd(place_of_run, apart);
            let next_dense = code.b.ins().iadd(dense_of_run, length);
            let runs_left = code.b.ins().iadd_imm_s(runs_left, -1);
            let more = code.compare(IntCC::NotEqual, runs_left, 0);
            let next = [next_place.into(), next_dense.into(), runs_left.into()];
            code.b.ins().brif(more, on_run, &next, record_end, &[]);
            code.b.switch_to_block(record_end);
            let next_runs = code.b.ins().iadd_imm_s(runs, size_of::<Runs>() as i64);
            let left = code.b.ins().iadd_imm_s(left, -1);
            let more = code.compare(IntCC::NotEqual, left, 0);
            let next = [next_runs.into(), left.into(), next_dense.into()];
            code.b.ins().brif(more, on_record, &next, row_end, &[]);
            code.b.switch_to_block(row_end);
            let next_row = code.b.ins().iadd_imm_s(row, 1);
            let more = code.b.ins().icmp(IntCC::NotEqual, next_dense, end);
            code.b.ins().brif(more, on_row, &[next_row.into(), next_dense.into()], done, &[]);
            code.b.switch_to_block(done);
            code.give(Status::Ok);
        })?;
        Ok(())
    }

    /// `(to, from, bytes)`: copies, eight bytes at a time where addresses and size allow it.
    pub(super) fn copy(&self, module: &mut dyn Module) -> Result<FuncId, CodegenError> {
        let symbol = format!("{}.copy", self.source.name);
        let ty = (&[types::I64; 3][..], None);
        define(module, self.target(), (&symbol, Linkage::Local), ty, |code, params| {
            let &[to, from, bytes] = params else { unreachable!("there are three parameters") };
            let all = code.b.ins().bor(to, from);
            let all = code.b.ins().bor(all, bytes);
            let rest = code.b.ins().band_imm_u(all, 7);
            let is_odd = code.compare(IntCC::NotEqual, rest, 0);
            let run = |code: &mut Code<'_, '_>, ty: types::Type| {
                let (head, body, done) =
                    (code.b.create_block(), code.b.create_block(), code.b.create_block());
                let at = code.b.append_block_param(head, types::I64);
                let zero = code.number(types::I64, 0);
                code.b.ins().jump(head, &[zero.into()]);
                code.b.switch_to_block(head);
                let more = code.b.ins().icmp(IntCC::UnsignedLessThan, at, bytes);
                code.b.ins().brif(more, body, &[], done, &[]);
                code.b.switch_to_block(body);
                let (source, sink) = (code.b.ins().iadd(from, at), code.b.ins().iadd(to, at));
                let value = code.b.ins().load(ty, MemFlagsData::trusted(), source, 0);
                code.b.ins().store(MemFlagsData::trusted(), value, sink, 0);
                let next = code.b.ins().iadd_imm_s(at, i64::from(ty.bytes()));
                code.b.ins().jump(head, &[next.into()]);
                code.b.switch_to_block(done);
                code.give_value(None);
            };
            code.when(is_odd, |code| run(code, types::I8));
            run(code, types::I64);
        })
    }
}
