//! The text of a kernel variant: joins snippets and substitutes placeholders.
//!
//! Six directives, each on a line of its own, and one substitution:
//!
//! - `#include "common/<name>.wgsl"`: the snippet, once per kernel;
//! - `#if NAME`, `#else`, `#endif`: lines that belong to variants which define `NAME`;
//! - `#read x: array<T>`: the next storage binding, whose elements the kernel reads with `load_x(i)`;
//! - `#write x: array<T>`: the next one, whose elements it writes with `store_x(i, value)`;
//! - `#update x: array<T>`: the next one, with both;
//! - `$NAME`: the value of `NAME` in the variant.
//!
//! Bindings are numbered in the order of their lines, as [`Launch::bind`] lists their contents. What a launch
//! declares by [`Launch::fours`] may be stored in half precision: then `load_x` and `store_x` convert, and nothing else
//! changes. A kernel that computes with halves declares them as such, `array<f16>`, and needs no conversion.

use super::choices::Conversion;
use super::launch::Launch;
use crate::error::{Error, Result};

/// The snippets of `shaders/common/`.
const COMMON: &[(&str, &str)] = &[
    ("common/attention.wgsl", include_str!("../../../shaders/common/attention.wgsl")),
    ("common/attention_shared.wgsl", include_str!("../../../shaders/common/attention_shared.wgsl")),
    ("common/columns.wgsl", include_str!("../../../shaders/common/columns.wgsl")),
    ("common/elementwise.wgsl", include_str!("../../../shaders/common/elementwise.wgsl")),
    ("common/extent.wgsl", include_str!("../../../shaders/common/extent.wgsl")),
    ("common/fours.wgsl", include_str!("../../../shaders/common/fours.wgsl")),
    ("common/fused.wgsl", include_str!("../../../shaders/common/fused.wgsl")),
    ("common/half.wgsl", include_str!("../../../shaders/common/half.wgsl")),
    ("common/half_builtin.wgsl", include_str!("../../../shaders/common/half_builtin.wgsl")),
    ("common/index.wgsl", include_str!("../../../shaders/common/index.wgsl")),
    ("common/interpolate.wgsl", include_str!("../../../shaders/common/interpolate.wgsl")),
    ("common/math.wgsl", include_str!("../../../shaders/common/math.wgsl")),
    ("common/matrices.wgsl", include_str!("../../../shaders/common/matrices.wgsl")),
    ("common/par.wgsl", include_str!("../../../shaders/common/par.wgsl")),
    ("common/patches.wgsl", include_str!("../../../shaders/common/patches.wgsl")),
    ("common/philox.wgsl", include_str!("../../../shaders/common/philox.wgsl")),
    ("common/pixels.wgsl", include_str!("../../../shaders/common/pixels.wgsl")),
    ("common/product.wgsl", include_str!("../../../shaders/common/product.wgsl")),
    ("common/rectangle.wgsl", include_str!("../../../shaders/common/rectangle.wgsl")),
    ("common/ring.wgsl", include_str!("../../../shaders/common/ring.wgsl")),
    ("common/rows.wgsl", include_str!("../../../shaders/common/rows.wgsl")),
];

/// The complete WGSL of a launch.
///
/// # Errors
/// [`Error::Graph`] if the shader includes an unknown snippet, leaves an `#if` open or a `$NAME` without a value, or
/// declares more than the launch binds: bugs in the shader, found by the test that builds every variant.
pub fn render(launch: &Launch) -> Result<String> {
    let mut joined = Joined { launch, text: String::new(), included: Vec::new(), declared: 0 };
    joined.add(&launch.shader.source)?;
    if !launch.half.is_empty() {
        joined.include(match launch.conversion {
            Conversion::Integers => "common/half.wgsl",
            Conversion::Builtin => "common/half_builtin.wgsl",
        })?;
    }
    if joined.declared > launch.bindings.len() {
        return Err(joined.wrong(&format!("{} bindings for {}", launch.bindings.len(), joined.declared)));
    }
    Ok(joined.text)
}

/// How the kernel uses a storage binding.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
    Update,
}

/// The text so far.
struct Joined<'a> {
    launch: &'a Launch,
    text: String,
    /// Names of snippets.
    included: Vec<String>,
    /// Storage bindings.
    declared: usize,
}

