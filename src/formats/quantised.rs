//! Weights in 8 bits: w ≈ scale · q with an integer q from −127 to 127.
//!
//! Every row of a tensor, its values at one index of the first axis, has a scale of its own: the largest |w| / 127. So no
//! weight changes by more than 1/254 of the largest of its row. The scales of tensor `NAME` are the tensor `NAME.scale`.

use std::collections::{BTreeMap, BTreeSet};

use super::element::{Element, Values};
use super::fault::{Checked, Fault, quoted};
use super::tensor_file::NamedTensor;

/// The ending of the name of a tensor's scales.
pub const SCALE: &str = ".scale";

/// The largest integer.
const LARGEST: f32 = 127.0;

/// The integers of a tensor with so many rows, and their scales; `None` if a value is not finite.
pub fn quantised(rows: usize, values: &[f32]) -> Option<(Vec<i8>, Vec<f32>)> {
    if !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let row = (values.len() / rows.max(1)).max(1);
    let largest = |row: &[f32]| row.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    let scales: Vec<_> = values.chunks(row).map(|row| largest(row) / LARGEST).collect();
    let integers = values.chunks(row).zip(&scales).flat_map(|(row, &scale)| {
        // All of a row are 0 where its scale is.
        let scale = if scale > 0.0 { scale } else { 1.0 };
        row.iter().map(move |value| (value / scale).round() as i8)
    });
    Some((integers.collect(), scales))
}

/// Replaces integers that have scales by their products; the scales are not kept.
///
/// # Errors
/// If the number of scales is not that of the rows.
pub fn restore(tensors: &mut Vec<NamedTensor>) -> Checked<()> {
    let integers = tensors.iter().filter(|tensor| tensor.element == Element::I8);
    let paired: BTreeSet<_> = integers.map(|tensor| format!("{}{SCALE}", tensor.name)).collect();
    let (scales, mut others): (Vec<_>, Vec<_>) =
        std::mem::take(tensors).into_iter().partition(|tensor| paired.contains(&tensor.name));
    let mut scales: BTreeMap<_, _> = scales.into_iter().map(|tensor| (tensor.name, tensor.values)).collect();
    for tensor in others.iter_mut().filter(|tensor| tensor.element == Element::I8) {
        let (Values::Integers(integers), Some(scale)) =
            (&tensor.values, scales.remove(&format!("{}{SCALE}", tensor.name)))
        else {
            continue;
        };
        let rows = tensor.shape.first().copied().unwrap_or(1);
        let Values::Reals(scale) = scale else {
            return Err(Fault::damaged(format!("the scales of {} are no real numbers", quoted(&tensor.name))));
        };
        if scale.len() != rows {
            let (name, count) = (quoted(&tensor.name), scale.len());
            return Err(Fault::damaged(format!("{name} has {count} scales for {rows} rows")));
        }
        let row = (integers.len() / rows.max(1)).max(1);
        let rows = integers.chunks(row).zip(scale);
        let reals = rows.flat_map(|(row, scale)| row.iter().map(move |&integer| integer as f32 * scale)).collect();
        tensor.values = Values::Reals(reals);
    }
    *tensors = others;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], element: Element, values: Values) -> NamedTensor {
        NamedTensor { name: name.into(), shape: shape.to_vec(), element, values }
    }

    /// Protects: no weight changes by more than half a step of its own row, rows of zeros stay zeros, and the largest of each
    /// row is kept.
    #[test]
    fn every_row_has_a_scale() {
        let values = [1.0, -0.49, 0.003, 0.0, 0.0, 0.0, -2e-6, 1.1e-6, 1.9e-6];
        let (integers, scales) = quantised(3, &values).unwrap();
        assert_eq!(integers, [127, -62, 0, 0, 0, 0, -127, 70, 121]);
        let integers = Values::Integers(integers.into_iter().map(i64::from).collect());
        let mut tensors = vec![
            tensor("w", &[3, 3], Element::I8, integers),
            tensor("w.scale", &[3], Element::F32, Values::Reals(scales)),
            tensor("other.scale", &[1], Element::F32, Values::Reals(vec![2.0])),
        ];
        restore(&mut tensors).unwrap();
        assert_eq!(tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), ["w", "other.scale"]);
        let Values::Reals(restored) = &tensors[0].values else { panic!("{tensors:?}") };
        for (row, (restored, values)) in restored.chunks(3).zip(values.chunks(3)).enumerate() {
            let half = [1.0, 0.0, 2e-6][row] / 254.0 * 1.0001;
            assert!(restored.iter().zip(values).all(|(one, other)| (one - other).abs() <= half), "{restored:?}");
        }
        assert!(quantised(1, &[1.0, f32::NAN]).is_none() && quantised(1, &[f32::INFINITY]).is_none());
    }

    /// Protects: integers without scales stay integers, and a wrong number of scales is a damaged file.
    #[test]
    fn scales_are_checked() {
        let integers = |count| Values::Integers(vec![1; count]);
        let mut plain = vec![tensor("counts", &[4], Element::I8, integers(4))];
        restore(&mut plain).unwrap();
        assert_eq!(plain[0].values, integers(4));
        for scales in [Values::Reals(vec![1.0]), Values::Reals(Vec::new()), integers(2)] {
            let scale = tensor("w.scale", &[1], Element::F32, scales);
            let fault = restore(&mut vec![tensor("w", &[2, 2], Element::I8, integers(4)), scale]).unwrap_err();
            assert!(fault.reason.contains("`w`"), "{}", fault.reason);
        }
    }
}
