//! Layers and nodes that a graph cannot have are errors, or panics that say so.

use std::sync::Arc;

use tagseg::Result;
use tagseg::engine::graph::{DType, Graph, NodeId};
use tagseg::engine::nn::{Linear, Mode, Part, Scores, drop_path, dropout_channels, each_part};

/// Asserts that `result` is an error that names all of `parts` and a line of this file.
fn assert_misuse<T>(result: Result<T>, parts: &[&str]) {
    let text = result.err().expect("misuse is an error").to_string();
    for part in parts.iter().chain(&["at tests/ops/layers.rs:"]) {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

/// Protects: layers of tensors without the axes that they need are errors.
#[test]
fn layers_of_tensors_without_axes() {
    let graph = Graph::new();
    let (x, key) = (graph.state("x", []), graph.input("key", [3], DType::I32));
    for part in [None, Some(Arc::new(Part::whole(2)))] {
        let mode = Mode::Train { random: Some(key.clone()), part };
        assert_misuse(drop_path(&x, 0.5, &mode), &["`x` f32[]", "no axis"]);
        assert_misuse(dropout_channels(&x, 0.5, &mode), &["`x` f32[]", "no axis"]);
    }
    let mode = Mode::Train { random: Some(key), part: Some(Arc::new(Part::whole(2))) };
    assert_misuse(each_part(std::slice::from_ref(&x), &mode, |x, _| Ok(x.clone())), &["`x` f32[]", "no axis"]);
    let (weight, bias) = (graph.state("w", [3, 3]), graph.state("b", [3]));
    let linear = || Linear::from_parts(weight.clone(), Some(bias.clone()));
    assert_misuse(linear().then(&Linear::from_parts(x.clone(), None)), &["`x` f32[] does not have 2 axes"]);
    assert_misuse(Linear::from_parts(weight.clone(), Some(x.clone())).then(&linear()), &["`x` f32[]", "1 axes"]);
    let [query, key] = ["q", "k"].map(|name| graph.state(name, [1, 2, 4]));
    let scores = Scores { query, key, heads: 0 };
    assert!(scores.raw().is_err());
    assert!(scores.mixed(&graph.state("mix", [0])).is_err());
}

/// A graph of one node, and the second node of another.
fn strangers() -> (Graph, NodeId) {
    let (graph, other) = (Graph::new(), Graph::new());
    graph.state("x", [1]);
    let [_, second] = ["a", "b"].map(|name| other.state(name, [1]).id());
    (graph, second)
}

/// Protects: a node of another graph is not taken for one of this, and the panic says so.
#[test]
#[should_panic(expected = "NodeId(1) is of another graph: this one has 1 nodes")]
fn a_node_that_a_graph_does_not_have() {
    let (graph, id) = strangers();
    graph.tensor(id);
}

/// Protects: the same, where nodes are outputs.
#[test]
#[should_panic(expected = "NodeId(1) is of another graph: this one has 1 nodes")]
fn outputs_that_a_graph_does_not_have() {
    let (graph, id) = strangers();
    graph.live(&[id]);
}
