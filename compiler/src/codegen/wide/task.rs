//! The function around the code of a task, and its bytes.

use cranelift_entity::SecondaryMap;
use iced_x86::Code as Opcode;

use super::Level;
use super::code::{Class, Reg};
use super::emitter::WideEmitter;
use super::encode::encode;
use super::inst::{Base, Effect, Inst, Memory, View};
use super::words::{Sum, Word};
use crate::codegen::access::Bases;
use crate::codegen::frame;
use crate::codegen::loops::Emission;
use crate::codegen::task::{Parameters, Task};

/// The code of a task: position independent, to be placed at a multiple of [`ALIGNMENT`](super::ALIGNMENT).
pub(in crate::codegen) fn assemble_task(level: Level, task: &Task<'_>) -> Vec<u8> {
    let (mut e, [frame, begin, end, worker]) = WideEmitter::new(level);
    if task.chunks.most() > 0 {
        e.context = e.field(frame, frame::CONTEXT);
        let mut buffers = SecondaryMap::new();
        for (n, &buffer) in task.layout.framed.iter().enumerate() {
            let address = e.field(frame, frame::buffer(n));
            buffers[buffer] = Some(e.word_of(address));
        }
        let batch = task.depends_on_batch().then(|| {
            let batch = e.field(frame, frame::batch(task.layout.framed.len()));
            e.word_of(batch)
        });
        let (base, stride) = (e.field(frame, frame::WORKER_BASE), e.field(frame, frame::WORKER_STRIDE));
        let worker = e.general(Inst::new(Opcode::Mov_r32_rm32, View::Dword).reg(worker, View::Dword));
        let offset = e.general2(Opcode::Imul_r64_rm64, worker, stride);
        let worker = e.words.word(Sum::reg(base).plus(&Sum::reg(offset)));
        let parameters = Parameters { begin: e.word_of(begin), end: e.word_of(end), worker };
        let mut emission = Emission { e, bases: Bases { buffers, panels: [None; 2], batch } };
        task.emit(&mut emission, &parameters);
        e = emission.e;
    }
    encode(e.finish())
}

impl WideEmitter {
    /// A word of the frame of the task.
    fn field(&mut self, frame: Reg, offset: usize) -> Reg {
        let memory = Memory { offset: offset as i32, ..Memory::at(Base::Reg(frame)) };
        let effect = Effect::Load { bytes: 8, broadcast: false, fixed: true };
        let inst = Inst::new(Opcode::Mov_r64_rm64, View::Qword).memory(memory).effect(effect);
        self.r.load(inst, Class::General, 8)
    }

    fn word_of(&mut self, reg: Reg) -> Word {
        self.words.word(Sum::reg(reg))
    }
}
