//! What compilers made of all kernels, by kernel and card.

use std::collections::BTreeMap;

use super::allowed::{Figures, Table};
use super::cards::Findings;
use super::kernels::SHARED;
use super::{KERNELS, wish};

/// Parts of the arithmetic of steps.
type Shares = [f64; SHARED.len()];

/// Figures of all kernels for some cards.
pub struct Measured {
    /// By kernel and card.
    pub table: Table,
    /// Kernels that a driver refuses.
    refused: Vec<String>,
    /// Parts of the arithmetic of steps, by kernel.
    shares: BTreeMap<&'static str, Shares>,
}

/// What a card must keep in memory since it has no registers for it.
pub struct InMemory {
    /// Kernels with scratch or spills.
    pub in_memory: usize,
    /// Their parts of the arithmetic of steps.
    pub shares: Shares,
}

fn add(sums: &mut Shares, shares: Shares) {
    sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
}

/// The largest share of a step.
fn most(shares: Shares) -> f64 {
    shares.into_iter().fold(0.0, f64::max)
}

/// Shares in percent with so many decimals, as they stand in a table.
pub fn percent(shares: Shares, decimals: usize) -> String {
    shares.map(|share| format!("{:.decimals$} %", 100.0 * share)).join(" | ")
}

impl Measured {
    pub fn new() -> Self {
        assert!(!KERNELS.is_empty(), "no kernel contains `{}`", wish());
        let mut shares = BTreeMap::new();
        KERNELS.iter().for_each(|kernel| add(shares.entry(kernel.name.as_str()).or_default(), kernel.shares));
        Measured { table: Table::new(), refused: Vec::new(), shares }
    }

    /// Adds what a compiler found for a card.
    pub fn add(&mut self, card: &str, findings: Findings) -> InMemory {
        let mut sum = InMemory { in_memory: 0, shares: Shares::default() };
        // Of kernels with the same name, the table shows the loop of the one that does most.
        let compiled = KERNELS.iter().zip(findings.kernels);
        let mut kernels: Vec<_> = compiled.filter_map(|(kernel, compiled)| Some((kernel, compiled?))).collect();
        kernels.sort_by(|(one, _), (other, _)| most(other.shares).total_cmp(&most(one.shares)));
        for (kernel, compiled) in kernels {
            match &compiled.statistics {
                Ok(statistics) => {
                    let own = Figures::of(statistics, &compiled.code);
                    if own.is_in_memory() {
                        sum.in_memory += 1;
                        add(&mut sum.shares, kernel.shares);
                    }
                    let row = self.table.entry(kernel.name.clone()).or_default();
                    row.entry(card.to_owned()).and_modify(|known| *known = known.worst(own)).or_insert(own);
                }
                Err(error) => self.refused.push(format!("{} on {card}: {error}", kernel.name)),
            }
        }
        sum
    }

    /// # Panics
    /// If a driver refused a kernel.
    pub fn assert_none_refused(&self) {
        assert!(self.refused.is_empty(), "refused:\n{}", self.refused.join("\n"));
    }

    /// A table with a row for each kernel and card that are `wanted`, by the kernel's largest share of a step and its
    /// figures; the kernels that do most of the arithmetic first.
    pub fn rows(&self, wanted: impl Fn(f64, &Figures) -> bool) -> String {
        let of = SHARED.map(|preset| format!("of a step of `{preset}`")).join(" | ");
        let mut text = format!(
            "| kernel | {of} | card | registers | waves | scratch | spills | multiply-adds of an inner loop |\n"
        );
        text += &format!("|{}\n", " --- |".repeat(7 + SHARED.len()));
        let shares = |kernel: &String| self.shares[kernel.as_str()];
        let mut order: Vec<_> = self.table.iter().collect();
        order.sort_by(|(a, _), (b, _)| most(shares(b)).total_cmp(&most(shares(a))));
        for (kernel, cards) in order {
            for (card, own) in cards.iter().filter(|(_, own)| wanted(most(shares(kernel)), own)) {
                let Figures { registers, waves, scratch, spills, inner_loop } = own;
                let inner_loop = inner_loop.map_or_else(String::new, |own| own.to_string());
                text += &format!(
                    "| {kernel} | {} | {card} | {registers} | {waves} | {scratch} | {spills} | {inner_loop} |\n",
                    percent(shares(kernel), 2)
                );
            }
        }
        text
    }
}
