//! The formats of torch.save: zip archives, and the container from before 1.6.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tagseg::formats::archive::Archive;
use tagseg::formats::tensor_file::TensorFile;
use tagseg::run::weights::to_tagseg;

fuzz_target!(|data: &[u8]| {
    tagseg_fuzz::bounded(data, 128, || {
        if let Ok(archive) = Archive::open(data) {
            archive.names().for_each(|name| _ = archive.read(name));
        }
        TensorFile::from_bytes(data).and_then(|file| to_tagseg(file.tensors))
    });
});
