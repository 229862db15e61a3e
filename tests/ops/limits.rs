//! Shapes at and beyond the limits of a dispatch: axes of a kernel, workgroups along an axis of a grid.

use tagseg::Session;
use tagseg::engine::geometry::window::Padding;
use tagseg::engine::graph::{DType, Graph, Tensor};
use tagseg::engine::kernel::{Border, Kernels, Registers, Target};
use tagseg::engine::ops::attention::Heads;
use tagseg::engine::reference::square_error;

use super::{noise, targets, worst_error};

/// A value that is different from all others of this graph.
fn constant(graph: &Graph, shape: &[usize]) -> Tensor {
    let seed = graph.len() as u64;
    graph.constant(&(0..shape.iter().product()).map(|index| noise(seed, index)).collect::<Vec<_>>(), shape)
}

/// Compares the result of `build` for operands of these shapes, and its gradients, on a device with the interpreter.
fn agrees(targets: &[Target], shapes: &[&[usize]], build: impl Fn(&[Tensor]) -> tagseg::Result<Tensor>) {
    let graph = Graph::new();
    let operands: Vec<_> = shapes.iter().map(|shape| constant(&graph, shape)).collect();
    let y = build(&operands).unwrap();
    let objective = y.mul(&constant(&graph, y.shape())).unwrap().sum_all().unwrap();
    let mut outputs = graph.gradients(&objective, &operands).unwrap();
    outputs.push(y);
    let run = |session: Session| {
        let mut program = session.compile(&graph, &outputs.iter().collect::<Vec<_>>()).unwrap();
        program.run().unwrap();
        outputs.iter().map(|output| program.read(output).unwrap()).collect::<Vec<_>>()
    };
    let want = run(Session::open("reference").unwrap());
    for &target in targets {
        let session = Session::open("auto").unwrap().aimed_at(target);
        for step in session.plan(&graph, &outputs.iter().collect::<Vec<_>>()).unwrap().unwrap().steps {
            for launch in step.launches.list {
                assert!(launch.workgroups.iter().all(|count| (1..=65_535).contains(count)), "{launch:?}");
            }
        }
        for (got, want) in run(session).iter().zip(&want) {
            let error = square_error(got, want);
            assert!(error <= 1e-9, "{shapes:?}: squared error {error:e} for {target:?}");
            let worst = worst_error(got, want);
            assert!(worst <= 1e-4, "{shapes:?}: an element is off by {worst:e} of the largest for {target:?}");
        }
    }
}

/// Protects: operands that are broadcast along different axes of six, in one function and in a chain of them, which
/// needs more axes than each of its functions.
#[test]
fn six_axes_are_broadcast() {
    let all = targets();
    let x: &[usize] = &[2, 3, 2, 3, 2, 3];
    agrees(&all, &[x, &[2, 1, 1, 1, 1, 1], &[1, 3, 1, 1, 1, 1], &[1, 1, 1, 3, 1, 1]], |x| {
        x[0].add(&x[1])?.add(&x[2])?.add(&x[3])
    });
    agrees(&all, &[x, &[2, 1, 2, 1, 2, 1]], |x| x[0].mul(&x[1]));
    agrees(&all, &[&[2, 1, 2, 1, 2, 4], &[3, 1, 3, 1, 1]], |x| x[0].mul(&x[1])?.exp());
}

/// Protects: a fused chain never needs more axes than a kernel supports, and a single function that would is refused.
#[test]
fn more_axes_than_a_kernel_supports_are_not_fused() {
    let shape = |kept: &dyn Fn(usize) -> bool| (0..10).map(|axis| if kept(axis) { 2 } else { 1 }).collect::<Vec<_>>();
    let (whole, low, high) = (shape(&|_| true), shape(&|axis| axis < 6 && axis % 2 == 0), shape(&|axis| axis == 8));
    agrees(&[Target::software()], &[&whole, &low, &high], |x| x[0].add(&x[1])?.add(&x[2]));
    let graph = Graph::new();
    let alternating = shape(&|axis| axis % 2 == 0);
    let error = constant(&graph, &whole).add(&constant(&graph, &alternating)).unwrap_err().to_string();
    assert!(error.contains("more than 8 groups of axes"), "{error}");
}

/// Protects: a repetition along more axes than a kernel supports is refused when it is recorded.
#[test]
fn repetitions_along_too_many_axes_are_refused() {
    let graph = Graph::new();
    let alternating = |axes: usize| (0..axes).map(|axis| 1 + axis % 2).collect::<Vec<_>>();
    agrees(&[Target::software()], &[&alternating(8)], |x| x[0].expand([2; 8]));
    let error = constant(&graph, &alternating(9)).expand([2; 9]).unwrap_err().to_string();
    assert!(error.contains("more than 8 groups of axes"), "{error}");
}

