//! NumPy's files: the header, a matrix, a pickled dictionary.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tagseg::formats::npy::Npy;

fuzz_target!(|data: &[u8]| {
    tagseg_fuzz::bounded(data, 128, || Npy::parse(data).map(|file| (file.matrix().is_ok(), file.vectors().is_ok())));
});
