//! Draws products: of matrices, of attention, and under windows.

use super::*;

impl Generator {
    /// One of the ops that multiply and add.
    pub(super) fn product(&mut self, kind: &str) -> Option<usize> {
        match kind {
            "matmul" => {
                let tiled = self.random.chance(20);
                let x = if tiled { self.rows()? } else { self.tame_real(2..=5, 64.0)? };
                let mut shape = self.known(x).shape.clone();
                let rank = shape.len();
                let (op, kept, free) = self.random.of(&[
                    ("matmul", rank - 1, rank - 1),
                    ("matmul_nt", rank - 1, rank - 2),
                    ("matmul_tn", rank - 2, rank - 1),
                ]);
                let inner = shape[kept];
                let outer = if tiled { self.random.of(&TILES) } else { self.side() };
                let place = if free == rank - 1 { rank - 2 } else { rank - 1 };
                (shape[place], shape[free]) = (inner, outer);
                let y = self.of_shape(&shape)?;
                let y = self.tame(y, 64.0)?;
                self.op(op, &[x, y], &[])
            }
            "linear" => {
                let tiled = self.random.chance(20);
                let x = if tiled { self.rows()? } else { self.tame_real(1..=5, 64.0)? };
                let inner = *self.known(x).shape.last()?;
                let outer = if tiled { self.random.of(&TILES) } else { self.side() };
                let mut takes = vec![x, self.of_shape(&[outer, inner])?];
                if self.random.chance(50) {
                    takes.push(self.of_shape(&[outer])?);
                }
                self.op("linear", &takes, &[])
            }
            "scores" => {
                let x = self.tame_real(3..=3, 16.0)?;
                let [batch, _, channels] = self.shape_of(x)?;
                let keys = self.extent();
                let heads = self.random.of(&[1, 2, 4]);
                let k = self.of_shape(&[batch, keys, channels])?;
                let k = self.tame(k, 16.0)?;
                let scores = self.op("attention_scores", &[x, k], &[heads])?;
                if self.random.chance(50) {
                    return Some(scores);
                }
                let width = heads as usize * self.extent();
                let v = self.of_shape(&[batch, keys, width])?;
                self.op("attention_values", &[scores, v], &[])
            }
            "attention" => {
                let heads = self.random.of(&[1, 2, 3]);
                // Wide heads and several tiles of tokens, too.
                let fours = if self.random.chance(30) { 5 + self.random.below(12) } else { 1 + self.random.below(3) };
                let channels = heads as usize * 4 * fours;
                let batch = self.extent();
                let [queries, keys] =
                    [0, 1].map(|_| if self.random.chance(15) { 20 + self.random.below(60) } else { self.extent() });
                // Scores of at most six: where one probability is almost 1, gradients are what rounding leaves of larger terms.
                let most = (3.0 / fours as f64).sqrt();
                let mut takes = Vec::new();
                for (tokens, most) in [(queries, most), (keys, most), (keys, 4.0)] {
                    let x = self.of_shape(&[batch, tokens, channels])?;
                    takes.push(self.tame(x, most)?);
                }
                self.op("attention", &takes, &[heads, 1])
            }
            "conv2d" => {
                let x = self.tame_real(4..=4, 16.0)?;
                let channels = self.known(x).shape[3];
                let (outputs, kernel) = (self.side(), 1 + self.random.below(4));
                let weight = self.of_shape(&[outputs, channels, kernel, kernel])?;
                let mut takes = vec![x, self.tame(weight, 16.0)?];
                if self.random.chance(50) {
                    takes.push(self.of_shape(&[outputs])?);
                }
                let sides = if self.random.chance(40) { 4 } else { 1 };
                let mut numbers = vec![1 + self.random.below(4) as i64];
                numbers.extend((0..sides).map(|_| self.random.below(kernel) as i64));
                let op = self.random.of(&["conv2d", "conv2d_with"]);
                self.op(op, &takes, &numbers)
            }
            "depthwise_conv2d" => {
                let x = self.tame_real(4..=4, 16.0)?;
                let channels = self.known(x).shape[3];
                let kernel = self.random.of(&[3, 5]);
                let weight = self.of_shape(&[channels, 1, kernel, kernel])?;
                let takes = [x, self.tame(weight, 16.0)?, self.of_shape(&[channels])?];
                let (stride, dilation) = match self.random.chance(50) {
                    true => (1 + self.random.below(3), 1),
                    false => (1, 1 + self.random.below(3)),
                };
                let padding = [0; 4].map(|_| self.random.below((kernel - 1) * dilation + 1) as i64);
                self.op("depthwise_conv2d", &takes, &[&[stride as i64, dilation as i64], &padding[..]].concat())
            }
            _ => None,
        }
    }

    /// The side of a product: about that of a tile or more in some programs.
    fn side(&mut self) -> usize {
        if self.random.chance(20) { self.random.of(&TILES) } else { self.extent() }
    }

    /// A matrix, or a batch of these, with sides like those of tiles.
    fn rows(&mut self) -> Option<usize> {
        let batches = self.random.below(3);
        let mut shape: Vec<_> = (0..batches).map(|_| 1 + self.random.below(3)).collect();
        shape.extend([self.random.of(&TILES), self.side()]);
        self.fresh(&shape)
    }
}
