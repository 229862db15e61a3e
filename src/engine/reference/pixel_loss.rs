//! Twin of `shaders/pixel_loss.wgsl` and `shaders/pixel_loss_gradient.wgsl`.

use super::array::Array;
use crate::engine::geometry::axis::Resize;

/// Which loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Σ over channels of the two-class loss of each: −logσ(x) for the label's channel, −logσ(−x) for the others.
    Margin,
    /// log Σ eˣ − x of the label's channel.
    CrossEntropy,
}

/// Logits \[B, C, h, w\] and label \[B, H, W\] to one loss per pixel; 0 where the pixel is ignored.
#[derive(Clone, Copy, Debug)]
pub struct PixelLoss {
    /// Which loss.
    pub form: Form,
    /// The label of channel 0.
    pub first: usize,
}

/// Logits \[B, C, h, w\] interpolated to the pixels, \[B, C, H, W\].
pub fn at_pixels(resize: &Resize, x: &Array) -> Array {
    super::resize::resize(resize, &[x.shape[0], x.shape[1], resize.rows.output, resize.columns.output], x, None)
}

/// log Σ exp x over the channels of \[B, C, H, W\].
pub fn log_sum(x: &Array) -> Array {
    let (channels, plane) = (x.shape[1], x.shape[2] * x.shape[3]);
    Array::from_fn(&[x.shape[0], x.shape[2], x.shape[3]], |index| {
        let start = index / plane * channels * plane + index % plane;
        log_sum_exp(&(0..channels).map(|c| x.data[start + c * plane]).collect::<Vec<_>>())
    })
}

/// The channel of a label, unless the pixel is ignored.
fn class(op: &PixelLoss, channels: usize, label: f64) -> Option<usize> {
    let t = label - op.first as f64;
    (label != 255.0 && t >= 0.0 && t < channels as f64).then_some(t as usize)
}

/// Calls `visit` with every pixel that is not ignored: its index, the index of its first logit, its logits and its
/// class.
fn pixels(op: &PixelLoss, x: &Array, label: &Array, mut visit: impl FnMut(usize, usize, &[f64], usize)) {
    let (channels, plane) = (x.shape[1], x.shape[2] * x.shape[3]);
    for index in 0..label.data.len() {
        if let Some(t) = class(op, channels, label.data[index]) {
            let start = index / plane * channels * plane + index % plane;
            let logits: Vec<_> = (0..channels).map(|c| x.data[start + c * plane]).collect();
            visit(index, start, &logits, t);
        }
    }
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + logits.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// Loss of every pixel.
pub fn pixel_loss(op: &PixelLoss, x: &Array, label: &Array) -> Array {
    let mut out = Array::zeros(&label.shape);
    pixels(op, x, label, |index, _, logits, t| {
        out.data[index] = match op.form {
            // −logσ(x) of the class, −logσ(−x) of the others.
            Form::Margin => (0..logits.len())
                .map(|c| if c == t { -logits[c] } else { logits[c] })
                .map(|x| x.max(0.0) + (-x.abs()).exp().ln_1p())
                .sum(),
            Form::CrossEntropy => log_sum_exp(logits) - logits[t],
        };
    });
    out
}

/// Gradient with respect to the logits.
pub fn gradient(op: &PixelLoss, x: &Array, label: &Array, grad: &Array) -> Array {
    let plane = x.shape[2] * x.shape[3];
    let mut out = Array::zeros(&x.shape);
    pixels(op, x, label, |index, start, logits, t| {
        let log_sum = log_sum_exp(logits);
        for c in 0..logits.len() {
            let probability = match op.form {
                Form::Margin => 1.0 / (1.0 + (-logits[c]).exp()),
                Form::CrossEntropy => (logits[c] - log_sum).exp(),
            };
            let hit = if c == t { 1.0 } else { 0.0 };
            out.data[start + c * plane] = (probability - hit) * grad.data[index];
        }
    });
    out
}
