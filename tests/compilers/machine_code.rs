//! How much of the machine code of a kernel's inner loop is arithmetic, in the languages of AMD, NVIDIA and Intel. A loop that
//! is unrolled completely is a single block of instructions.

use std::collections::BTreeMap;
use std::fmt;

/// The instructions of a loop, without those of loops inside it, or of a block outside of all loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerLoop {
    /// Instructions that multiply and add floating-point numbers.
    pub multiply_adds: u64,
    /// All instructions.
    pub instructions: u64,
}

impl InnerLoop {
    /// The part of its instructions that multiply and add.
    pub fn share(self) -> f64 {
        self.multiply_adds as f64 / self.instructions as f64
    }
}

/// As in a table: `64 of 104, 0.62`.
impl fmt::Display for InnerLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, {:.2}", self.multiply_adds, self.instructions, self.share())
    }
}

/// Instructions without a jump into or out of their middle.
#[derive(Default)]
struct Block {
    multiply_adds: u64,
    instructions: u64,
    /// Labels of the blocks that may come next, besides the one behind it.
    jumps: Vec<String>,
}

/// The loop with most multiply-adds, without the loops inside it; or, if it has more than twice as many, a block outside of all
/// loops, which is then an unrolled loop. `None` for code without either, and in another language. A loop that is unrolled
/// within another belongs to that one.
pub fn inner_loop(code: &str) -> Option<InnerLoop> {
    let (labels, blocks) = blocks(code);
    // The last block of each loop, by its first.
    let mut loops = BTreeMap::new();
    for (end, block) in blocks.iter().enumerate() {
        for begin in block.jumps.iter().filter_map(|label| labels.get(label)).filter(|begin| **begin <= end) {
            loops.insert(*begin, end);
        }
    }
    let mut totals: BTreeMap<usize, InnerLoop> = BTreeMap::new();
    let mut straight: Option<InnerLoop> = None;
    for (number, block) in blocks.iter().enumerate() {
        let around = loops.iter().filter(|(begin, end)| (**begin..=**end).contains(&number));
        if let Some((begin, _)) = around.min_by_key(|(begin, end)| *end - *begin) {
            let own = totals.entry(*begin).or_insert(InnerLoop { multiply_adds: 0, instructions: 0 });
            own.multiply_adds += block.multiply_adds;
            own.instructions += block.instructions;
        } else if block.multiply_adds > straight.map_or(0, |own| own.multiply_adds) {
            straight = Some(InnerLoop { multiply_adds: block.multiply_adds, instructions: block.instructions });
        }
    }
    let most = totals.into_values().max_by_key(|own| own.multiply_adds);
    straight.filter(|own| own.multiply_adds > 2 * most.map_or(0, |most| most.multiply_adds)).or(most)
}

/// Blocks in the order of the code, and their numbers by label.
fn blocks(code: &str) -> (BTreeMap<String, usize>, Vec<Block>) {
    let mut labels = BTreeMap::new();
    let mut blocks = vec![Block::default()];
    for line in code.lines() {
        let line = line.split(" // ").next().unwrap_or_default().split(';').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let label = match words[..] {
            // NVIDIA: `block 10 L17 [9, 19] -> {`, which ends with `} -> [11, 19]`.
            [block, number, .., "{"] if block.starts_with("block") => Some(number),
            // AMD and Intel: `BB10:`, `L17:`.
            [label] => label.strip_suffix(':'),
            _ => None,
        };
        if let Some(label) = label {
            labels.insert(label.to_owned(), blocks.len());
            blocks.push(Block::default());
            continue;
        }
        let Some(block) = blocks.last_mut() else { continue };
        match words[..] {
            ["}", "->", ..] => {
                block.jumps = line.split(['[', ',', ']']).skip(1).map(|label| label.trim().to_owned()).collect();
            }
            [_, ..] => {
                let halves = line.split("::");
                block.instructions += halves.clone().count() as u64;
                block.multiply_adds += halves.filter(|half| multiplies_and_adds(half)).count() as u64;
                let jumps = words.iter().any(|word| word.contains("branch") || *word == "while");
                block.jumps.extend(words.last().filter(|_| jumps).map(|label| (*label).to_owned()));
            }
            [] => {}
        }
    }
    (labels, blocks)
}

