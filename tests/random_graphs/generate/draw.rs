//! Draws one op, with operands and numbers that it takes.

use super::names::*;
use super::*;

impl Generator {
    /// An op of those in [`OPS`], the program's favourite more often.
    pub(super) fn draw(&mut self) -> Option<usize> {
        if let Some(favourite) = self.favourite
            && self.random.chance(35)
        {
            return self.draw_one(favourite);
        }
        let total = OPS.iter().map(|(_, weight)| weight).sum();
        let mut at = self.random.below(total);
        let kind = OPS.iter().find(|(_, weight)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        self.draw_one(kind?.0)
    }

    fn draw_one(&mut self, kind: &str) -> Option<usize> {
        match kind {
            "unary" => {
                let op = self.random.of(&[
                    "neg",
                    "abs",
                    "relu",
                    "relu6",
                    "sigmoid",
                    "log_sigmoid",
                    "gelu",
                    "finite",
                    "to_real",
                    "scale",
                    "offset",
                    "minus_from",
                    "negative",
                    "plus_number",
                    "times_number",
                    "over_number",
                ]);
                let x = self.tame_real(0..=6, 64.0)?;
                let numbers = match op {
                    "scale" => vec![self.random.of(&[-3, -1, 1, 2, 5]), self.random.of(&[-2, -1, 0])],
                    "offset" | "minus_from" => vec![self.random.below(9) as i64 - 4],
                    "plus_number" | "times_number" => vec![self.random.of(&[1, 7, -3, 10, 33])],
                    "over_number" => vec![self.random.of(&[1, 7, -3, 10, 30, -70, 80, 410])],
                    _ => Vec::new(),
                };
                self.op(op, &[x], &numbers)
            }
            // Functions that need operands of a kind.
            "careful" => {
                let x = self.tame_real(0..=6, 6.0)?;
                match self.random.below(6) {
                    0 => self.op("exp", &[x], &[]),
                    1 => {
                        let x = self.exact()?;
                        let op = self.random.of(&["trunc", "to_integer"]);
                        self.op(op, &[x], &[])
                    }
                    choice => {
                        let size = self.op("abs", &[x], &[])?;
                        let above = self.op("offset", &[size], &[1])?;
                        match choice {
                            2 => self.op("log", &[above], &[]),
                            3 => self.op("sqrt", &[above], &[]),
                            4 => {
                                let above = self.op("offset", &[above], &[1])?;
                                let number = self.random.of(&[1, 7, -30, 10]);
                                self.op("number_over", &[above], &[number])
                            }
                            _ => {
                                let shape = self.known(above).shape.clone();
                                let other = self.broadcast(&shape);
                                let over = self.of_shape(&other)?;
                                let op = self.random.of(&["div", "over"]);
                                self.op(op, &[over, above], &[])
                            }
                        }
                    }
                }
            }
            "binary" => {
                let x = self.tame_real(0..=6, 512.0)?;
                let shape = self.known(x).shape.clone();
                let other = self.broadcast(&shape);
                let y = self.of_shape(&other)?;
                let y = self.tame(y, 512.0)?;
                let op = self.random.of(&["add", "sub", "mul", "maximum", "minimum", "plus", "minus", "times"]);
                let takes = if self.random.chance(50) { [x, y] } else { [y, x] };
                self.op(op, &takes, &[])
            }
            "compare" => {
                let x = self.exact()?;
                let shape = self.known(x).shape.clone();
                let other = self.broadcast(&shape);
                let y = match self.random.below(10) {
                    0..7 => self.source(&other, Fill::Quarters, 0)?,
                    7 => {
                        let number = self.random.of(&[1, 7, -3, 11]);
                        self.op("full_of_tenths", &[], &[vec![number], integers(&other)].concat())?
                    }
                    _ => self.source(&other, Fill::Tenths, 0)?,
                };
                let op = self.random.of(&["equal", "greater", "at_least"]);
                self.op(op, &[x, y], &[])
            }
            "select" => {
                let x = self.exact()?;
                let shape = self.known(x).shape.clone();
                let [yes, no] = [self.broadcast(&shape), self.broadcast(&shape)];
                let (yes, no) = (self.of_shape(&yes)?, self.of_shape(&no)?);
                self.op("select", &[x, yes, no], &[])
            }
            "reduce" => {
                let x = self.real(1..=6)?;
                let axes = self.axes(self.known(x).shape.len());
                let op = self.random.of(&["sum", "sum_keep", "mean", "mean_keep"]);
                self.op(op, &[x], &axes)
            }
            "extrema" => {
                let x = self.real(1..=6)?;
                let axes = self.axes(self.known(x).shape.len());
                let op = self.random.of(&["max", "max_keep", "min", "min_keep"]);
                self.op(op, &[x], &axes)
            }
            "whole" => {
                let x = self.real(0..=6)?;
                let op = self.random.of(&["sum_all", "mean_all", "sum_all_axes"]);
                self.op(op, &[x], &[])
            }
            "arg_max" => {
                let x = match self.random.chance(10) {
                    true => {
                        let shape = self.long_shape(2);
                        self.source(&shape, Fill::Quarters, 0)?
                    }
                    false => self.exact()?,
                };
                let rank = self.known(x).shape.len();
                let axis = self.axis(rank);
                let op = self.random.of(&["arg_max", "arg_max_keep"]);
                self.op(op, &[x], &[axis])
            }
            "permute" => {
                let x = self.found(|_| true)?;
                let rank = self.known(x).shape.len();
                let mut order: Vec<_> = (0..rank as i64).collect();
                for end in (1..rank).rev() {
                    order.swap(end, self.random.below(end + 1));
                }
                self.op("permute", &[x], &order)
            }
            "slice" => {
                let x = self.found(|known| !known.shape.is_empty())?;
                let axis = self.axis(self.known(x).shape.len());
                let extent = self.extent_of(x, axis);
                let start = self.random.below(extent.max(1));
                let end = start + 1 + self.random.below(extent.saturating_sub(start).max(1));
                self.op("slice", &[x], &[axis, start as i64, end as i64])
            }
            "pad" => {
                let x = self.found(|known| !known.shape.is_empty())?;
                let axis = self.axis(self.known(x).shape.len());
                let extent = self.extent_of(x, axis);
                let start = self.random.below(5);
                let end = start + extent + self.random.below(5);
                self.op("pad", &[x], &[axis, start as i64, end as i64])
            }
            "flip" => {
                let x = self.found(|known| !known.shape.is_empty())?;
                let axis = self.axis(self.known(x).shape.len());
                self.op("flip", &[x], &[axis])
            }
            "concat" => {
                let x = self.real(1..=6)?;
                let shape = self.known(x).shape.clone();
                let axis = self.axis(shape.len());
                let place = axis.rem_euclid(shape.len() as i64) as usize;
                let mut parts = vec![x];
                for _ in 0..1 + self.random.below(3) {
                    let mut shape = shape.clone();
                    shape[place] = self.extent();
                    parts.push(self.of_shape(&shape)?);
                }
                self.op("concat", &parts, &[axis])
            }
            "reshape" => {
                let x = self.found(|_| true)?;
                let shape = self.reshaped(x);
                self.op("reshape", &[x], &integers(&shape))
            }
            "detach" => {
                let x = self.found(|_| true)?;
                self.op("detach", &[x], &[])
            }
            "expand" => {
                let x = self.real(0..=4)?;
                let mut shape = self.known(x).shape.clone();
                for extent in shape.iter_mut().filter(|extent| **extent == 1) {
                    *extent = self.extent();
                }
                while shape.len() < 6 && self.random.chance(40) {
                    let extent = self.extent();
                    shape.insert(0, extent);
                }
                if shape.iter().product::<usize>() > 8 * self.elements() {
                    return None;
                }
                self.op("expand", &[x], &integers(&shape))
            }
            "matmul" | "linear" | "scores" | "attention" | "conv2d" | "depthwise_conv2d" => self.product(kind),
            "layer_norm" => {
                let x = self.tame_real(1..=5, 64.0)?;
                let width = *self.known(x).shape.last()?;
                let takes = [x, self.of_shape(&[width])?, self.of_shape(&[width])?];
                self.op("layer_norm", &takes, &[])
            }
            "batch_norm" => {
                let x = self.tame_real(1..=5, 64.0)?;
                let width = *self.known(x).shape.last()?;
                let statistics = match self.random.below(4) {
                    0 => return self.op("batch_statistics", &[x], &[]),
                    1 => {
                        let given = self.fresh(&[2, width])?;
                        let size = self.op("abs", &[given], &[])?;
                        self.op("offset", &[size], &[1])?
                    }
                    _ => self.op("batch_statistics", &[x], &[])?,
                };
                let takes = [x, statistics, self.of_shape(&[width])?, self.of_shape(&[width])?];
                self.op("batch_norm", &takes, &[])
            }
            "softmax" => {
                let x = self.tame_real(1..=6, 6.0)?;
                let axis = self.axis(self.known(x).shape.len());
                match self.random.below(3) {
                    0 => self.op("softmax", &[x], &[axis]),
                    1 => self.op("log_softmax", &[x], &[axis]),
                    _ => self.op("softmax_scaled", &[x], &[3]),
                }
            }
            "resize" => {
                let x = self.tame_real(4..=4, 64.0)?;
                let [height, width] = [0, 1].map(|_| if self.random.chance(5) { 40 } else { self.extent() as i64 });
                let corners = i64::from(self.random.chance(50));
                match self.random.below(5) {
                    0 => self.op("resize", &[x], &[height, width, corners]),
                    1 => self.op("resize_channels_last", &[x], &[height, width, corners]),
                    2 => {
                        let [batch, .., channels]: [usize; 4] = self.shape_of(x)?;
                        let base = self.of_shape(&[batch, height as usize, width as usize, channels])?;
                        self.op("resize_channels_last_onto", &[x, base], &[corners])
                    }
                    choice => {
                        let parts = self.random.of(&[7, 7, 3, 10, 64, 101, 1000, 99_991]);
                        let factor = 1 + self.random.below(5 * parts / 2) as i64;
                        let op = if choice == 3 { "resize_by_factor" } else { "resize_channels_last_by_factor" };
                        self.op(op, &[x], &[factor, parts as i64])
                    }
                }
            }
            "box_resize" => {
                let x = self.tame_real(4..=4, 64.0)?;
                let [batch, height, width, _]: [usize; 4] = self.shape_of(x)?;
                let from = self.source(&[batch, 4], Fill::Box, height.min(width).max(1) as i64)?;
                let [rows, columns] = [self.extent() as i64, self.extent() as i64];
                let most = rows.max(columns) + self.random.below(3) as i64;
                let to = self.source(&[batch, 4], Fill::Box, most.max(1))?;
                let corners = i64::from(self.random.chance(50));
                self.op("box_resize", &[x, from, to], &[rows, columns, corners])
            }
            "pixel_loss" => {
                let x = self.tame_real(4..=4, 8.0)?;
                let [batch, channels, height, width]: [usize; 4] = self.shape_of(x)?;
                // Terms are added one after another: as many as these are rounded more than what is compared allows.
                if channels > 10_000 {
                    return None;
                }
                let same = self.random.chance(50);
                let [rows, columns] = [height, width].map(|extent| if same { extent } else { self.extent() });
                let label = self.source(&[batch, rows, columns], Fill::Label, channels.max(1) as i64)?;
                let op = self.random.of(&["margin_map", "cross_entropy_map"]);
                let first = self.random.below(2) as i64;
                self.op(op, &[x, label], &[first])
            }
            "slots" => {
                let x = self.real(4..=4)?;
                let [batch, channels, _, slots]: [usize; 4] = self.shape_of(x)?;
                let first = self.random.below(2) as i64;
                if self.random.chance(50) {
                    let width = self.extent();
                    let classes = self.source(&[batch, width], Fill::Slots, channels as i64 + 1)?;
                    return self.op("gather_slots", &[x, classes], &[first]);
                }
                let channels = self.extent() as i64;
                let classes = self.source(&[batch, slots], Fill::Slots, channels + 1)?;
                self.op("scatter_slots", &[x, classes], &[channels, first])
            }
            "lookup" => {
                let (batch, entries) = (self.extent(), self.extent());
                let table = self.source(&[batch, entries], Fill::Index, 200)?;
                let rank = self.random.below(3);
                let mut shape = self.shape(rank);
                shape.insert(0, batch);
                let index = self.source(&shape, Fill::Slots, entries as i64 + 1)?;
                self.op("lookup", &[table, index], &[])
            }
            "pixels" => {
                let shape = self.shape(4);
                let words = self.source(&[shape.iter().product::<usize>().div_ceil(4)], Fill::Words, 0)?;
                let table = self.fresh(&[*shape.get(3)?, 256])?;
                self.op("pixels", &[words, table], &integers(&shape))
            }
            "par" => {
                let [batch, height, width] = [self.extent(), self.extent(), self.extent()];
                let image = self.fresh(&[batch, height, width, 3])?;
                let extent = self.source(&[batch, 2], Fill::Extent, height.min(width).max(1) as i64)?;
                let rings: Vec<_> = (0..1 + self.random.below(3)).map(|_| 1 + self.random.below(4) as i64).collect();
                let weights = self.op("par_weights", &[image, extent], &rings)?;
                let slots = 4 * (1 + self.random.below(3));
                let mask = self.of_shape(&[batch, height, width, slots])?;
                let mask = self.tame(mask, 64.0)?;
                let classes = self.source(&[batch, slots], Fill::Slots, 5)?;
                let weights = self.op("detach", &[weights], &[])?;
                self.op("par_step", &[mask, weights, extent, classes], &rings)
            }
            "random" => {
                let key = self.source(&[3], Fill::Words, 0)?;
                let rank = self.random.below(7);
                let shape = self.shape(rank);
                self.op("random", &[key], &integers(&shape))
            }
            "pack" => {
                let mut parts = Vec::new();
                for _ in 0..1 + self.random.below(4) {
                    parts.push(self.real(0..=6)?);
                }
                self.op("pack", &parts, &[])
            }
            "assign" | "write_row" | "flag_nonfinite" | "optimiser" | "gradients" => self.training(kind),
            "hoist" => {
                let x = self.found(|_| true)?;
                self.op("hoist", &[x], &[])
            }
            "constant" => {
                let rank = self.random.below(7);
                let numbers = [vec![3], integers(&self.shape(rank))].concat();
                let op = self.random.of(&["full", "state_filled", "scalar"]);
                self.op(op, &[], &numbers)
            }
            _ => self.wild(),
        }
    }

    /// One of the kinds of [`OPS`].
    pub(super) fn favourite(random: &mut Random) -> &'static str {
        OPS[random.below(OPS.len())].0
    }

