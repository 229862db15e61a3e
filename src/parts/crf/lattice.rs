//! The permutohedral lattice: Gaussian filtering of values at scattered positions, in time linear in their number.
//!
//! A position in D dimensions lies in a simplex of the lattice A*_D. Its value is distributed among the D + 1 corners
//! ("splat"), the corners are blurred with (½ 1 ½) along each of the D + 1 directions of the lattice, and read back
//! with the same weights ("slice"). Positions are divided by the Gaussian's σ, so that the kernel is exp(−½ |f_i −
//! f_j|²), up to the lattice's own approximation. After Adams, Baek and Davis, "Fast High-Dimensional Filtering Using
//! the Permutohedral Lattice", 2010.
//!
//! Corners gather the contributions of pixels rather than pixels scattering to corners, so every sum has a fixed order,
//! regardless of the number of threads.

use rayon::prelude::*;
use wide::f32x8;

/// Rows per task.
pub const CHUNK: usize = 1024;
/// Marks a missing corner. Its values are 0.
const NOBODY: u32 = 0;

/// The lattice around the positions of pixels in D dimensions; `CORNERS` is D + 1.
pub struct Lattice<const D: usize, const CORNERS: usize> {
    /// The corners around every pixel, and their weights.
    received: Vec<([u32; CORNERS], [f32; CORNERS])>,
    /// The pixels around every corner, and their weights: from `starts[corner]` on.
    given: Vec<(u32, f32)>,
    starts: Vec<u32>,
    /// For every direction the two neighbours of each corner.
    neighbours: Vec<Vec<[u32; 2]>>,
    /// The last blurred values, `[corners, blocks]`, and a work buffer of the same size.
    blurred: Vec<f32x8>,
    spare: Vec<f32x8>,
    blocks: usize,
}

impl<const D: usize, const CORNERS: usize> Lattice<D, CORNERS> {
    /// Builds the lattice around `position(0)`, …, `position(pixels − 1)`.
    pub fn new(pixels: usize, position: impl Fn(usize) -> [f32; D] + Sync) -> Self {
        const { assert!(CORNERS == D + 1) };
        let simplices: Vec<([u128; CORNERS], [f32; CORNERS])> =
            (0..pixels).into_par_iter().with_min_len(CHUNK).map(|pixel| simplex(position(pixel))).collect();
        let mut corners = Corners::new();
        let received: Vec<_> =
            simplices.into_iter().map(|(keys, shares)| (keys.map(|key| corners.number(key)), shares)).collect();

        let mut starts = vec![0; corners.keys.len() + 1];
        received.iter().flat_map(|(corners, _)| corners).for_each(|&corner| starts[corner as usize + 1] += 1);
        for corner in 1..starts.len() {
            starts[corner] += starts[corner - 1];
        }
        let mut next = starts.clone();
        let mut given = vec![(0, 0.0); pixels * CORNERS];
        for (pixel, (corners, shares)) in received.iter().enumerate() {
            for (&corner, &share) in corners.iter().zip(shares) {
                let place = &mut next[corner as usize];
                given[*place as usize] = (pixel as u32, share);
                *place += 1;
            }
        }
        let neighbours = (0..CORNERS).into_par_iter().map(|direction| corners.neighbours::<CORNERS>(direction));
        let neighbours = neighbours.collect();
        Lattice { received, given, starts, neighbours, blurred: Vec::new(), spare: Vec::new(), blocks: 0 }
    }

    /// The kernel K becomes `weight` · N K N with N = diag(K 1)^(−½).
    pub fn normalised(mut self, weight: f32) -> Self {
        // Splat, blur and slice together exceed the Gaussian by this factor.
        let gain = 1.0 + 0.5_f32.powi(D as i32);
        let pixels = self.received.len();
        self.blur(&vec![f32x8::splat(1.0); pixels], 1);
        let norm = |pixel: usize| (self.slice(pixel, 0).as_array()[0] / gain + 1e-20).sqrt().recip();
        let norms: Vec<_> = (0..pixels).into_par_iter().with_min_len(CHUNK).map(norm).collect();
        self.given.par_iter_mut().with_min_len(CHUNK).for_each(|(pixel, share)| *share *= norms[*pixel as usize]);
        self.received.par_iter_mut().zip(&norms).with_min_len(CHUNK).for_each(|((_, shares), norm)| {
            *shares = shares.map(|share| share * norm * weight / gain);
        });
        self
    }

    /// Splats and blurs `values`, rows of `blocks` vectors per pixel, to be read by [`Lattice::slice`].
    pub fn blur(&mut self, values: &[f32x8], blocks: usize) {
        self.blocks = blocks;
        self.blurred.resize((self.starts.len() - 1) * blocks, f32x8::ZERO);
        self.spare.resize(self.blurred.len(), f32x8::ZERO);
        for_each_row(&mut self.blurred, blocks, |corner, row| {
            let given = &self.given[self.starts[corner] as usize..self.starts[corner + 1] as usize];
            for (block, sum) in row.iter_mut().enumerate() {
                *sum = given.iter().fold(f32x8::ZERO, |sum, &(pixel, share)| {
                    sum + values[pixel as usize * blocks + block] * f32x8::splat(share)
                });
            }
        });
        for neighbours in &self.neighbours {
            let row_of = |corner: usize| &self.blurred[corner * blocks..][..blocks];
            for_each_row(&mut self.spare, blocks, |corner, row| {
                let [before, after] = neighbours[corner].map(|neighbour| row_of(neighbour as usize));
                for (((to, &own), &before), &after) in row.iter_mut().zip(row_of(corner)).zip(before).zip(after) {
                    *to = own + (before + after) * f32x8::splat(0.5);
                }
            });
            std::mem::swap(&mut self.blurred, &mut self.spare);
        }
    }

