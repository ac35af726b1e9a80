//! What stacks have collected, and the columns of a profile that show it.

use super::heap::HeapValues;
use crate::profile::ValueType;

/// Which quantities a profile counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Samples and CPU time; with `wall` the time including waiting too.
    Time {
        /// Whether waiting time is recorded.
        wall: bool,
    },
    /// Objects and bytes that were allocated, and those that still are.
    Heap,
    /// Bytes that are in use.
    InUse,
    /// Waits for locks, and how long they were.
    Locks,
}

/// What a stack has collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amounts {
    /// Samples, and nanoseconds.
    Time {
        /// Samples.
        samples: u64,
        /// CPU time in nanoseconds.
        cpu: u64,
        /// Waiting time in nanoseconds.
        waited: u64,
    },
    /// Objects and bytes.
    Heap(HeapValues),
    /// Bytes in use.
    InUse(u64),
    /// Waits for locks.
    Locks {
        /// How many.
        waits: u64,
        /// Nanoseconds of all.
        nanos: u64,
    },
}

impl Columns {
    /// The sample types, in the order of [`Amounts::values`].
    pub(super) fn types(self) -> Vec<ValueType> {
        let of = |types: &[(&str, &str)]| {
            types.iter().map(|(kind, unit)| ValueType::new(kind, unit)).collect()
        };
        match self {
            Self::Time { wall: false } => of(&[("samples", "count"), ("cpu", "nanoseconds")]),
            Self::Time { wall: true } => {
                of(&[("samples", "count"), ("cpu", "nanoseconds"), ("wall", "nanoseconds")])
            }
            Self::Heap => of(&[
                ("alloc_objects", "count"),
                ("alloc_space", "bytes"),
                ("inuse_objects", "count"),
                ("inuse_space", "bytes"),
            ]),
            Self::InUse => of(&[("inuse_space", "bytes")]),
            Self::Locks => of(&[("contentions", "count"), ("delay", "nanoseconds")]),
        }
    }

    /// Nothing, of the quantities that are counted.
    pub(super) fn nothing(self) -> Amounts {
        match self {
            Self::Time { .. } => Amounts::cpu(0),
            Self::Heap => Amounts::Heap(HeapValues::default()),
            Self::InUse => Amounts::InUse(0),
            Self::Locks => Amounts::Locks { waits: 0, nanos: 0 },
        }
    }
}

impl Amounts {
    /// CPU time alone.
    pub(super) fn cpu(nanos: u64) -> Self {
        Self::Time { samples: 0, cpu: nanos, waited: 0 }
    }

    /// Waiting time alone.
    pub(super) fn waited(nanos: u64) -> Self {
        Self::Time { samples: 0, cpu: 0, waited: nanos }
    }

    /// Adds amounts of the same kind.
    pub(super) fn add(&mut self, other: Self) {
        match (self, other) {
            (
                Self::Time { samples, cpu, waited },
                Self::Time { samples: more_samples, cpu: more_cpu, waited: more_waited },
            ) => {
                *samples += more_samples;
                *cpu = cpu.saturating_add(more_cpu);
                *waited = waited.saturating_add(more_waited);
            }
            (Self::Heap(values), Self::Heap(more)) => values.add(more),
            (Self::InUse(bytes), Self::InUse(more)) => *bytes = bytes.saturating_add(more),
            (
                Self::Locks { waits, nanos },
                Self::Locks { waits: more_waits, nanos: more_nanos },
            ) => {
                *waits = waits.saturating_add(more_waits);
                *nanos = nanos.saturating_add(more_nanos);
            }
            // A profile has columns of one kind.
            (Self::Time { .. } | Self::Heap(_) | Self::InUse(_) | Self::Locks { .. }, _) => {}
        }
    }

    /// What losses are counted in: CPU or waiting time in nanoseconds, or bytes in use.
    pub(super) fn weight(self) -> u64 {
        match self {
            Self::Time { cpu, .. } => cpu,
            Self::Heap(values) => values.inuse_space,
            Self::InUse(bytes) => bytes,
            Self::Locks { nanos, .. } => nanos,
        }
    }

    /// In the order of the profile's sample types; a profile ignores what is beyond its own.
    pub(super) fn values(self) -> [i64; 4] {
        let values = match self {
            Self::Time { samples, cpu, waited } => [samples, cpu, cpu.saturating_add(waited), 0],
            Self::Heap(values) => {
                [values.alloc_objects, values.alloc_space, values.inuse_objects, values.inuse_space]
            }
            Self::InUse(bytes) => [bytes, 0, 0, 0],
            Self::Locks { waits, nanos } => [waits, nanos, 0, 0],
        };
        values.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
    }
}