impl Joined<'_> {
    fn wrong(&self, what: &str) -> Error {
        Error::Graph(format!("shader {}: {what}", self.launch.shader.name))
    }

    fn add(&mut self, source: &str) -> Result<()> {
        // One entry per open #if: whether its lines are kept.
        let mut open: Vec<bool> = Vec::new();
        for line in source.lines() {
            let (directive, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            match directive {
                "#if" => open.push(self.launch.defines.iter().any(|(known, _)| *known == rest.trim())),
                "#else" => {
                    let last = open.last_mut().ok_or_else(|| self.wrong("#else without #if"))?;
                    *last = !*last;
                }
                "#endif" => {
                    open.pop().ok_or_else(|| self.wrong("#endif without #if"))?;
                }
                _ if open.contains(&false) => {}
                "#include" => self.include(rest.trim_matches('"'))?,
                "#read" => self.declare(Access::Read, rest)?,
                "#write" => self.declare(Access::Write, rest)?,
                "#update" => self.declare(Access::Update, rest)?,
                _ => {
                    let line = self.substitute(line)?;
                    self.text += &line;
                    self.text.push('\n');
                }
            }
        }
        if open.is_empty() { Ok(()) } else { Err(self.wrong("#if without #endif")) }
    }

    fn include(&mut self, path: &str) -> Result<()> {
        if self.included.iter().any(|known| known == path) {
            return Ok(());
        }
        self.included.push(path.to_owned());
        let (_, snippet) = COMMON
            .iter()
            .find(|(name, _)| *name == path)
            .ok_or_else(|| self.wrong(&format!("unknown snippet {path}")))?;
        self.add(snippet)
    }

    /// Declares the next storage binding, `name: array<element>`, with the functions that access it.
    fn declare(&mut self, access: Access, binding: &str) -> Result<()> {
        let binding = self.substitute(binding)?;
        let parts = binding.split_once(": array<").and_then(|(name, rest)| Some((name, rest.strip_suffix('>')?)));
        let (name, element) = parts.ok_or_else(|| self.wrong(&format!("no `name: array<T>`: {binding}")))?;
        self.declared += 1;
        let number = self.declared;
        let (stored, from, to) = match self.launch.half.contains(&number) {
            true if element == "vec2<f32>" => ("u32", "from_half_pair", "to_half_pair"),
            true if element != "f16" => ("vec2<u32>", "from_halves", "to_halves"),
            _ => (element, "", ""),
        };
        let mode = if access == Access::Read { "read" } else { "read_write" };
        self.text += &format!("@group(0) @binding({number}) var<storage, {mode}> {name}: array<{stored}>;\n");
        if access != Access::Write {
            self.text += &format!("fn load_{name}(i: u32) -> {element} {{ return {from}({name}[i]); }}\n");
        }
        if access != Access::Read {
            self.text += &format!("fn store_{name}(i: u32, value: {element}) {{ {name}[i] = {to}(value); }}\n");
        }
        Ok(())
    }

    fn substitute(&self, line: &str) -> Result<String> {
        let mut parts = line.split('$');
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            let value = self.launch.defines.iter().find(|(known, _)| *known == name);
            let (_, value) = value.ok_or_else(|| self.wrong(&format!("no value in: {line}")))?;
            result += value;
            result += rest;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::launch::{Shader, Slot};
    use super::*;

    const KERNEL: &str = "\
#read x: array<V>
#if SCALED
#read w: array<$SCALE>
#endif
#write y: array<vec4<f32>>
";

    /// Protects: bindings are numbered by their lines, and only those stored in half precision are converted.
    #[test]
    fn bindings_are_declared_with_their_functions() {
        let shader = Shader { name: "test", source: Cow::Borrowed(KERNEL) };
        let launch = Launch::new(shader, 1, 1).bind(&[Slot::Input(0), Slot::Output]);
        let whole = render(&launch).unwrap();
        assert_eq!(
            whole.lines().collect::<Vec<_>>(),
            [
                "@group(0) @binding(1) var<storage, read> x: array<V>;",
                "fn load_x(i: u32) -> V { return (x[i]); }",
                "@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;",
                "fn store_y(i: u32, value: vec4<f32>) { y[i] = (value); }",
            ]
        );
        let halves = render(&Launch { half: vec![2], ..launch.clone() }).unwrap();
        assert!(halves.contains("x: array<V>") && halves.contains("y: array<vec2<u32>>"), "{halves}");
        assert!(halves.contains("y[i] = to_halves(value)") && halves.contains("fn to_halves("), "{halves}");
        let scaled = launch.define("SCALED", 1);
        assert!(render(&scaled).unwrap_err().to_string().contains("no value in: w: array<$SCALE>"));
        let missing = render(&scaled.define("SCALE", "f32")).unwrap_err().to_string();
        assert!(missing.contains("2 bindings for 3"), "{missing}");
    }
}
