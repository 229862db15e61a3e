//! The text of a kernel some of whose bindings are stored in half precision.
//!
//! Kernels are written for `array<vec4<f32>>` and know nothing of it: the binding becomes an `array<vec2<u32>>` of the
//! same indices, `from_halves(…)` is put around every load and `to_halves(…)` around every store.

/// The snippet with these two functions.
const FUNCTIONS: &str = include_str!("../../../shaders/common/half.wgsl");

/// What a binding of reals must be an array of.
const FOUR: &str = "vec4<f32>";

/// A storage binding as a kernel's text declares it.
struct Declared<'a> {
    /// The text from here on, up to the end of the element type.
    head: &'a str,
    name: &'a str,
    element: &'a str,
}

/// The declaration of storage binding `number`: `@group(0) @binding(n) var<…> name: array<element>;`.
fn declared(text: &str, number: usize) -> Option<Declared<'_>> {
    let begin = format!("@group(0) @binding({number}) var<storage, ");
    let start = text.find(&begin)?;
    let line = text[start..].lines().next()?;
    let (head, _) = line.split_once(">;")?;
    let (_, variable) = head.split_once("> ")?;
    let (name, element) = variable.split_once(": array<")?;
    Some(Declared { head, name, element })
}

/// What a name of a type stands for.
fn resolve<'a>(text: &'a str, element: &'a str) -> &'a str {
    let alias = format!("alias {element} = ");
    text.find(&alias).and_then(|start| text[start + alias.len()..].split_once(';')).map_or(element, |(ty, _)| ty.trim())
}

/// Whether storage binding `number` of a kernel can be stored in half precision: it is read or written by fours, and
/// never by a part of a four.
pub(crate) fn fits(text: &str, number: usize) -> bool {
    let text = &without_comments(text);
    declared(text, number)
        .is_some_and(|binding| resolve(text, binding.element) == FOUR && converted(text, binding.name).is_some())
}

/// Formulas in comments look like code.
fn without_comments(text: &str) -> String {
    text.lines().flat_map(|line| [line.split_once("//").map_or(line, |(code, _)| code), "\n"]).collect()
}

/// `text` with the storage bindings of these numbers stored in half precision, all of which [`fits`] found fit.
pub(crate) fn convert(text: String, numbers: &[usize]) -> Option<String> {
    if numbers.is_empty() {
        return Some(text);
    }
    let mut text = without_comments(&text);
    for &number in numbers {
        let Declared { head, name, element } = declared(&text, number)?;
        let narrow = head.strip_suffix(element)?.to_owned() + "vec2<u32>";
        text = converted(&text, name)?.replace(head, &narrow);
    }
    Some(text + FUNCTIONS)
}

/// `text` with functions around every load `name[…]` and every store `name[…] = …;`; `None` where a store is of another
/// kind.
fn converted(text: &str, name: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len() + 256);
    let mut rest = text;
    while let Some(start) = indexed(rest, name) {
        let end = start + name.len() + closed(&rest[start + name.len()..])?;
        let (before, place, after) = (&rest[..start], &rest[start..end], &rest[end..]);
        result.push_str(before);
        if let Some(value) = after.strip_prefix(" = ") {
            let (value, after) = value.split_once(';')?;
            result.push_str(&format!("{place} = to_halves({});", converted(value, name)?));
            rest = after;
        } else if after.starts_with([' ', '.']) && assigns(after) {
            return None;
        } else {
            result.push_str(&format!("from_halves({place})"));
            rest = after;
        }
    }
    result.push_str(rest);
    Some(result)
}

/// Where `name[` stands as a word of its own.
fn indexed(text: &str, name: &str) -> Option<usize> {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut found = text.match_indices(name).map(|(start, _)| start);
    found.find(|&start| text[start + name.len()..].starts_with('[') && !text[..start].ends_with(part_of_word))
}

/// The length of the brackets that `text` begins with.
fn closed(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(index + 1);
        }
    }
    None
}

/// Whether what follows a place changes it or a part of it: `.x = …`, ` += …`.
fn assigns(after: &str) -> bool {
    let operator = after.trim_start_matches(|c: char| c == '.' || c.is_ascii_alphanumeric()).trim_start();
    let operator = operator.trim_start_matches(['+', '-', '*', '/', '%', '&', '|', '^']);
    operator.starts_with('=') && !operator.starts_with("==")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "\
alias V = vec4<f32>;
// y[i] = x[i]
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> part: array<vec4<f32>>;
fn main() {
    y[i + k[2]] = p.x[0] + x[at[i]].x
        * w[i];
    let same = y[i] == x[0];
    part[i].x += 1.0;
}
";

    /// Protects: what is converted, and nothing else.
    #[test]
    fn loads_and_stores_are_converted() {
        assert_eq!([1, 2, 3, 4, 5].map(|number| fits(KERNEL, number)), [true, false, true, false, false]);
        let text = convert(KERNEL.to_owned(), &[1, 3]).unwrap();
        let expected = KERNEL
            .replace("// y[i] = x[i]", "")
            .replace("x: array<V>", "x: array<vec2<u32>>")
            .replace("y: array<vec4<f32>>", "y: array<vec2<u32>>")
            .replace(
                "p.x[0] + x[at[i]].x\n        * w[i];",
                "to_halves(p.x[0] + from_halves(x[at[i]]).x\n        * w[i]);",
            )
            .replace("y[i] == x[0]", "from_halves(y[i]) == from_halves(x[0])");
        assert_eq!(text, expected + FUNCTIONS);
        assert_eq!(convert(KERNEL.to_owned(), &[]).unwrap(), KERNEL);
    }
}
