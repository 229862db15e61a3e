//! Makes a failing program smaller, as long as it fails.

use super::program::{Line, Program};

/// Programs that are tried at most.
const TRIES: usize = 400;

/// The smallest program found that still fails, judged by `fails`.
pub fn shrink(program: &Program, fails: impl Fn(&Program) -> bool) -> Program {
    let mut best = program.clone();
    let mut tries = 0;
    loop {
        let mut smaller = candidates(&best).into_iter().filter(|candidate| {
            tries += 1;
            tries <= TRIES && fails(candidate)
        });
        match smaller.next() {
            Some(candidate) => best = candidate,
            None => return best,
        }
    }
}

fn candidates(program: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Program)| {
        let mut changed = program.clone();
        change(&mut changed);
        trim(&mut changed);
        if changed != *program && !changed.reads.is_empty() {
            all.push(changed);
        }
    };
    for part in 0..program.reads.len() {
        with(&|program| {
            program.reads.remove(part);
        });
        for output in 0..program.reads[part].len() {
            with(&|program| {
                program.reads[part].remove(output);
            });
        }
    }
    with(&|program| program.limit = None);
    with(&|program| program.target = 0);
    with(&|program| program.lines.iter_mut().for_each(|line| line.half = false));
    for at in (0..program.lines.len()).rev() {
        with(&|program| {
            let gone = program.lines.remove(at).gives;
            program.reads.iter_mut().for_each(|reads| reads.retain(|read| !gone.contains(read)));
        });
        // What it takes in its place.
        for &taken in &program.lines[at].takes {
            with(&|program| {
                let gone = program.lines.remove(at).gives;
                let numbers = program.lines.iter_mut().flat_map(|line| &mut line.takes);
                let numbers = numbers.chain(program.reads.iter_mut().flatten());
                numbers.filter(|number| gone.contains(number)).for_each(|number| *number = taken);
            });
        }
        with(&|program| program.lines[at].half = false);
    }
    all
}

/// Removes lines that nothing reads, and programs that read nothing.
fn trim(program: &mut Program) {
    const UPDATES: [&str; 6] = ["assign", "write_row", "flag_nonfinite", "sgd", "adamw", "hoist"];
    program.reads.retain(|reads| !reads.is_empty());
    for at in (0..program.lines.len()).rev() {
        let Line { gives, op, .. } = &program.lines[at];
        let taken = program.lines[at + 1..].iter().flat_map(|line| &line.takes).chain(program.reads.iter().flatten());
        let unread = !taken.into_iter().any(|number| gives.contains(number));
        if unread && !UPDATES.contains(&op.as_str()) {
            program.lines.remove(at);
        }
    }
}
