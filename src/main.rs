//! The `tagseg` program.

fn main() {}
