//! The restricted unpickler.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tagseg::formats::pickle;

// A value takes 32 bytes of memory for one byte of input; growing vectors temporarily take up to three times that.
fuzz_target!(|data: &[u8]| tagseg_fuzz::bounded(data, 128, || pickle::read(data).is_ok()));
