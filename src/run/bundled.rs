//! The weights that come with this program (`models/README.md`).

use std::path::Path;

use crate::error::{Error, Result};
use crate::run::weights::Checkpoint;

/// Weights of encoders, trained on ImageNet, in half precision: name of the encoder, name of the file, its bytes.
const ENCODERS: [(&str, &str, &[u8]); 1] = [(
    "efficientnet_lite0",
    "models/efficientnet_lite0.safetensors",
    include_bytes!("../../models/efficientnet_lite0.safetensors"),
)];

/// A network that segments photographs of animals and people. The package has no room for it.
#[cfg(bundled_animals)]
const ANIMALS_BYTES: Option<&[u8]> = Some(include_bytes!("../../models/animals.safetensors"));
#[cfg(not(bundled_animals))]
const ANIMALS_BYTES: Option<&[u8]> = None;

/// Its file.
pub const ANIMALS: &str = "models/animals.safetensors";

/// Name and bytes of the file with the weights of an encoder.
///
/// # Errors
/// [`Error::Config`] if there are none.
pub fn encoder(name: &str) -> Result<(&'static Path, &'static [u8])> {
    match ENCODERS.iter().find(|(known, ..)| *known == name) {
        Some((_, file, bytes)) => Ok((Path::new(file), bytes)),
        None => {
            let known: Vec<_> = ENCODERS.iter().map(|(known, ..)| *known).collect();
            let reason = format!("no weights of encoder `{name}` come with tagseg, only those of {}", known.join(", "));
            Err(Error::config("model.start", reason, "pass --weights, or set model.start=random"))
        }
    }
}

/// Whether this program was built with the network for photographs.
pub fn has_animals() -> bool {
    ANIMALS_BYTES.is_some()
}

/// The network for photographs of animals and people.
///
/// # Errors
/// [`Error::Data`] if this program was built without it.
pub fn animals() -> Result<Checkpoint> {
    let path = Path::new(ANIMALS);
    match ANIMALS_BYTES {
        Some(bytes) => Checkpoint::from_bytes(path, bytes),
        None => Err(Error::data(
            path,
            "is not part of this build",
            "name a run or a model first: `tagseg predict RUN IMAGE`; the model is in tagseg's repository",
        )),
    }
}
