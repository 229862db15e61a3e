//! What the forms in XML share.

use crate::data::palette::colour;

/// Text for an attribute or an element. Characters that XML cannot hold are replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' => safe.push_str(&format!("&#{};", letter as u32)),
            '\u{FFFE}' | '\u{FFFF}' => safe.push('\u{FFFD}'),
            _ if letter < ' ' => safe.push('\u{FFFD}'),
            _ => safe.push(letter),
        }
    }
    safe
}

/// The colour of a class, `#800000`.
pub(super) fn colour_of(class: usize) -> String {
    let [r, g, b] = colour(class as u8);
    format!("#{r:02x}{g:02x}{b:02x}")
}
