//! Pixel-adaptive refinement against the numbers of method.md 16, on the device and on the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tagseg::engine::graph::{DType, Graph};
use tagseg::engine::ops::par::Par;
use tagseg::{Result, Session};

const SIDE: usize = 8;

/// The masks (four slots, channels last) after `iterations`, and the weights.
fn refine(session: &Session, image: &[f64], masks: &[f64], iterations: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let graph = Graph::new();
    let input = graph.input("image", [1, SIDE, SIDE, 3], DType::F32);
    let start = graph.input("masks", [1, SIDE, SIDE, 4], DType::F32);
    let extent = graph.input("extent", [1, 2], DType::I32);
    let classes = graph.input("classes", [1, 4], DType::I32);
    let par = Par::default();
    let weights = input.par_weights(&extent, &par)?;
    let mut mask = start.clone();
    for _ in 0..iterations {
        mask = mask.par_step(&weights, &extent, &classes, &par.dilations)?;
    }
    let mut program = session.compile(&graph, &[&mask, &weights])?;
    program.write(&input, image)?;
    program.write(&start, masks)?;
    program.write(&extent, &[SIDE as i32, SIDE as i32][..])?;
    program.write(&classes, &[0, 1, -1, -1][..])?;
    program.run()?;
    Ok((program.read(&mask)?, program.read(&weights)?))
}

fn fixture_image() -> Vec<f64> {
    let pixel = |y: usize, x: usize| {
        let (fy, fx) = (y as f64, x as f64);
        [(8.0 * fy + fx) / 64.0, (fy / 8.0) * (fx / 8.0), ((x + y) % 3) as f64 / 3.0]
    };
    (0..SIDE * SIDE).flat_map(|index| pixel(index / SIDE, index % SIDE)).collect()
}

/// m0 = 1 for x < 4, m1 = 0.5 for y ≥ 5.
fn fixture_masks() -> Vec<f64> {
    let pixel = |y: usize, x: usize| [f64::from(x < 4), if y >= 5 { 0.5 } else { 0.0 }, 0.0, 0.0];
    (0..SIDE * SIDE).flat_map(|index| pixel(index / SIDE, index % SIDE)).collect()
}

fn close(got: f64, want: f64, what: &str) {
    assert!((got - want).abs() <= 2e-6 + 2e-6 * want.abs(), "{what}: {got} instead of {want}");
}

fn sessions() -> Result<[Session; 2]> {
    Ok([Session::open("reference")?, tagseg::run::device::open("auto")?])
}

/// Protects: neighbour order, deviation, epsilon, order of square and mean, the synchronous update.
#[test]
fn fixture_of_the_specification() {
    let row_once = [1.00947338, 0.60470933, 1.00594770, 1.00580596, 0.05761833, 0.02040714, 0.40993453, 0.00043206];
    let row = [1.06622087, 0.07722026, 0.68276355, 1.05963996, 0.06437251, 0.24076335, 1.02192577, 0.05233408];
    let column = [1.86376e-4, 2.89983e-3, 5.32859e-3, 6.93114e-3, 5.11578e-2, 0.31427922, 0.37727835, 0.52830164];
    for session in sessions().unwrap() {
        let name = session.name().to_owned();
        let (once, _) = refine(&session, &fixture_image(), &fixture_masks(), 1).unwrap();
        let (ten, _) = refine(&session, &fixture_image(), &fixture_masks(), 10).unwrap();
        for i in 0..SIDE {
            close(once[i * 4], row_once[i], &format!("{name}: m0, one iteration, x = {i}"));
            close(ten[i * 4], row[i], &format!("{name}: m0, ten iterations, x = {i}"));
            close(ten[i * SIDE * 4 + 1], column[i], &format!("{name}: m1, ten iterations, y = {i}"));
        }
        let sum = |slot: usize| ten.iter().skip(slot).step_by(4).sum::<f64>();
        close(sum(0), 30.36278108, &format!("{name}: sum of m0"));
        close(sum(1), 13.18850148, &format!("{name}: sum of m1"));
    }
}

/// Protects: the weights' sum of 1.01 with the resulting gain, and a constant picture, where 0 is divided by 1e-8.
#[test]
fn gain_and_constant_picture() {
    let constant = vec![0.4; SIDE * SIDE * 3];
    for session in sessions().unwrap() {
        let name = session.name().to_owned();
        for image in [fixture_image(), constant.clone()] {
            let (mask, weights) = refine(&session, &image, &vec![1.0; SIDE * SIDE * 4], 10).unwrap();
            for value in mask {
                close(value, 1.104622125, &format!("{name}: a constant mask after ten iterations"));
            }
            for of_pixel in weights.chunks(48) {
                close(of_pixel.iter().sum(), 1.01, &format!("{name}: sum of the weights"));
            }
        }
        let (_, weights) = refine(&session, &constant, &fixture_masks(), 1).unwrap();
        // The position term's table of method.md 4.1, for the first edge neighbour and the first diagonal of rings 1
        // and 4.
        let position = [(1, 7.645338e-2), (0, 6.825980e-2), (17, 1.396116e-2), (16, 2.276222e-3)];
        for (k, term) in position {
            close(weights[k], 1.0 / 48.0 + 0.01 * term, &format!("{name}: weight {k} of a constant picture"));
        }
    }
}
