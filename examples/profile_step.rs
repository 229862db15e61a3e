//! Where the time of a training step goes: the heaviest kernels of `nano` at a given crop and batch.
//!
//! cargo run --release --example profile_step -- 96 8

use std::collections::BTreeMap;

use tagseg::bmp::NetworkConfig;
use tagseg::config::Config;
use tagseg::train::Trainer;
use tagseg::{Result, Session};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let (crop, batch) = (arguments.next().unwrap_or(64), arguments.next().unwrap_or(4));
    let mut config = Config::preset("nano")?;
    for setting in [format!("train.crop={crop}"), format!("batch.global={batch}"), "optim.lr=0".into()] {
        config.set(&setting)?;
    }
    let session = Session::open("auto")?;
    let mut trainer = Trainer::new(&session, &config, &NetworkConfig::new(&config, 4), 3, 1)?;
    let last = config.train_iters - 1;
    let images: Vec<f32> = (0..batch * 3 * crop * crop).map(|index| ((index * 7919) % 1009) as f32 / 300.0).collect();
    let tags = [1.0, 0.0, 1.0, 0.0].repeat(batch);
    let boxes = [0, crop as i32, 0, crop as i32].repeat(batch);
    for _ in 0..2 {
        trainer.step(last, &images, &tags, &boxes)?;
        session.wait()?;
    }
    let mut runs: Vec<f64> = Vec::new();
    for _ in 0..5 {
        let start = std::time::Instant::now();
        trainer.step(last, &images, &tags, &boxes)?;
        session.wait()?;
        runs.push(start.elapsed().as_secs_f64());
    }
    runs.sort_by(f64::total_cmp);
    println!("{}: step of {batch} × {crop}², median {:.3} s, best {:.3} s", session.name(), runs[2], runs[0]);

    let times = trainer.profile()?;
    let total: f64 = times.iter().map(|time| time.seconds).sum();
    for by_shape in [false, true] {
        let mut groups: BTreeMap<String, (usize, f64)> = BTreeMap::new();
        for time in &times {
            let shape = if by_shape { &time.output } else { "" };
            let group = groups.entry(format!("{:18} {:26} {shape}", time.op, time.shader)).or_default();
            *group = (group.0 + 1, group.1 + time.seconds);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
        println!("\n{:>9} {:>6} {:>6}  op", "ms", "share", "count");
        for (name, (count, seconds)) in groups.into_iter().take(24) {
            println!("{:9.2} {:5.1}% {count:6}  {name}", 1e3 * seconds, 100.0 * seconds / total);
        }
    }
    Ok(())
}
