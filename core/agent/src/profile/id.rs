//! Ids: positions in the tables of one profile.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
        impl $name {
            pub(super) fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
            /// The position in the table that this id names.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// Names a string of one profile. Id 0 is always the empty string.
    StringId
);
id!(
    /// Names a [`Mapping`](super::Mapping) of one profile. Id 0 is always "no mapping".
    MappingId
);
id!(
    /// Names a [`Function`](super::Function) of one profile.
    FunctionId
);
id!(
    /// Names a [`Location`](super::Location) of one profile.
    LocationId
);
id!(
    /// Names a stack (a list of locations, leaf first) of one profile.
    StackId
);
id!(
    /// Names a label set of one profile. Id 0 is always the empty set.
    LabelSetId
);