/// Protects: a resize by a factor that is not a fraction of small numbers reads the same cells on either engine, also
/// far from the first, and so does its gradient; one that would be read elsewhere is refused.
#[test]
fn factors_are_fractions_on_both() {
    for factor in [1.5 + 5e-7, 2.0 / 3.0 - 3e-7, 1.0 + 1e-5, std::f64::consts::E] {
        agrees(&[Target::software()], &[&[1, 1, 3, 1500]], |x| x[0].resize_by_factor(factor));
        agrees(&[Target::software()], &[&[1, 1500, 3, 4]], |x| x[0].resize_channels_last_by_factor(factor));
    }
    let graph = Graph::new();
    let [maps, features] =
        [[1, 1, 30_000, 30_000], [1, 30_000, 30_000, 1]].map(|shape| graph.state(&format!("{shape:?}"), shape));
    for factor in [1.0 + 1.0 / 29_000.0, 0.5 + 1e-5, 1.0 / 29_999.0] {
        let results = [maps.resize_by_factor(factor), features.resize_channels_last_by_factor(factor)];
        for error in results.map(|result| result.unwrap_err().to_string()) {
            assert!(error.contains("no fraction is close enough to the factor"), "{factor}: {error}");
        }
    }
    assert!(maps.resize_by_factor(1.5).is_ok() && maps.resize_by_factor(1.0).is_ok());
}

/// Protects: products and attention of more batches than a grid has layers.
#[test]
fn more_batches_than_layers_are_computed() {
    let [software, graphics] = [Target::software(), Target::graphics()];
    agrees(&[software, graphics], &[&[70_000, 4, 4], &[70_000, 4, 4]], |x| x[0].matmul(&x[1]));
    let heads = Heads { count: 2, scale: 0.7 };
    agrees(&[software], &[&[35_000, 1, 8], &[35_000, 2, 8], &[35_000, 2, 8]], |x| x[0].attention(&x[1], &x[2], heads));
}

/// Protects: sums and rows so long that no invocation may walk them: Mesa's software driver ends the loops of an
/// invocation after 65 535 turns.
#[test]
fn more_turns_than_a_driver_makes_are_shared() {
    let software = [Target::software()];
    let heads = |count| Heads { count, scale: 0.1 };
    agrees(&software, &[&[1, 2, 64], &[1, 13_000, 64], &[1, 13_000, 64]], |x| x[0].attention(&x[1], &x[2], heads(1)));
    agrees(&software, &[&[16, 13_000, 16], &[16, 2, 16], &[16, 2, 16]], |x| x[0].attention(&x[1], &x[2], heads(4)));
    agrees(&software, &[&[66_001, 1, 257]], |x| x[0].sum(0));
    agrees(&software, &[&[3, 35_001]], |x| x[0].softmax(1));
    agrees(&software, &[&[2, 66_001], &[66_001], &[66_001]], |x| x[0].layer_norm(&x[1], &x[2], 1e-5));
    agrees(&software, &[&[1, 260, 260, 257], &[257, 1, 3, 3], &[257]], |x| {
        x[0].depthwise_conv2d(&x[1], &x[2], 1, 1, 1)
    });
    // Kernels with a tested and an untested loop: neighbouring rows may need different ones.
    let table = Kernels { busy: 1, depthwise_border: Border::Apart, registers: Registers::Many, ..Kernels::SOFTWARE };
    for image in [[1, 9, 59_000, 1], [400, 3, 100, 1]] {
        agrees(&[table.into()], &[&image, &[1, 1, 3, 3], &[1]], |x| x[0].depthwise_conv2d(&x[1], &x[2], 1, 1, 1));
    }
}

/// Protects: rows and windows beyond what sixteen invocations walk, or what a row's neighbours add to it; what no
/// number of invocations walks is refused, also if only the gradient does.
#[test]
fn the_longest_rows_and_windows_are_walked_or_refused() {
    let software = [Target::software()];
    agrees(&software, &[&[1, 600_001]], |x| x[0].softmax(1));
    agrees(&software, &[&[1, 600_001], &[600_001], &[600_001]], |x| x[0].layer_norm(&x[1], &x[2], 1e-5));
    agrees(&software, &[&[1, 3000, 4, 257], &[257, 1, 5, 5], &[257]], |x| x[0].depthwise_conv2d(&x[1], &x[2], 1, 4, 8));
    let graph = Graph::new();
    let refused = |result: tagseg::Result<Vec<Tensor>>, reason: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    let gradient = |y: Tensor, x: &Tensor| graph.gradients(&y.sum_all()?, std::slice::from_ref(x));
    let row = graph.state("row", [1, 2_000_001]);
    refused(row.softmax(1).map(|y| vec![y]), "rows of at most 1920000 elements");
    refused(
        row.layer_norm(&graph.state("g", [2_000_001]), &graph.state("b", [2_000_001]), 1e-5).map(|y| vec![y]),
        "rows of",
    );
    let cell = graph.state("cell", [1, 1, 1, 1]);
    refused(cell.resize([1, 70_001], true).and_then(|y| gradient(y, &cell)), "too long");
    let line = graph.state("line", [1, 1, 60_000, 4]);
    let convolved = line.depthwise_conv2d(&graph.state("w", [4, 1, 3, 3]), &graph.state("c", [4]), 1, 1, 1).unwrap();
    refused(gradient(convolved, &graph.state("c", [4])), "rows as long as these");
    let [mask, weights] = [4, 8].map(|last| graph.state(&format!("m{last}"), [1, 300, 300, last]));
    let [extent, classes] = [("e", 2), ("k", 4)].map(|(name, last)| graph.input(name, [1, last], DType::I32));
    let refined = mask.par_step(&weights, &extent, &classes, &[299]).unwrap();
    refused(gradient(refined, &mask), "rings as wide as these");
}

