//! The measurement as tables.

use std::fmt;

use super::measured::{Kernel, Measured};
use crate::engine::gpu::mebibytes;
use crate::run::report::Table;

/// Number of kernels shown.
const SHOWN: usize = 20;

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { device, crop, batch, classes, peak, .. } = self;
        writeln!(f, "{device}: {batch} images of {crop} × {crop}, {classes} classes\n")?;
        let mut line = |name: &str, value: String, meaning: &str| writeln!(f, "{name:<12}{value:>13}   {meaning}");
        line("step", duration(self.step), &format!("median; fastest {}", duration(self.fastest_step)))?;
        line("throughput", format!("{:.2}", self.images_per_second), "images per second")?;
        line("host", duration(self.host), "to submit a step, without waiting for the device")?;
        line("preparation", duration(self.prepare), "to record, plan and build the step")?;
        line("first step", duration(self.first_step), "includes kernels that the driver compiles")?;
        line("memory", format!("{:.1} MiB", mebibytes(self.planned_bytes)), "all buffers")?;
        let (operations, dispatches) =
            self.parts.iter().fold((0, 0), |sums, part| (sums.0 + part.operations, sums.1 + part.dispatches));
        let rate = operations as f64 / self.step;
        let of_peak = format!("over the whole step, {:.0} % of the peak", 100.0 * rate / peak.operations);
        line("arithmetic", format!("{:.1} GFLOP/s", giga(rate)), &of_peak)?;
        line("peak", format!("{:.1} GFLOP/s", giga(peak.operations)), "matrix product on this device")?;
        line("bandwidth", format!("{:.1} GB/s", giga(peak.bytes)), "copy on this device")?;

        let total: f64 = self.parts.iter().map(|part| part.seconds).sum();
        let share = |seconds: f64| format!("{:.1} %", 100.0 * seconds / total);
        let mut table = Table::new(["part", "ms", "share", "GFLOP", "dispatches"]);
        for part in &self.parts {
            table.row([
                part.name.to_owned(),
                milli(part.seconds),
                share(part.seconds),
                format!("{:.3}", giga(part.operations as f64)),
                part.dispatches.to_string(),
            ]);
        }
        table.row([
            "all kernels".to_owned(),
            milli(total),
            share(total),
            format!("{:.3}", giga(operations as f64)),
            dispatches.to_string(),
        ]);
        writeln!(f, "\n{table}")?;

        let mut table = Table::new(["kernel", "result", "dispatches", "ms", "share", "GFLOP/s", "GB/s", "% of peak"]);
        for kernel in self.kernels.iter().take(SHOWN) {
            let rate = |count: u64| match count {
                0 => "–".to_owned(),
                count => format!("{:.2}", giga(count as f64 / kernel.seconds)),
            };
            table.row([
                name(kernel),
                kernel.output.clone(),
                kernel.dispatches.to_string(),
                milli(kernel.seconds),
                share(kernel.seconds),
                rate(kernel.operations),
                rate(kernel.traffic),
                format!("{:.0} %", 100.0 * kernel.share_of_peak(peak)),
            ]);
        }
        write!(f, "{table}")
    }
}

/// The shader, and the op if it is named differently.
fn name(kernel: &Kernel) -> String {
    if kernel.op == kernel.shader { kernel.op.to_owned() } else { format!("{} of {}", kernel.shader, kernel.op) }
}

fn giga(value: f64) -> f64 {
    value * 1e-9
}

fn milli(seconds: f64) -> String {
    format!("{:.2}", 1e3 * seconds)
}

fn duration(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.2} ms", 1e3 * seconds) } else { format!("{seconds:.3} s") }
}
