//! The text of a kernel variant: joins snippets and fills in what the shader leaves open.
//!
//! Three directives, each on a line of its own, and one substitution:
//!
//! - `#include "common/<name>.wgsl"`: the snippet, once per kernel;
//! - `#if NAME`, `#else`, `#endif`: lines that belong to variants which define `NAME`;
//! - `$NAME`: the value that the variant gives to `NAME`.
//!
//! What is bound by fours can besides be stored in half precision (`half.rs`).

use super::half;
use super::launch::Launch;
use crate::error::{Error, Result};

/// The snippets of `shaders/common/`.
const COMMON: &[(&str, &str)] = &[
    ("common/attention.wgsl", include_str!("../../../shaders/common/attention.wgsl")),
    ("common/columns.wgsl", include_str!("../../../shaders/common/columns.wgsl")),
    ("common/elementwise.wgsl", include_str!("../../../shaders/common/elementwise.wgsl")),
    ("common/fours.wgsl", include_str!("../../../shaders/common/fours.wgsl")),
    ("common/index.wgsl", include_str!("../../../shaders/common/index.wgsl")),
    ("common/interpolate.wgsl", include_str!("../../../shaders/common/interpolate.wgsl")),
    ("common/math.wgsl", include_str!("../../../shaders/common/math.wgsl")),
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
/// [`Error::Graph`] if the shader includes an unknown snippet, leaves an `#if` open or a `$NAME` without a value:
/// mistakes in the shader, found by the test that builds every variant; also if a binding cannot be stored in half
/// precision.
pub fn render(launch: &Launch) -> Result<String> {
    let mut text = String::new();
    let mut included = Vec::new();
    join(launch, &launch.shader.source, &mut text, &mut included)?;
    half::convert(text, &launch.half)
        .ok_or_else(|| Error::Graph(format!("shader {}: cannot store {:?} in half", launch.shader.name, launch.half)))
}

fn join(launch: &Launch, source: &str, text: &mut String, included: &mut Vec<String>) -> Result<()> {
    let wrong = |what: String| Error::Graph(format!("shader {}: {what}", launch.shader.name));
    // One entry per open #if: whether its lines are kept.
    let mut open: Vec<bool> = Vec::new();
    for line in source.lines() {
        let directive = line.trim();
        if let Some(name) = directive.strip_prefix("#if ") {
            open.push(launch.defines.iter().any(|(known, _)| *known == name.trim()));
        } else if directive == "#else" {
            let last = open.last_mut().ok_or_else(|| wrong("#else without #if".into()))?;
            *last = !*last;
        } else if directive == "#endif" {
            open.pop().ok_or_else(|| wrong("#endif without #if".into()))?;
        } else if open.iter().all(|&kept| kept) {
            if let Some(path) = directive.strip_prefix("#include ") {
                let path = path.trim_matches('"');
                if !included.iter().any(|known| known == path) {
                    included.push(path.to_owned());
                    let snippet = COMMON.iter().find(|(name, _)| *name == path);
                    let (_, snippet) = snippet.ok_or_else(|| wrong(format!("unknown snippet {path}")))?;
                    join(launch, snippet, text, included)?;
                }
            } else {
                text.push_str(&substitute(launch, line).ok_or_else(|| wrong(format!("no value in: {line}")))?);
                text.push('\n');
            }
        }
    }
    if open.is_empty() { Ok(()) } else { Err(wrong("#if without #endif".into())) }
}

fn substitute(launch: &Launch, line: &str) -> Option<String> {
    let mut parts = line.split('$');
    let mut result = parts.next()?.to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let (_, value) = launch.defines.iter().find(|(known, _)| *known == name)?;
        result.push_str(value);
        result.push_str(rest);
    }
    Some(result)
}
