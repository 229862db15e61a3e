//! A safetensors file: the header in JSON and the tensors after it. The header's length is fixed up, so that mutations
//! reach the contents.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tagseg::formats::tensor_file::TensorFile;
use tagseg::run::weights::to_tagseg;

fuzz_target!(|data: &[u8]| {
    let header = data.iter().rposition(|byte| *byte == b'}').map_or(0, |end| end + 1);
    let file = [&(header as u64).to_le_bytes(), data].concat();
    for bytes in [data, &file] {
        tagseg_fuzz::bounded(bytes, 64, || TensorFile::from_bytes(bytes).and_then(|file| to_tagseg(file.tensors)));
    }
});
