//! Arithmetic operators. Each records the method of the same name (`1.0 - &x` records two nodes) and has its errors.
//!
//! A device rounds numbers to f32. `&x / c` is a division, not a product with 1/c: it is exact where the quotient is an
//! integer below 2²¹. Any other quotient, and one of two tensors, is rounded as the device divides, by at most 2.5
//! units in the last place.
//!
//! ```
//! use tagseg::engine::graph::{DType, Graph};
//!
//! let graph = Graph::new();
//! let [a, b] = ["a", "b"].map(|name| graph.input(name, [2, 3], DType::F32));
//! let mean = ((&a + &b)? * 0.5)?;
//! let y = (1.0 - (&mean * &mean)?)?;
//! assert_eq!(&y.shape()[..], &[2, 3]);
//! # Ok::<(), tagseg::Error>(())
//! ```

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::engine::graph::Tensor;
use crate::error::Result;

/// Implements an operator for tensors and numbers by reference and by value: an operator gives a value, which the next
/// one takes.
macro_rules! operator {
    ($trait:ident $method:ident, $x:ident $other:ident => $both:expr, $c:ident => $right:expr, $left:expr) => {
        operator!(@both $trait $method, &Tensor, &Tensor, |$x, $other| $both);
        operator!(@both $trait $method, &Tensor, Tensor, |$x, $other| $both);
        operator!(@both $trait $method, Tensor, &Tensor, |$x, $other| $both);
        operator!(@both $trait $method, Tensor, Tensor, |$x, $other| $both);
        operator!(@right $trait $method, &Tensor, |$x, $c| $right);
        operator!(@right $trait $method, Tensor, |$x, $c| $right);
        operator!(@left $trait $method, &Tensor, |$x, $c| $left);
        operator!(@left $trait $method, Tensor, |$x, $c| $left);
    };
    (@both $trait:ident $method:ident, $one:ty, $two:ty, |$x:ident, $other:ident| $result:expr) => {
        impl $trait<$two> for $one {
            type Output = Result<Tensor>;

            #[track_caller]
            fn $method(self, other: $two) -> Result<Tensor> {
                let ($x, $other): (&Tensor, &Tensor) = (&self, &other);
                $result
            }
        }
    };
    (@right $trait:ident $method:ident, $one:ty, |$x:ident, $c:ident| $result:expr) => {
        impl $trait<f64> for $one {
            type Output = Result<Tensor>;

            #[track_caller]
            fn $method(self, $c: f64) -> Result<Tensor> {
                let $x: &Tensor = &self;
                $result
            }
        }
    };
    (@left $trait:ident $method:ident, $one:ty, |$x:ident, $c:ident| $result:expr) => {
        impl $trait<$one> for f64 {
            type Output = Result<Tensor>;

            #[track_caller]
            fn $method(self, other: $one) -> Result<Tensor> {
                let ($c, $x): (f64, &Tensor) = (self, &other);
                $result
            }
        }
    };
}

operator!(Add add, x other => x.add(other), c => x.offset(c), x.offset(c));
operator!(Sub sub, x other => x.sub(other), c => x.offset(-c), x.neg()?.offset(c));
operator!(Mul mul, x other => x.mul(other), c => x.scale(c), x.scale(c));
operator!(Div div, x other => x.div(other), c => x.quotient(c), x.graph().scalar(c).div(x));

impl Neg for &Tensor {
    type Output = Result<Tensor>;

    #[track_caller]
    fn neg(self) -> Result<Tensor> {
        Tensor::neg(self)
    }
}

impl Neg for Tensor {
    type Output = Result<Tensor>;

    #[track_caller]
    fn neg(self) -> Result<Tensor> {
        Tensor::neg(&self)
    }
}
