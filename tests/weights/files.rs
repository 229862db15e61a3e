//! Every container, element type and kind of view is read with the same values as by PyTorch.

use tagseg::formats::element::{Element, Values};
use tagseg::formats::tensor_file::{Format, TensorFile};

use super::{bits, fixture, read};

/// Protects: strides, offsets, shared storages, scalars and empty tensors, in both containers and all protocols.
#[test]
fn views_equal_those_of_pytorch() {
    let expected = bits(&read("views_expected.safetensors").tensors);
    for (name, format) in [
        ("views.pth", Format::TorchZip),
        ("views_legacy.pth", Format::TorchLegacy),
        ("protocol_1.pth", Format::TorchZip),
        ("protocol_3.pth", Format::TorchZip),
        ("protocol_4.pth", Format::TorchZip),
        ("protocol_5.pth", Format::TorchZip),
    ] {
        let file = read(name);
        assert_eq!((file.format, bits(&file.tensors)), (format, expected.clone()), "{name}");
    }
}

/// Protects: the conversion of every element type, rounding of f64 included.
#[test]
fn every_element_type_becomes_f32_or_i64() {
    let expected = bits(&read("kinds_expected.safetensors").tensors);
    for name in ["kinds.pth", "kinds.safetensors"] {
        let mut tensors = read(name).tensors;
        let reals = tensors.extract_if(.., |tensor| matches!(tensor.values, Values::Reals(_))).collect::<Vec<_>>();
        assert_eq!(bits(&reals), expected, "{name}");
        for tensor in &reals {
            assert_eq!(tensor.element.name(), tensor.name, "{name}");
        }
        assert_eq!(tensors.len(), 6, "{name}");
        for tensor in tensors {
            let last = if tensor.element == Element::Bool { 1 } else { 100 };
            assert_eq!(tensor.values, Values::Integers(vec![0, 1, last]), "{name} {}", tensor.name);
        }
    }
}

/// Protects: no name in a pickle is ever resolved, and the error contains the name.
#[test]
fn other_objects_are_refused_by_name() {
    for (name, culprit) in [
        ("malicious.pth", "`posix.system`"),
        ("malicious_legacy.pth", "`posix.system`"),
        ("whole_module.pth", "`torch.nn.modules.linear.Linear`"),
    ] {
        let error = TensorFile::read(&fixture(name)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(culprit) && error.contains("nothing was executed"), "{error}");
        assert!(!error.contains('\n') && error.contains("state_dict"), "{error}");
    }
}

/// Protects: a truncated download is detected, wherever it ends.
#[test]
fn truncated_files_are_refused() {
    for name in ["views.pth", "views_legacy.pth", "kinds.pth", "kinds.safetensors", "malicious_legacy.pth"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        for length in 0..bytes.len() {
            assert!(
                TensorFile::from_bytes(&bytes[..length]).is_err(),
                "{name} truncated to {length} of {}",
                bytes.len()
            );
        }
    }
    let error = TensorFile::from_bytes(b"<html>not found</html>").unwrap_err();
    assert!(error.reason.contains("neither a safetensors file nor one of torch.save"));
}
