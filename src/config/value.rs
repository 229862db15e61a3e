//! Types of option values: reading from TOML, writing to TOML, and ranges.

use std::fmt;

/// A type that an option can have.
pub trait OptionValue: Sized {
    /// The value, or `None` if `value` has another type.
    fn read(value: &toml::Value) -> Option<Self>;

    /// The value as a TOML literal.
    fn write(&self) -> String;

    /// The allowed values, as the object of "give …".
    fn kind() -> String;

    /// The numbers in the value, each of which must be within the option's [`Limit`].
    fn numbers(&self) -> Vec<f64> {
        Vec::new()
    }
}

impl OptionValue for bool {
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_bool()
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn kind() -> String {
        "true or false".into()
    }
}

impl OptionValue for String {
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn write(&self) -> String {
        toml::Value::String(self.clone()).to_string()
    }

    fn kind() -> String {
        "a name".into()
    }
}

macro_rules! whole_numbers {
    ($($integer:ty),*) => {$(
        impl OptionValue for $integer {
            fn read(value: &toml::Value) -> Option<Self> {
                value.as_integer()?.try_into().ok()
            }

            fn write(&self) -> String {
                self.to_string()
            }

            fn kind() -> String {
                "a whole number".into()
            }

            fn numbers(&self) -> Vec<f64> {
                vec![*self as f64]
            }
        }
    )*};
}

whole_numbers!(usize, u64);

impl OptionValue for f64 {
    fn read(value: &toml::Value) -> Option<Self> {
        let number = value.as_float().or(value.as_integer().map(|integer| integer as f64))?;
        number.is_finite().then_some(number)
    }

    fn write(&self) -> String {
        format!("{self:?}")
    }

    fn kind() -> String {
        "a number".into()
    }

    fn numbers(&self) -> Vec<f64> {
        vec![*self]
    }
}

impl<T: OptionValue> OptionValue for Vec<T> {
    fn read(value: &toml::Value) -> Option<Self> {
        let list: Vec<T> = value.as_array()?.iter().map(T::read).collect::<Option<_>>()?;
        (!list.is_empty()).then_some(list)
    }

    fn write(&self) -> String {
        write_list(self)
    }

    fn kind() -> String {
        format!("a list like [x, y], each entry {}", T::kind())
    }

    fn numbers(&self) -> Vec<f64> {
        self.iter().flat_map(T::numbers).collect()
    }
}

impl<T: OptionValue, const N: usize> OptionValue for [T; N] {
    fn read(value: &toml::Value) -> Option<Self> {
        Vec::<T>::read(value)?.try_into().ok()
    }

    fn write(&self) -> String {
        write_list(self)
    }

    fn kind() -> String {
        format!("a list of {N}, each entry {}", T::kind())
    }

    fn numbers(&self) -> Vec<f64> {
        self.iter().flat_map(T::numbers).collect()
    }
}

fn write_list<T: OptionValue>(list: &[T]) -> String {
    let entries: Vec<_> = list.iter().map(T::write).collect();
    format!("[{}]", entries.join(", "))
}

/// The range of an option's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Any value of the type.
    Any,
    /// At least this number.
    AtLeast(f64),
    /// More than this number.
    Above(f64),
    /// Both ends included.
    Within(f64, f64),
    /// The lower end included, the upper end excluded.
    Below(f64, f64),
    /// A number of iterations, at least this many, or a share of the run (`"20%"`).
    Iterations(usize),
}

impl Limit {
    /// Whether `number` is within the limit.
    pub fn holds(self, number: f64) -> bool {
        match self {
            Limit::Any => true,
            Limit::AtLeast(min) => number >= min,
            Limit::Above(min) => number > min,
            Limit::Within(min, max) => (min..=max).contains(&number),
            Limit::Below(min, max) => (min..max).contains(&number),
            Limit::Iterations(min) => number >= min as f64,
        }
    }

    /// The smallest number of the range, or 0 without one.
    pub(super) fn minimum(self) -> f64 {
        match self {
            Limit::Any => 0.0,
            Limit::AtLeast(min) | Limit::Above(min) | Limit::Within(min, _) | Limit::Below(min, _) => min,
            Limit::Iterations(min) => min as f64,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Any => Ok(()),
            Limit::AtLeast(min) => write!(f, " of at least {min}"),
            Limit::Above(min) => write!(f, " above {min}"),
            Limit::Within(min, max) => write!(f, " from {min} to {max}"),
            Limit::Below(min, max) => write!(f, " of at least {min} and below {max}"),
            Limit::Iterations(min) => write!(f, " of at least {min}, or a share of the run like \"20%\""),
        }
    }
}
