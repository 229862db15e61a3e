//! Outlines of regions of a mask, along the edges of its pixels: a pixel in row y and column x covers the square from
//! (x, y) to (x + 1, y + 1), so that the outlines enclose exactly the pixels of the region.

/// A closed line of corners \[x, y\] between pixels; the first is not repeated. Its edges are horizontal and vertical,
/// in turns.
pub type Ring = Vec<[u32; 2]>;

/// Pixels that are connected by their edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The outer boundary, clockwise.
    pub outer: Ring,
    /// The boundaries of its holes, anticlockwise. Holes that meet in a corner are one ring, which touches itself.
    pub holes: Vec<Ring>,
}

/// Steps to the right, down, left and up. A walk keeps the region on its right, so that it goes right along the upper
/// edge of a pixel.
const STEPS: [[isize; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];

/// The parts of the region of `map` \[height, width\] that has `value`, in the order of their first pixels.
///
/// # Panics
/// If `map` has another length.
pub fn parts_of(map: &[u8], size: [usize; 2], value: u8) -> Vec<Part> {
    assert_eq!(map.len(), size[0] * size[1], "one value for each pixel");
    let numbers = connected(map, size, value);
    let region = Region { numbers: &numbers, size };
    let mut parts: Vec<Part> = Vec::new();
    let mut walked = vec![false; map.len()];
    // Every ring has an upper edge of some pixel, and the first upper edge of a part belongs to its outer boundary.
    for place in 0..map.len() {
        let number = numbers[place] as usize;
        let [x, y] = [place % size[1], place / size[1]].map(|side| side as isize);
        if number == 0 || walked[place] || region.number(x, y - 1) == numbers[place] {
            continue;
        }
        let ring = region.walk([x, y], &mut walked);
        match parts.get_mut(number - 1) {
            Some(part) => part.holes.push(ring),
            None => parts.push(Part { outer: ring, holes: Vec::new() }),
        }
    }
    parts
}

/// The number of each pixel's part, from 1 on in the order of their first pixels; 0 outside of the region.
fn connected(map: &[u8], [height, width]: [usize; 2], value: u8) -> Vec<u32> {
    let (mut numbers, mut last) = (vec![0; map.len()], 0);
    let mut open = Vec::new();
    for first in 0..map.len() {
        if map[first] != value || numbers[first] != 0 {
            continue;
        }
        last += 1;
        numbers[first] = last;
        open.push(first);
        while let Some(place) = open.pop() {
            let [x, y] = [place % width, place / width];
            let near = [
                (x > 0).then(|| place - 1),
                (x + 1 < width).then_some(place + 1),
                (y > 0).then(|| place - width),
                (y + 1 < height).then_some(place + width),
            ];
            for next in near.into_iter().flatten() {
                if map[next] == value && numbers[next] == 0 {
                    numbers[next] = last;
                    open.push(next);
                }
            }
        }
    }
    numbers
}

struct Region<'a> {
    numbers: &'a [u32],
    size: [usize; 2],
}

impl Region<'_> {
    /// The number of a pixel's part, 0 beyond the border.
    fn number(&self, x: isize, y: isize) -> u32 {
        let [height, width] = self.size.map(|side| side as isize);
        if (0..width).contains(&x) && (0..height).contains(&y) { self.numbers[(y * width + x) as usize] } else { 0 }
    }

    /// Walks along the boundary that begins with the upper edge of a pixel, and marks the upper edges on its way.
    fn walk(&self, start: [isize; 2], walked: &mut [bool]) -> Ring {
        let own = self.number(start[0], start[1]);
        let ([mut x, mut y], mut side) = (start, 0);
        let mut ring = Vec::new();
        loop {
            if side == 0 {
                walked[y as usize * self.size[1] + x as usize] = true;
            }
            let ([ahead, left], turned) = ([STEPS[side], STEPS[(side + 3) % 4]], side);
            let [over, beside] = [[x + ahead[0], y + ahead[1]], [x + ahead[0] + left[0], y + ahead[1] + left[1]]];
            // The corner at the end of this edge.
            let corner = [[x + 1, y], [x + 1, y + 1], [x, y + 1], [x, y]][side];
            if self.number(over[0], over[1]) != own {
                side = (side + 1) % 4;
            } else if self.number(beside[0], beside[1]) != own {
                [x, y] = over;
            } else {
                [x, y] = beside;
                side = (side + 3) % 4;
            }
            if side != turned {
                ring.push(corner.map(|side| side as u32));
            }
            if [x, y] == start && side == 0 {
                return ring;
            }
        }
    }
}

