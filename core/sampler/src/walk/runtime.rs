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

    /// Moves `registers` to where the runtime says that it was left, when the walk cannot go on.
    #[cold]
    fn recover<M: MemoryReader>(
        &mut self,
        _registers: &mut Registers,
        _stack: &mut M,
    ) -> Recovered {
        Recovered::Nowhere
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
/// Where a walk goes on that could not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// Nowhere.
    Nowhere,
    /// At the registers, which were moved to a frame that is returned to.
    Elsewhere,
    /// It has reached the root of what the runtime runs.
    Root,
}

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

    fn recover<M: MemoryReader>(&mut self, registers: &mut Registers, stack: &mut M) -> Recovered {
        match self {
            Some(runtime) => runtime.recover(registers, stack),
            None => Recovered::Nowhere,
        }
    }

    #[inline(always)]
    fn has_frame_pointers(&self) -> bool {
        self.as_ref().is_some_and(Runtime::has_frame_pointers)
    }
}

/// Two runtimes with code of their own.
impl<A: Runtime, B: Runtime> Runtime for (A, B) {
    #[inline(always)]
    fn covers(&self, address: u64) -> bool {
        self.0.covers(address) || self.1.covers(address)
    }

    #[inline(always)]
    fn step<M: MemoryReader>(
        &mut self,
        registers: &mut Registers,
        interrupted: bool,
        stack: &mut M,
        put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        let inside = if interrupted { registers.pc } else { registers.pc.wrapping_sub(1) };
        if self.0.covers(inside) {
            self.0.step(registers, interrupted, stack, put)
        } else {
            self.1.step(registers, interrupted, stack, put)
        }
    }

    fn recover<M: MemoryReader>(&mut self, registers: &mut Registers, stack: &mut M) -> Recovered {
        match self.0.recover(registers, stack) {
            Recovered::Nowhere => self.1.recover(registers, stack),
            recovered => recovered,
        }
    }

    #[inline(always)]
    fn has_frame_pointers(&self) -> bool {
        self.0.has_frame_pointers() || self.1.has_frame_pointers()
    }
}
