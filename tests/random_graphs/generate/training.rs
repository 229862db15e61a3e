//! Draws what training does: gradients, and updates of states.

use super::*;

impl Generator {
    /// A gradient or an update.
    pub(super) fn training(&mut self, kind: &str) -> Option<usize> {
        match kind {
            "assign" => {
                let state = self.found(|known| known.is_state)?;
                let shape = self.known(state).shape.clone();
                let value = self.of_shape(&shape)?;
                let value = self.storable(state, value)?;
                self.op("assign", &[state, value], &[])
            }
            "write_row" => {
                let [rows, width] = [self.extent(), self.extent()];
                let numbers = [Fill::Reals as i64, 0, rows as i64, width as i64];
                let state = self.op("state", &[], &numbers)?;
                let values = self.of_shape(&[width])?;
                let values = self.tame(values, 64.0)?;
                let row = self.source(&[1], Fill::Slots, rows as i64 + 1)?;
                self.op("write_row", &[state, values, row], &[])
            }
            "flag_nonfinite" => {
                let mut takes = vec![0];
                for _ in 0..1 + self.random.below(3) {
                    takes.push(self.real(0..=6)?);
                }
                takes[0] = self.op("state", &[], &[Fill::Quarters as i64, 0, takes.len() as i64 - 1])?;
                self.op("flag_nonfinite", &takes, &[])
            }
            "optimiser" if self.random.chance(30) => {
                let x = self.tame_real(0..=6, 16.0)?;
                let shape = integers(&self.known(x).shape.clone());
                let param = self.op("state", &[], &[vec![Fill::Reals as i64, 0], shape.clone()].concat())?;
                let mut takes = vec![param];
                for _ in 0..2 {
                    takes.push(self.op("state_filled", &[], &[vec![1], shape.clone()].concat())?);
                }
                self.optimised.extend(&takes);
                // Moments that were assigned others could have no root.
                for moment in &takes[1..] {
                    self.known.get_mut(moment)?.is_state = false;
                }
                takes.push(x);
                if self.random.chance(30) {
                    takes.push(self.source(&[1], Fill::Quarters, 0)?);
                }
                self.op("adamw_op", &takes, &[])
            }
            "optimiser" => {
                let loss = self.tame_real(0..=6, 16.0)?;
                let (free, made_of) = (self.optimised.clone(), self.made_of(loss));
                let trained = |number: &usize| self.known(*number).is_state && self.known(*number).unit.is_none();
                let mut states: Vec<_> =
                    self.known.keys().copied().filter(trained).filter(|number| !free.contains(number)).collect();
                states.sort_unstable_by_key(|number| (!made_of.contains(number), *number));
                states.truncate(3);
                if states.is_empty() {
                    return None;
                }
                self.optimised.extend(&states);
                let numbers = [i64::from(self.random.chance(50))];
                let op = self.random.of(&["sgd", "adamw"]);
                let takes: Vec<_> = [loss].into_iter().chain(states).collect();
                self.op(op, &takes, &numbers)
            }
            "gradients" => self.gradients(),
            _ => None,
        }
    }

    /// The gradients of a tensor with respect to some of those that it is made of, and now and then to another.
    pub(super) fn gradients(&mut self) -> Option<usize> {
        // Of some, that which is made of most.
        let mut made_of = HashSet::new();
        let mut objective = self.real(0..=6)?;
        for _ in 0..3 {
            let other = self.real(0..=6)?;
            let others = self.made_of(other);
            if others.len() > made_of.len() {
                (objective, made_of) = (other, others);
            }
        }
        let mut takes = vec![objective];
        let pulled = self.random.chance(30);
        if pulled {
            let shape = self.known(objective).shape.clone();
            takes.push(self.of_shape(&shape)?);
        }
        let first = takes.len();
        for _ in 0..1 + self.random.below(3) {
            let (any, source) = (self.random.chance(15), self.random.chance(60));
            let real = |known: &Known| known.is_real && (!source || known.is_source);
            let found = self.found_among(|number, known| real(known) && (any || made_of.contains(&number)));
            let found = found.or_else(|| self.found(|known| known.is_real))?;
            if !takes[first..].contains(&found) {
                takes.push(found);
            }
        }
        let gives = takes.len() - first;
        self.line(if pulled { "pull_back" } else { "gradients" }, &takes, &[], gives)
    }

    /// What a tensor is made of, itself left out.
    fn made_of(&self, number: usize) -> HashSet<usize> {
        let mut found = HashSet::from([number]);
        for line in self.program.lines.iter().rev().filter(|line| line.op != "detach") {
            if line.gives.iter().any(|given| found.contains(given)) {
                found.extend(&line.takes);
            }
        }
        found.remove(&number);
        found
    }

    /// A value that keeps what is known of a state.
    pub(super) fn storable(&mut self, state: usize, value: usize) -> Option<usize> {
        let (bound, unit) = (self.known(state).bound, self.known(state).unit);
        if unit.is_none() || !self.known(value).is_real {
            return if self.known(value).is_real { self.tame(value, bound) } else { Some(value) };
        }
        if self.known(value).unit.is_none_or(|own| own < unit.unwrap_or(0)) {
            return None;
        }
        if self.known(value).bound <= bound {
            return Some(value);
        }
        let above = self.op("full", &[], &[2 * bound as i64])?;
        let below = self.op("full", &[], &[-2 * bound as i64])?;
        let value = self.op("minimum", &[value, above], &[])?;
        let value = self.op("maximum", &[value, below], &[])?;
        let known = self.known.get_mut(&value)?;
        known.bound = bound;
        Some(value)
    }
}
