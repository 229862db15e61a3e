//! The endings of picture files: the one list of the formats that are read.

use std::path::Path;

/// Endings of the pictures that are read, in lower case, in the order in which they are searched.
pub(crate) const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"];

/// Endings of pictures that are not read.
const OTHERS: [&str; 8] = ["avif", "heic", "heif", "jp2", "jxl", "jfif", "svg", "psd"];

/// The formats in words.
pub(crate) const FORMATS: &str = "JPEG, PNG, WebP, BMP, TIFF or GIF";

/// Whether a file has the ending of a picture that is read, in any case of letters.
pub(crate) fn is_picture(path: &Path) -> bool {
    has(path, &ENDINGS)
}

/// Whether a file has the ending of a picture in a format that is not read.
pub(crate) fn is_unread_picture(path: &Path) -> bool {
    has(path, &OTHERS)
}

/// The usual spellings of every ending: `jpg`, `JPG` and `Jpg`.
pub(super) fn spellings() -> impl Iterator<Item = String> {
    let capitalised = |ending: &str| format!("{}{}", ending[..1].to_ascii_uppercase(), &ending[1..]);
    let lower = ENDINGS.into_iter().map(str::to_owned);
    let upper = ENDINGS.into_iter().map(str::to_ascii_uppercase);
    lower.chain(upper).chain(ENDINGS.into_iter().map(capitalised))
}

/// A name without the ending of a picture.
pub(super) fn bare(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((bare, ending)) if ENDINGS.contains(&&*ending.to_ascii_lowercase()) => bare,
        _ => name,
    }
}

fn has(path: &Path, endings: &[&str]) -> bool {
    let own = path.extension().unwrap_or_default().to_ascii_lowercase();
    endings.iter().any(|known| own == *known)
}
