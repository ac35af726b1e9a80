//! Layouts: structures of numbers that a test can change one by one.

/// A field of a layout, for tests that change it.
pub trait Number {
    /// The value.
    fn get(&self) -> i64;
    /// Sets it, cut to its width.
    fn set(&mut self, value: i64);
}

macro_rules! number {
    ($($type:ty)*) => {
        $(impl Number for $type {
            fn get(&self) -> i64 {
                i64::from(*self)
            }

            fn set(&mut self, value: i64) {
                *self = value as $type;
            }
        })*
    };
}

number!(u16 i16 u32);

impl Number for bool {
    fn get(&self) -> i64 {
        i64::from(*self)
    }

    fn set(&mut self, value: i64) {
        *self = value != 0;
    }
}

/// Declares `Layout`, with the documentation that stands before its fields.
macro_rules! layout {
    (($(#[$about:meta])*) $($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Layout {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Layout {
            /// Every number by its name: so a test can change each and see it refused.
            pub fn each(&mut self) -> [(&'static str, &mut dyn $crate::walk::Number); Self::COUNT] {
                [$((stringify!($name), &mut self.$name),)*]
            }

            /// How many numbers there are.
            pub const COUNT: usize = [$(stringify!($name)),*].len();
        }
    };
}
pub(crate) use layout;