/// Whether an instruction, or one half of AMD's double instructions, is a multiply-add of floating-point numbers.
fn multiplies_and_adds(instruction: &str) -> bool {
    // What stands before the operation: results of NVIDIA's, conditions of Intel's and NVIDIA's.
    let operation = instruction.split_once(" = ").map_or(instruction, |(_, operation)| operation);
    let mut words = operation.split_whitespace().filter(|word| !word.starts_with(['(', '@']));
    let name = words.next().unwrap_or_default();
    let amd = name.strip_prefix("v_").is_some_and(|name| {
        let name = name.trim_start_matches("dual_").trim_start_matches("pk_");
        let known = ["fma", "mad", "mac"].iter().any(|known| name.starts_with(known));
        known && (name.contains("_f32") || name.contains("_f16") || name.contains("_mix"))
    });
    let nvidia = ["ffma", "hfma2"].iter().any(|known| name.starts_with(known));
    let intel = ["mad", "mac"].contains(&name) && operation.split_whitespace().any(|word| word.ends_with(":f"));
    amd || nvidia || intel
}

/// Protects: the count, in each language: loops within loops, two operations in one instruction, integers, and loops that are
/// unrolled completely.
#[test]
fn multiply_adds_of_inner_loops_are_counted() {
    let amd = "\tv_fmac_f32_e32 v0, v1, v2 ; 56000501\nBB1:\n\ts_nop 0\nBB2:\n\tv_mad_u32_u24 v3, v4, v5, v6\n\
        \tv_dual_fmac_f32 v0, v1, v2 :: v_dual_mul_f32 v3, v4, v5\n\tv_fma_f32 v0, v1, v2, v3 ; d6130000\n\
        \ts_cbranch_scc1 BB2 ; bf85fffc\nBB3:\n\ts_branch BB1\nBB4:\n\ts_endpgm\n";
    let nvidia = "block.u 0 L2 [] -> {\n  r1 = ffma r1 r2 r3 // delay=4\n} -> [1]\nblock 1 L5 [0, 1] -> {\n  \
        r1 = ffma r1 r2 r3 // delay=4\n  r2 = imad r1 r2 r3 // delay=4\n@p0 bra pT L9\n} -> [1, 2]\nblock 2 L9 [1] -> {\n} -> []\n";
    let intel = "L0:\n     mad (16)   r1:f  r2:f  r3:f  r4:f   {F@1}\n(W)  mad (16)   r1:d  r2:d  r3:d  r4:d\n     while (16)   L0\n";
    for (code, multiply_adds, instructions) in [(amd, 2, 5), (nvidia, 1, 3), (intel, 1, 3)] {
        assert_eq!(inner_loop(code), Some(InnerLoop { multiply_adds, instructions }), "{code}");
    }
    let unrolled = "BB0:\n".to_owned() + &"\tv_fmac_f32_e32 v0, v1, v2\n".repeat(3);
    let rest = "BB1:\n\tv_fmac_f32_e32 v0, v1, v2\n\ts_cbranch_scc1 BB1\nBB2:\n\ts_endpgm\n";
    assert_eq!(inner_loop(&(unrolled + rest)), Some(InnerLoop { multiply_adds: 3, instructions: 3 }));
    let prologue = "BB0:\n".to_owned() + &"\tv_fmac_f32_e32 v0, v1, v2\n".repeat(2);
    assert_eq!(inner_loop(&(prologue + rest)), Some(InnerLoop { multiply_adds: 1, instructions: 2 }));
    assert_eq!(inner_loop(rest), Some(InnerLoop { multiply_adds: 1, instructions: 2 }));
    assert_eq!(inner_loop("BB0:\n\ts_nop 0\n\ts_endpgm\n"), None);
}