/// Protects: the position of the largest of very many, the first of equals, and its gradient, whose positions are more
/// than reals can count.
#[test]
fn positions_along_a_long_axis_are_found() {
    const LENGTH: usize = (1 << 24) + 11;
    let run = |shape: [usize; 2], places: &[usize]| {
        let mut session = Session::open("auto").unwrap();
        let mut values = vec![0.0; LENGTH];
        places.iter().for_each(|&place| values[place] = 2.0);
        session.set_state("x", &shape, &values).unwrap();
        let graph = Graph::new();
        let x = graph.state("x", shape);
        let axis = isize::from(shape[0] == 1);
        let largest = x.max(axis).unwrap();
        let gradient = graph.gradients(&largest, std::slice::from_ref(&x)).unwrap().remove(0);
        let position = x.arg_max(axis).unwrap();
        let mut program = session.compile(&graph, &[&position, &largest, &gradient]).unwrap();
        program.run().unwrap();
        let read = |tensor| program.read(tensor).unwrap();
        let ones = read(&gradient).into_iter().enumerate().filter(|(_, value)| *value != 0.0).map(|(place, _)| place);
        let ones: Vec<_> = ones.collect();
        (read(&position)[0], read(&largest)[0], ones)
    };
    let first = (1 << 24) + 3;
    for shape in [[1, LENGTH], [LENGTH, 1]] {
        assert_eq!(run(shape, &[first, first + 2, first + 7]), (first as f64, 2.0, vec![first]));
    }
}

/// Protects: rows and images of which there are more than workgroups along an axis.
#[test]
fn more_rows_than_workgroups_are_computed() {
    let [software, graphics] = [Target::software(), Target::graphics()];
    agrees(&[graphics], &[&[270_000, 4]], |x| x[0].softmax_scaled(1.5));
    agrees(&[graphics], &[&[270_000, 4], &[4], &[4]], |x| x[0].layer_norm(&x[1], &x[2], 1e-5));
    agrees(&[software], &[&[2_100_000, 2]], |x| x[0].sum(1..2));
    agrees(&[software, graphics], &[&[70_000, 2, 2, 4], &[4, 4, 3, 3]], |x| x[0].conv2d(&x[1], None, 1, 1));
    agrees(&[software], &[&[70_000, 2, 2, 4], &[4, 1, 3, 3], &[4]], |x| x[0].depthwise_conv2d(&x[1], &x[2], 1, 1, 1));
}

/// Protects: sizes and numbers of heads that no arithmetic of extents can hold are refused when they are recorded, with
/// the op and the reason.
#[test]
fn huge_arguments_are_refused() {
    let graph = Graph::new();
    let (tokens, image) = (constant(&graph, &[4, 1, 4]), constant(&graph, &[4, 1, 4, 1]));
    let most = isize::MAX as usize;
    for count in [usize::MAX, most, usize::MAX / 4 + 2] {
        let error = tokens.attention(&tokens, &tokens, Heads { count, scale: 1.0 }).unwrap_err().to_string();
        assert!(error.contains("attention") && error.contains(&format!("each of {count} heads")), "{error}");
    }
    for size in [[most, 7], [usize::MAX, 7], [7, most], [usize::MAX, usize::MAX]] {
        for align_corners in [false, true] {
            let results = [image.resize(size, align_corners), image.resize_channels_last(size, align_corners)];
            for error in results.map(|result| result.unwrap_err().to_string()) {
                assert!(error.contains("resize") && error.contains("the sides are too long"), "{error}");
            }
        }
    }
    let Padding { before, after } = Padding::same([5, 7], usize::MAX, 1, 1);
    assert!(before.iter().chain(&after).all(|&zeros| zeros >= most - 7), "{before:?} {after:?}");
}

/// Protects: a product of more results than any device holds is refused with its bytes, at once, and not planned in
/// millions of dispatches.
#[test]
fn huge_products_are_refused_at_once() {
    let graph = Graph::new();
    let (a, b) = (graph.input("a", [1 << 20, 64], DType::F32), graph.input("b", [64, 1 << 20], DType::F32));
    let sum = a.matmul(&b).unwrap().sum(0).unwrap();
    let error = Session::open("auto").unwrap().plan(&graph, &[&sum]).unwrap_err().to_string();
    assert!(error.contains("the plan needs a buffer of 4194304.0 MiB"), "{error}");
}
