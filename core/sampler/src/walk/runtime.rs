//! Code that a runtime walks, as no unwind table describes it.

use crate::arch::Registers;
use crate::memory::MemoryReader;
use crate::sample::End;

/// What the native walk asks of a runtime with frames of its own on the native stack. What is not
/// implemented is answered as where there is no runtime.
pub(crate) trait Runtime {
    /// Whether code at an address is the runtime's.
    #[inline(always)]
    fn covers(&self, _address: u64) -> bool {
        false
    }

    /// Moves `registers` from a frame of the runtime to its caller's and hands out the words of the
    /// frame: none, one or more. `interrupted` says that the pc is an instruction that has not run
    /// yet, and not a return address.
    #[inline(always)]
    fn step<M: MemoryReader>(
        &mut self,
        _registers: &mut Registers,
        _interrupted: bool,
        _stack: &mut M,
        _put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        Err(End::UnknownCode)
    }

    /// Whether code of which nothing is known has a frame pointer, as all that the runtime makes.
    #[inline(always)]
    fn has_frame_pointers(&self) -> bool {
        false
    }
}

/// No runtime.
impl Runtime for () {}

/// A runtime, where there is one.
impl<R: Runtime> Runtime for Option<R> {
    #[inline(always)]
    fn covers(&self, address: u64) -> bool {
        self.as_ref().is_some_and(|runtime| runtime.covers(address))
    }

    #[inline(always)]
    fn step<M: MemoryReader>(
        &mut self,
        registers: &mut Registers,
        interrupted: bool,
        stack: &mut M,
        put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        match self {
            Some(runtime) => runtime.step(registers, interrupted, stack, put),
            None => Err(End::UnknownCode),
        }
    }

    #[inline(always)]
    fn has_frame_pointers(&self) -> bool {
        self.as_ref().is_some_and(Runtime::has_frame_pointers)
    }
}
