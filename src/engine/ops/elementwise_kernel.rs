//! Generates the kernel of a chain of functions, with broadcasting.

use super::rows::Lanes;
use crate::engine::geometry::broadcast::{Broadcast, MAX_AXES};
use crate::engine::graph::{Chain, DType, MAX_LEAVES, MAX_SCALARS, Operand};
use crate::engine::kernel::{Launch, LaunchContext, Shader, Slot};

/// Whether four neighbours can be computed at once: every input is contiguous or constant along the innermost axis, and
/// aligned.
fn by_fours(walk: &Broadcast) -> bool {
    let aligned = |own: &Vec<usize>| match own.split_last() {
        Some((&1, outer)) => outer.iter().all(|stride| stride.is_multiple_of(4)),
        Some((&last, _)) => last == 0,
        None => true,
    };
    walk.extents.last().is_some_and(|inner| inner.is_multiple_of(4)) && walk.strides.iter().all(aligned)
}

/// The position in an input when element `i` is computed.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// At its only element.
    Constant,
    /// At i.
    Linear,
    /// At a position computed from the coordinates.
    Strided,
}

impl Reach {
    fn of(strides: &[usize]) -> Self {
        match strides {
            _ if strides.iter().all(|&stride| stride == 0) => Reach::Constant,
            [1] => Reach::Linear,
            _ => Reach::Strided,
        }
    }
}

/// The launch of a chain: its bindings, and a function of one line per load and per function of the chain, on top of
/// `shaders/common/elementwise.wgsl`.
pub(super) fn launch(op: &Chain, context: &LaunchContext<'_>) -> Launch {
    let walk = Broadcast::of(&context.output.shape, context.inputs.iter().map(|input| &input.shape));
    let reach: Vec<_> = walk.strides.iter().map(|own| Reach::of(own)).collect();
    let plain = !reach.contains(&Reach::Strided);
    let lanes = Lanes::of(if plain || by_fours(&walk) { 4 } else { 1 });
    let wide = |input: usize| lanes.count == 4 && walk.strides[input].last() == Some(&1);
    let element = |dtype: DType, wide: bool| if wide { format!("vec4<{}>", dtype.wgsl()) } else { dtype.wgsl().into() };
    let result = element(context.output.dtype, lanes.count == 4);

    let mut text = String::from("#include \"common/elementwise.wgsl\"\n");
    for (input, ty) in context.inputs.iter().enumerate() {
        text += &format!("#read x{input}: array<{}>\n", element(ty.dtype, wide(input)));
    }
    text += "#write y: array<$RESULT>\nfn chain(i: u32) -> V {\n";
    if !plain {
        text += &coordinates(walk.extents.len(), lanes);
    }
    for (input, reach) in reach.iter().enumerate() {
        let at = match reach {
            Reach::Constant => "0u".into(),
            Reach::Linear => "i".into(),
            Reach::Strided => {
                let steps = walk.strides[input].iter().enumerate().filter(|(_, stride)| **stride != 0);
                let term = |axis| format!("c{axis} * p.strides[{input}][{}][{}]", axis / 4, axis % 4);
                let terms: Vec<_> = steps.map(|(axis, _)| term(axis)).collect();
                format!("({}){}", terms.join(" + "), if wide(input) { " / 4u" } else { "" })
            }
        };
        let load = format!("load_x{input}({at})");
        text += &format!("let a{input} = V({});\n", if wide(input) { load } else { format!("f32({load})") });
    }
    let mut scalar = 0;
    for (index, instruction) in op.body.iter().enumerate() {
        let args = instruction.operands.iter().map(|operand| match operand {
            Operand::Leaf(leaf) => format!("a{leaf}"),
            Operand::Value(value) => format!("v{value}"),
        });
        let constant = format!("p.scalars[{}][{}]", scalar / 4, scalar % 4);
        scalar += usize::from(instruction.function.scalar().is_some());
        text += &format!("let v{index} = {};\n", instruction.function.wgsl(&args.collect::<Vec<_>>(), &constant));
    }
    text += &format!("return v{};\n}}\n", op.body.len() - 1);

    let elements = context.output.shape.len();
    let count = elements.div_ceil(lanes.count);
    let real = |dtype: DType, wide: bool| wide && dtype == DType::F32;
    let inputs = || (0..context.inputs.len()).map(Slot::Input);
    let mut fours: Vec<_> = inputs()
        .zip(0..)
        .filter(|(_, input)| real(context.inputs[*input].dtype, wide(*input)))
        .map(|(slot, _)| slot)
        .collect();
    fours.extend(real(context.output.dtype, lanes.count == 4).then_some(Slot::Output));
    let mut launch = Launch::new(Shader { name: "elementwise", source: text.into() }, count, 1)
        .operations(&[elements, op.body.len()])
        .define("VALUE", lanes.value)
        .define("BITS", lanes.value.replace("f32", "u32"))
        .define("RESULT", result)
        .bind(&inputs().chain([Slot::Output]).collect::<Vec<_>>())
        .fours(&fours)
        .uints(&[count, 0, 0, 0]);
    let none = Vec::new();
    let leaves = (0..MAX_LEAVES).map(|leaf| walk.strides.get(leaf).unwrap_or(&none));
    for values in [&walk.extents].into_iter().chain(leaves) {
        let mut block = values.clone();
        block.resize(MAX_AXES, 0);
        launch = launch.uints(&block);
    }
    let mut scalars = op.scalars();
    scalars.resize(MAX_SCALARS, 0.0);
    launch.floats(&scalars)
}

/// Lines that compute the coordinates c0, c1, … of an element. One division per axis: they are slow on software
/// devices.
fn coordinates(axes: usize, lanes: Lanes) -> String {
    let mut text = format!("let outer{axes} = i * {}u;\n", lanes.count);
    for axis in (1..axes).rev() {
        let (inner, extent) = (axis + 1, format!("p.extents[{}][{}]", axis / 4, axis % 4));
        text += &format!("let outer{axis} = outer{inner} / {extent};\n");
        text += &format!("let c{axis} = outer{inner} - outer{axis} * {extent};\n");
    }
    text + "let c0 = outer1;\n"
}
