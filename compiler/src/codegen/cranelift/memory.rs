//! Loads and stores.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Value, types};

use super::clif_type;
use super::emitter::CraneliftEmitter;
use crate::codegen::emitter::{VectorEmitter, VectorType};
use crate::tensor::Scalar;
use crate::types::DType;

fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl CraneliftEmitter<'_, '_> {
    /// Loads every lane.
    pub(super) fn load_all(&mut self, ty: VectorType, address: Value, offset: i32, fixed: bool) -> Value {
        // Elements are aligned to their own size, vectors are not.
        let mut flags = MemFlagsData::new().with_notrap();
        if fixed {
            flags = flags.with_readonly().with_can_move();
        }
        match (ty.lanes, ty.dtype) {
            (4, DType::U8 | DType::Bool) => {
                let bytes = self.builder.ins().load(types::I32, flags, address, offset);
                let bytes = self.builder.ins().scalar_to_vector(types::I32X4, bytes);
                let bytes = self.builder.ins().bitcast(types::I8X16, little(), bytes);
                let halves = self.builder.ins().uwiden_low(bytes);
                let wide = self.builder.ins().uwiden_low(halves);
                if ty.dtype == DType::U8 {
                    return wide;
                }
                let zero = self.int(ty, 0);
                self.builder.ins().icmp(IntCC::NotEqual, wide, zero)
            }
            (1, DType::Bool) => {
                let byte = self.builder.ins().load(types::I8, flags, address, offset);
                self.builder.ins().icmp_imm_u(IntCC::NotEqual, byte, 0)
            }
            (lanes, _) if lanes > 1 && self.loads_apart => {
                // What is no load in CLIF becomes no memory operand.
                let bytes = self.builder.ins().load(types::I8X16, flags, address, offset);
                self.builder.ins().bitcast(clif_type(ty), little(), bytes)
            }
            _ => self.builder.ins().load(clif_type(ty), flags, address, offset),
        }
    }

    /// Stores every lane.
    pub(super) fn store_all(&mut self, ty: VectorType, value: Value, address: Value, offset: i32) {
        let flags = MemFlagsData::new().with_notrap();
        let stored = match (ty.lanes, ty.dtype) {
            (4, DType::U8 | DType::Bool) => {
                let wide = if ty.dtype == DType::Bool { self.bool_to_int(ty.lanes, value) } else { value };
                let halves = self.builder.ins().snarrow(wide, wide);
                let bytes = self.builder.ins().unarrow(halves, halves);
                let words = self.builder.ins().bitcast(types::I32X4, little(), bytes);
                self.builder.ins().extractlane(words, 0)
            }
            _ => value,
        };
        self.builder.ins().store(flags, stored, address, offset);
    }

    /// Loads the active lanes one by one.
    pub(super) fn load_each(
        &mut self,
        ty: VectorType,
        active: usize,
        address: Value,
        offset: i32,
        fixed: bool,
    ) -> Value {
        let zero = self.constant(Scalar::zero(ty.dtype), ty.lanes);
        let element = VectorType::scalar(ty.dtype);
        (0..active).fold(zero, |vector, lane| {
            let (address, offset) = self.element(ty, address, offset, lane);
            let scalar = self.load_all(element, address, offset, fixed);
            self.with_lane(ty, vector, lane, scalar)
        })
    }

    /// Stores the active lanes one by one.
    pub(super) fn store_each(
        &mut self,
        ty: VectorType,
        active: usize,
        value: Value,
        address: Value,
        offset: i32,
    ) {
        for lane in 0..active {
            let (address, offset) = self.element(ty, address, offset, lane);
            let scalar = self.lane(ty, value, lane);
            self.store_all(VectorType::scalar(ty.dtype), scalar, address, offset);
        }
    }

    /// The address of a lane.
    fn element(&mut self, ty: VectorType, address: Value, offset: i32, lane: usize) -> (Value, i32) {
        let bytes = (lane * ty.dtype.bytes()) as i32;
        match offset.checked_add(bytes) {
            Some(offset) => (address, offset),
            None => (self.builder.ins().iadd_imm_s(address, i64::from(bytes)), offset),
        }
    }
}
