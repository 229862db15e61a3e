//! The time of an exchange, for docs/many-cards.md.

use std::time::Instant;

use tagseg::run::launch;

/// `mpirun -n R target/…/ranks-… --exact times::of_an_exchange --ignored --nocapture` prints the time in which the host
/// exchanges the gradients of `mit_b1`, without the additions.
#[test]
#[ignore = "a measurement, started by mpirun"]
fn of_an_exchange() {
    let world = launch::join().unwrap();
    let own = vec![1_u8; (55 << 20) / world.size() * world.size()];
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            let mine = world.all_to_all(&own).unwrap();
            let all = world.all_gather(&mine[..own.len() / world.size()]).unwrap();
            assert_eq!(all.len(), own.len());
            begun.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    if world.is_first() {
        println!("{} ranks, 55 MiB: median {:.3} s, least {:.3} s", world.size(), times[4], times[0]);
    }
}