    /// An op on any operands with any numbers: it is refused, or right.
    fn wild(&mut self) -> Option<usize> {
        let op = self.random.of(WILD);
        let mut takes = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let x = self.found(|_| true)?;
            takes.push(if self.known(x).is_real { self.tame(x, 8.0)? } else { x });
        }
        if ["assign", "write_row", "flag_nonfinite"].contains(&op) && self.known(takes[0]).is_state {
            let &value = takes.get(1)?;
            takes[1] = self.storable(takes[0], value)?;
        }
        if op == "sgd" && takes[1..].iter().any(|&taken| self.known(taken).unit.is_some()) {
            return None;
        }
        let numbers: Vec<_> = (0..self.random.below(7))
            .map(|_| match self.random.below(60) {
                0 => i64::MAX,
                1 => -1,
                2 => 1 << 40,
                3 => 1 << 24,
                other => other as i64 % 8,
            })
            .collect();
        let least = match op {
            "conv2d_with" | "sgd" | "pull_back" => 2,
            _ => 1,
        };
        if takes.len() < least || (op == "arg_max" && self.known(takes[0]).unit.is_none()) {
            return None;
        }
        let gives = match op {
            "gradients" => takes.len() - 1,
            "pull_back" => takes.len().saturating_sub(2),
            _ => 1,
        };
        if gives == 0 { None } else { self.line(op, &takes, &numbers, gives) }
    }
}
