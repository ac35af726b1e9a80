//! Weight that is missing from the stacks, by cause.

/// Why weight is missing from the stacks, or stands under a placeholder instead of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossCause {
    /// CPU time that no sample covers: short threads, blocked signals, time before a thread was
    /// seen. Shown under the frame `[unsampled]`.
    Unsampled,
    /// Expirations beyond the cap on one sample's weight. Shown under `[missed]`.
    Missed,
    /// Samples dropped because a ring was full. Shown under `[dropped]`.
    Dropped,
    /// Samples whose stack fell in the overflow bucket because the table of stacks was full.
    /// Shown under `[overflow]`.
    StackOverflow,
    /// Samples whose label set was replaced by `__overflow__`, or whose span was left out because
    /// the table of stacks was filling. Their stacks are kept.
    LabelOverflow,
    /// Samples whose stack could not be walked to the thread's root. Their stacks are kept.
    Truncated,
    /// Samples with Python frames that could not be read. The rest of their stacks is kept; the
    /// frame `[python frames lost]` stands for what is missing.
    PythonLost,
    /// Samples with frames of JavaScript that could not be read. The rest of their stacks is kept;
    /// the frame `[javascript frame lost]` stands for each.
    JavaScriptLost,
    /// Samples with frames of Java that could not be read. The rest of their stacks is kept; the
    /// frame `[java frame lost]` stands for each.
    JavaLost,
}

impl LossCause {
    /// Every cause, in the order used for output.
    pub const ALL: [Self; 9] = [
        Self::Unsampled,
        Self::Missed,
        Self::Dropped,
        Self::StackOverflow,
        Self::LabelOverflow,
        Self::Truncated,
        Self::PythonLost,
        Self::JavaScriptLost,
        Self::JavaLost,
    ];

    /// The name used in files, metrics and the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsampled => "unsampled",
            Self::Missed => "missed",
            Self::Dropped => "dropped",
            Self::StackOverflow => "stack_overflow",
            Self::LabelOverflow => "label_overflow",
            Self::Truncated => "truncated",
            Self::PythonLost => "python_lost",
            Self::JavaScriptLost => "javascript_lost",
            Self::JavaLost => "java_lost",
        }
    }

    /// The frame that stands for a stack, where there is none.
    pub fn placeholder(self) -> Option<&'static str> {
        match self {
            Self::Unsampled => Some("[unsampled]"),
            Self::Missed => Some("[missed]"),
            Self::Dropped => Some("[dropped]"),
            Self::StackOverflow => Some("[overflow]"),
            Self::LabelOverflow
            | Self::Truncated
            | Self::PythonLost
            | Self::JavaScriptLost
            | Self::JavaLost => None,
        }
    }

    /// The cause with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// An amount lost to one cause, in the unit of the profile's period (nanoseconds of CPU time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub cause: LossCause,
    /// How much.
    pub value: u64,
}
