//! The restricted unpickler.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tagseg::formats::pickle;

// A value takes 32 bytes and may stand for one; vectors that grow hold up to three times that for a moment.
fuzz_target!(|data: &[u8]| tagseg_fuzz::bounded(data, 128, || pickle::read(data).is_ok()));
