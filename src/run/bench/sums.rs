//! Dispatches summed by part and by kernel.

use super::measured::{Kernel, StepPart};
use crate::engine::gpu::KernelTime;

/// The median of `values`, which must not be empty.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Every dispatch with its median time over `profiles`, which must not be empty.
pub(super) fn medians(mut profiles: Vec<Vec<KernelTime>>) -> Vec<KernelTime> {
    let mut dispatches = profiles.swap_remove(0);
    for (index, dispatch) in dispatches.iter_mut().enumerate() {
        let others = profiles.iter().map(|profile| profile[index].seconds);
        dispatch.seconds = median(others.chain([dispatch.seconds]).collect());
    }
    dispatches
}

pub(super) fn parts(dispatches: &[KernelTime]) -> Vec<StepPart> {
    let mut parts: Vec<StepPart> = Vec::new();
    for dispatch in dispatches {
        let known = parts.iter().position(|part| part.name == dispatch.part).unwrap_or_else(|| {
            parts.push(StepPart { name: dispatch.part, seconds: 0.0, operations: 0, dispatches: 0 });
            parts.len() - 1
        });
        parts[known].seconds += dispatch.seconds;
        parts[known].operations += dispatch.operations;
        parts[known].dispatches += 1;
    }
    parts
}

pub(super) fn kernels(dispatches: &[KernelTime]) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = Vec::new();
    for &KernelTime { op, shader, ref output, seconds, operations, traffic, .. } in dispatches {
        let same = |kernel: &&mut Kernel| kernel.op == op && kernel.shader == shader && kernel.output == *output;
        match kernels.iter_mut().find(same) {
            Some(kernel) => {
                kernel.dispatches += 1;
                kernel.seconds += seconds;
                kernel.operations += operations;
                kernel.traffic += traffic;
            }
            None => {
                let output = output.clone();
                kernels.push(Kernel { op, shader, output, dispatches: 1, seconds, operations, traffic });
            }
        }
    }
    kernels.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    kernels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::probe::Peak;

    fn dispatch(part: &'static str, op: &'static str, seconds: f64) -> KernelTime {
        KernelTime { part, op, output: "f32[2]".into(), shader: op, seconds, operations: 10, traffic: 40 }
    }

    /// Protects: nothing is lost or counted twice between dispatches, parts and kernels.
    #[test]
    fn dispatches_are_summed_by_part_and_by_kernel() {
        let profile = |factor: f64| {
            [("forward", "matmul", 1.0), ("backward", "matmul", 4.0), ("backward", "softmax", 2.0)]
                .map(|(part, op, seconds)| dispatch(part, op, factor * seconds))
                .to_vec()
        };
        let dispatches = medians(vec![profile(9.0), profile(1.0), profile(2.0)]);
        let parts = parts(&dispatches);
        assert_eq!(
            parts.iter().map(|part| (part.name, part.seconds)).collect::<Vec<_>>(),
            [("forward", 2.0), ("backward", 12.0)]
        );
        let kernels = kernels(&dispatches);
        let found: Vec<_> = kernels.iter().map(|kernel| (kernel.op, kernel.dispatches, kernel.seconds)).collect();
        assert_eq!(found, [("matmul", 2, 10.0), ("softmax", 1, 4.0)]);
        let peak = Peak { operations: 4.0, bytes: 8.0 };
        assert_eq!(kernels[0].share_of_peak(&peak), 1.0, "bytes dominate: 80 at 8 per second");
    }
}