    /// The value of `pixel` in a block of the blurred values.
    #[inline]
    pub fn slice(&self, pixel: usize, block: usize) -> f32x8 {
        let (corners, shares) = &self.received[pixel];
        corners.iter().zip(shares).fold(f32x8::ZERO, |sum, (&corner, &share)| {
            sum + self.blurred[corner as usize * self.blocks + block] * f32x8::splat(share)
        })
    }
}

/// Calls `work` for every row of `blocks` vectors, with the row's index, on all cores.
pub fn for_each_row(rows: &mut [f32x8], blocks: usize, work: impl Fn(usize, &mut [f32x8]) + Sync) {
    rows.par_chunks_mut(CHUNK * blocks).enumerate().for_each(|(chunk, rows)| {
        for (row, index) in rows.chunks_exact_mut(blocks).zip(chunk * CHUNK..) {
            work(index, row);
        }
    });
}

/// Bits of a coordinate in a key.
const BITS: usize = 25;

/// The key of a lattice point, or of a step between two, made of all coordinates except the last, which follows from
/// them. Keys are linear: that of a point plus that of a step is the key of where the step leads.
fn key(coordinates: &[i32]) -> u128 {
    let place = |(axis, &coordinate): (usize, &i32)| (i128::from(coordinate) << (BITS * axis)) as u128;
    coordinates.iter().enumerate().map(place).fold(0, u128::wrapping_add)
}

/// The keys of the corners of the simplex around a position, and its barycentric coordinates there.
fn simplex<const D: usize, const CORNERS: usize>(position: [f32; D]) -> ([u128; CORNERS], [f32; CORNERS]) {
    let corners = CORNERS as i32;
    // Project onto the hyperplane of coordinates that sum to 0. The scale gives the blur the variance 1.
    let mut lifted = [0.0; CORNERS];
    for axis in (1..CORNERS).rev() {
        let scaled = position[axis - 1] * CORNERS as f32 * (2.0 / 3.0 / (axis * (axis + 1)) as f32).sqrt();
        lifted[axis] = lifted[0] - axis as f32 * scaled;
        lifted[0] += scaled;
    }

    // The nearest multiple of CORNERS on each axis, and the rank of the remainders, the largest first.
    let mut nearest = lifted.map(|coordinate| (coordinate / CORNERS as f32).round() as i32);
    let rest = |axis: usize, nearest: i32| lifted[axis] - (nearest * corners) as f32;
    let mut rank = [nearest.iter().sum::<i32>(); CORNERS];
    for one in 0..CORNERS {
        for other in one + 1..CORNERS {
            let behind = if rest(one, nearest[one]) < rest(other, nearest[other]) { one } else { other };
            rank[behind] += 1;
        }
    }
    // If rounding has left the hyperplane, correct the axes that were rounded furthest.
    for (rank, nearest) in rank.iter_mut().zip(&mut nearest) {
        let excess = i32::from(*rank >= corners) - i32::from(*rank < 0);
        *rank -= excess * corners;
        *nearest -= excess;
    }

    let mut shares = [0.0; CORNERS];
    shares[0] = 1.0;
    for axis in 0..CORNERS {
        let place = D - rank[axis] as usize;
        let part = rest(axis, nearest[axis]) / CORNERS as f32;
        shares[place] += part;
        shares[(place + 1) % CORNERS] -= part;
    }
    let origin = key(&nearest.map(|multiple| multiple * corners)[..D]);
    let keys = std::array::from_fn(|corner| {
        let corner = corner as i32;
        let step = rank.map(|rank| if rank + corner < corners { corner } else { corner - corners });
        origin.wrapping_add(key(&step[..D]))
    });
    (keys, shares)
}

/// The corners that occur, numbered from 1 in order of occurrence.
struct Corners {
    /// The key of every number, with one for [`NOBODY`].
    keys: Vec<u128>,
    /// Hash table of the numbers with open addressing, at most half full; its length is a power of two.
    table: Vec<u32>,
}

impl Corners {
    fn new() -> Self {
        Corners { keys: vec![0], table: vec![NOBODY; 1 << 16] }
    }

    /// The position of the number of `key` in the table, or where it would be inserted.
    fn place(&self, key: u128) -> usize {
        let folded = key as u64 ^ ((key >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mask = self.table.len() - 1;
        let mut place = (folded.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as usize & mask;
        while self.table[place] != NOBODY && self.keys[self.table[place] as usize] != key {
            place = (place + 1) & mask;
        }
        place
    }

    /// The number of `key`, a new one if it has none.
    fn number(&mut self, key: u128) -> u32 {
        let place = self.place(key);
        if self.table[place] != NOBODY {
            return self.table[place];
        }
        let number = self.keys.len() as u32;
        self.keys.push(key);
        self.table[place] = number;
        if 2 * self.keys.len() > self.table.len() {
            self.table = vec![NOBODY; 2 * self.table.len()];
            for known in 1..=number {
                let place = self.place(self.keys[known as usize]);
                self.table[place] = known;
            }
        }
        number
    }

    /// The neighbours of every corner, behind and ahead, along a direction of the lattice.
    fn neighbours<const CORNERS: usize>(&self, direction: usize) -> Vec<[u32; 2]> {
        let mut step = [-1; CORNERS];
        step[direction] += CORNERS as i32;
        let step = key(&step[..CORNERS - 1]);
        let mut neighbours = vec![[NOBODY; 2]; self.keys.len()];
        for corner in 1..self.keys.len() {
            let ahead = self.table[self.place(self.keys[corner].wrapping_add(step))];
            if ahead != NOBODY {
                neighbours[corner][1] = ahead;
                neighbours[ahead as usize][0] = corner as u32;
            }
        }
        neighbours
    }
}
