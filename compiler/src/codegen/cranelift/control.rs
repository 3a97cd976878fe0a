//! Loops, tests, and checks of indices.

use bessemer_runtime::abi::{Context, IndexError};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, InstBuilder, MemFlagsData, SigRef, Signature, Value, types,
};

use super::clif_type;
use super::emitter::{CraneliftEmitter, mask};
use crate::codegen::emitter::{CheckedIndex, VectorEmitter, VectorType, WordTest};
use crate::types::DType;

/// A loop that was begun.
#[derive(Debug)]
pub(in crate::codegen) struct CraneliftLoop {
    header: Block,
    exit: Block,
    counter: Value,
    after: Vec<Value>,
}

/// Values as arguments of a jump.
fn arguments(values: impl IntoIterator<Item = Value>) -> Vec<BlockArg> {
    values.into_iter().map(BlockArg::Value).collect()
}

impl CraneliftEmitter<'_, '_> {
    /// Begins a loop as [`VectorEmitter::begin_loop`] says.
    pub(super) fn open_loop(
        &mut self,
        first: Value,
        carried: &[Value],
    ) -> (CraneliftLoop, Value, Vec<Value>) {
        let builder = &mut self.builder;
        let (header, exit) = (builder.create_block(), builder.create_block());
        let counter = builder.append_block_param(header, types::I64);
        let (mut inside, mut after) = (Vec::new(), Vec::new());
        for &value in carried {
            let ty = builder.func.dfg.value_type(value);
            inside.push(builder.append_block_param(header, ty));
            after.push(builder.append_block_param(exit, ty));
        }
        builder.ins().jump(header, &arguments([first].into_iter().chain(carried.iter().copied())));
        builder.switch_to_block(header);
        (CraneliftLoop { header, exit, counter, after }, counter, inside)
    }

    /// Ends a loop as [`VectorEmitter::end_loop`] says.
    pub(super) fn close_loop(
        &mut self,
        inner: CraneliftLoop,
        step: usize,
        end: Value,
        carried: &[Value],
    ) -> Vec<Value> {
        let builder = &mut self.builder;
        let next = builder.ins().iadd_imm_s(inner.counter, step as i64);
        let again = builder.ins().icmp(IntCC::SignedLessThan, next, end);
        let arguments = arguments([next].into_iter().chain(carried.iter().copied()));
        builder.ins().brif(again, inner.header, &arguments, inner.exit, &arguments[1..]);
        builder.switch_to_block(inner.exit);
        inner.after
    }

    /// Begins code that runs if a test holds; gives the block behind it.
    pub(super) fn open_if(&mut self, test: WordTest, word: Value, number: usize) -> Block {
        let condition = match test {
            WordTest::Equal => IntCC::Equal,
            WordTest::AtLeast => IntCC::SignedGreaterThanOrEqual,
        };
        let (then, next) = (self.builder.create_block(), self.builder.create_block());
        let holds = self.builder.ins().icmp_imm_s(condition, word, number as i64);
        self.builder.ins().brif(holds, then, &[], next, &[]);
        self.builder.switch_to_block(then);
        next
    }

    /// A choice as [`VectorEmitter::mostly`] says.
    pub(super) fn usual_or_rare(
        &mut self,
        ty: VectorType,
        c: Value,
        then: &mut dyn FnMut(&mut Self) -> Value,
        otherwise: &mut dyn FnMut(&mut Self) -> Value,
    ) -> Value {
        let (usual, rare, next) =
            (self.builder.create_block(), self.cold_block(), self.builder.create_block());
        let result = self.builder.append_block_param(next, clif_type(ty));
        self.builder.ins().brif(c, usual, &[], rare, &[]);
        self.builder.switch_to_block(usual);
        let value = then(self);
        self.builder.ins().jump(next, &[BlockArg::Value(value)]);
        self.builder.switch_to_block(rare);
        let value = otherwise(self);
        self.builder.ins().jump(next, &[BlockArg::Value(value)]);
        self.builder.switch_to_block(next);
        result
    }

    /// A check as [`VectorEmitter::check`] says.
    pub(super) fn checked(&mut self, dtype: DType, index: Value, what: CheckedIndex<Value>) -> Value {
        let index = self.value_word(index, dtype);
        let good = self.word_within(index, what.bound);
        let (bad, call, flag, next) =
            (self.cold_block(), self.cold_block(), self.cold_block(), self.builder.create_block());
        self.builder.ins().brif(good, next, &[], bad, &[]);

        self.builder.switch_to_block(bad);
        let trusted = MemFlagsData::trusted();
        let hook_offset = Context::REPORT_INDEX_ERROR_OFFSET as i32;
        let hook = self.builder.ins().load(types::I64, trusted, self.context, hook_offset);
        self.builder.ins().brif(hook, call, &[], flag, &[]);

        self.builder.switch_to_block(call);
        let signature = self.report_signature();
        let site = self.builder.ins().iconst(types::I32, what.site as i64 & mask(32));
        self.builder.ins().call_indirect(signature, hook, &[self.context, site, what.position, index]);
        self.builder.ins().jump(next, &[]);

        self.builder.switch_to_block(flag);
        let unlocated = self.builder.ins().iconst(types::I32, i64::from(IndexError::UNLOCATED));
        let flag_address =
            self.builder.ins().iadd_imm_s(self.context, Context::INDEX_ERROR_FLAG_OFFSET as i64);
        self.builder.ins().atomic_store(trusted, unlocated, flag_address);
        self.builder.ins().jump(next, &[]);

        self.builder.switch_to_block(next);
        let (low, high) =
            (self.word(0), self.builder.ins().iconst(types::I64, what.bound.saturating_sub(1) as i64));
        let index = self.builder.ins().smax(index, low);
        let index = self.builder.ins().smin(index, high);
        self.word_value(index, dtype)
    }

    /// The signature of [`IndexErrorFn`](bessemer_runtime::abi::IndexErrorFn).
    fn report_signature(&mut self) -> SigRef {
        if let Some(signature) = self.report {
            return signature;
        }
        let mut signature = Signature::new(self.builder.func.signature.call_conv);
        signature.params.extend([types::I64, types::I32, types::I64, types::I64].map(AbiParam::new));
        let signature = self.builder.import_signature(signature);
        self.report = Some(signature);
        signature
    }
    /// A new block, marked as seldom run.
    fn cold_block(&mut self) -> Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }
}
