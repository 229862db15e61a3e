//! ONNX files: the messages of the format that a network needs, and a builder of graphs.
//!
//! The numbers of fields and types are those of `onnx.proto`. Values are named; an operator is appended by
//! [`Onnx::op`], which returns the name of its result.

use prost::Message;

/// The version of the operators' definitions.
const OPSET: i64 = 17;
/// The version of the format, the first that has these operators.
const IR_VERSION: i64 = 8;

/// Element types.
const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT64: i32 = 7;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(string, tag = "6")]
    doc_string: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    s: Option<Vec<u8>>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<TypeProto>,
    #[prost(string, tag = "3")]
    doc_string: String,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    dim_param: Option<String>,
}

/// An attribute of an operator.
#[derive(Clone, Debug)]
pub enum Attribute<'a> {
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A real number.
    Real(f32),
    /// A word.
    Word(&'a str),
}

/// An extent of an input or output: a number, or the name of one that is known when the network runs.
#[derive(Clone, Copy, Debug)]
pub enum Extent<'a> {
    /// A number.
    Fixed(usize),
    /// A name.
    Free(&'a str),
}

/// The element type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputType {
    /// Bytes.
    Bytes,
    /// Real numbers.
    Reals,
}

/// A graph under construction. Values are known by their names.
#[derive(Clone, Debug, Default)]
pub struct Onnx {
    graph: GraphProto,
    properties: Vec<StringStringEntryProto>,
    notes: String,
}

impl Onnx {
    /// An empty graph; `notes` say what it computes.
    pub fn new(name: &str, notes: &str) -> Self {
        let graph = GraphProto { name: name.to_owned(), ..GraphProto::default() };
        Onnx { graph, properties: Vec::new(), notes: notes.to_owned() }
    }

    /// An input.
    pub fn input(&mut self, name: &str, kind: InputType, shape: &[Extent<'_>], notes: &str) -> String {
        let kind = if kind == InputType::Bytes { UINT8 } else { FLOAT };
        self.graph.input.push(value_info(name, kind, shape, notes));
        name.to_owned()
    }

    /// Makes a value of real numbers an output called `name`.
    pub fn output(&mut self, value: &str, name: &str, shape: &[Extent<'_>], notes: &str) {
        self.push("Identity", &[value], &[], name.to_owned());
        self.graph.output.push(value_info(name, FLOAT, shape, notes));
    }

    /// A fact about the network, by name.
    pub fn property(&mut self, key: &str, value: impl Into<String>) {
        self.properties.push(StringStringEntryProto { key: key.to_owned(), value: value.into() });
    }

    /// A tensor of real numbers. The name is made unique.
    pub fn reals(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constant(name, shape, FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// A list of whole numbers, such as a shape.
    pub fn integers(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant("integers", &[values.len()], INT64, bytes)
    }

    fn constant(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let name = format!("{name}#{}", self.graph.initializer.len());
        let dims = shape.iter().map(|extent| *extent as i64).collect();
        self.graph.initializer.push(TensorProto { dims, data_type, name: name.clone(), raw_data });
        name
    }

    /// Appends an operator with one result, and returns its name.
    pub fn op(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attribute<'_>)]) -> String {
        let result = format!("{op}:{}", self.graph.node.len());
        self.push(op, inputs, attributes, result.clone());
        result
    }

    fn push(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attribute<'_>)], result: String) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            name: result.clone(),
            output: vec![result],
            op_type: op.to_owned(),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        });
    }

    /// The file.
    pub fn file(self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "tagseg".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: self.notes,
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: self.properties,
        };
        model.encode_to_vec()
    }
}

fn attribute(name: &str, value: &Attribute<'_>) -> AttributeProto {
    let empty = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match value {
        Attribute::Real(value) => AttributeProto { f: Some(*value), kind: 1, ..empty },
        Attribute::Int(value) => AttributeProto { i: Some(*value), kind: 2, ..empty },
        Attribute::Word(word) => AttributeProto { s: Some(word.as_bytes().to_vec()), kind: 3, ..empty },
        Attribute::Ints(values) => AttributeProto { ints: values.clone(), kind: 7, ..empty },
    }
}

fn value_info(name: &str, elem_type: i32, shape: &[Extent<'_>], notes: &str) -> ValueInfoProto {
    let dimension = |extent: &Extent<'_>| match extent {
        Extent::Fixed(number) => DimensionProto { dim_value: Some(*number as i64), dim_param: None },
        Extent::Free(name) => DimensionProto { dim_value: None, dim_param: Some((*name).to_owned()) },
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dimension).collect() };
    let tensor_type = TensorTypeProto { elem_type, shape: Some(shape) };
    let kind = Some(TypeProto { tensor_type: Some(tensor_type) });
    ValueInfoProto { name: name.to_owned(), kind, doc_string: notes.to_owned() }
}