impl Part {
    /// The whole part as one ring: a cut leads to each hole and back. It encloses the same pixels under any rule, since
    /// the two ways of a cut cancel.
    pub fn joined(&self) -> Ring {
        let mut ring = self.outer.clone();
        for hole in &self.holes {
            // The corner of the ring that is nearest to the hole's first one.
            let far = |[x, y]: [u32; 2]| x.abs_diff(hole[0][0]) as u64 + y.abs_diff(hole[0][1]) as u64;
            let near = (0..ring.len()).min_by_key(|&place| far(ring[place])).unwrap_or(0);
            let detour = hole.iter().chain([&hole[0], &ring[near]]).copied().collect::<Vec<_>>();
            ring.splice(near + 1..near + 1, detour);
        }
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: &[&str]) -> (Vec<u8>, [usize; 2]) {
        (rows.iter().flat_map(|row| row.bytes().map(|byte| byte - b'0')).collect(), [rows.len(), rows[0].len()])
    }

    /// Whether the middle of a pixel is inside, by the number of vertical edges to its left.
    fn inside(rings: &[&Ring], x: usize, y: usize) -> bool {
        let edges = rings.iter().flat_map(|ring| ring.iter().zip(ring.iter().cycle().skip(1)));
        let crossed = edges.filter(|(a, b)| {
            let [low, high] = [a[1].min(b[1]), a[1].max(b[1])].map(|side| side as f64);
            let (middle, at) = (y as f64 + 0.5, x as f64 + 0.5);
            // Cuts may be slanted.
            let along = (middle - f64::from(a[1])) / (f64::from(b[1]) - f64::from(a[1]));
            low < middle && middle < high && f64::from(a[0]) + along * (f64::from(b[0]) - f64::from(a[0])) < at
        });
        crossed.count() % 2 == 1
    }

    /// Protects: single pixels, thin lines, borders, holes with islands, corners that touch.
    #[test]
    fn outlines_enclose_exactly_their_region() {
        let cases: [&[&str]; 6] = [
            &["1"],
            &["000", "010", "000"],
            &["11111", "00000", "10101"],
            &["11111", "10001", "10101", "10001", "11111"],
            &["1010", "0101", "1010"],
            &["111111", "101001", "110111", "111111"],
        ];
        for rows in cases {
            let (map, size) = map(rows);
            for value in [0, 1] {
                let parts = parts_of(&map, size, value);
                let rings: Vec<_> =
                    parts.iter().flat_map(|part| [&part.outer].into_iter().chain(&part.holes)).collect();
                let joined: Vec<_> = parts.iter().map(Part::joined).collect();
                for (place, own) in map.iter().enumerate() {
                    let [x, y] = [place % size[1], place / size[1]];
                    assert_eq!(inside(&rings, x, y), *own == value, "{rows:?} {value} {x} {y}");
                    assert_eq!(inside(&joined.iter().collect::<Vec<_>>(), x, y), *own == value, "{rows:?} {value}");
                }
            }
        }
        let (ring, size) = map(&["0000", "0110", "0110", "0000"]);
        assert_eq!(parts_of(&ring, size, 1)[0].outer, [[3, 1], [3, 3], [1, 3], [1, 1]], "corners alone, clockwise");
        let (map, size) = map(cases[3]);
        let parts = parts_of(&map, size, 1);
        assert_eq!(parts.iter().map(|part| part.holes.len()).collect::<Vec<_>>(), [1, 0]);
        assert!(parts_of(&map, size, 7).is_empty());
    }
}
