//! The outline of an object in MS-COCO's annotations.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tagseg::formats::coco_outline::Shape;

fuzz_target!(|data: &[u8]| {
    // The pixels of the image bound the additional memory of an outline.
    tagseg_fuzz::bounded(data, 4096, || {
        let shape: Shape = serde_json::from_slice(data).ok()?;
        shape.spans(60, 50).ok().inspect(|spans| assert!(spans.iter().all(|[start, end]| start < end && *end <= 3000)))
    });
});
