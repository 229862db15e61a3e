//! NumPy's files, written by NumPy itself (`tests/fixtures/data/make_fixtures.py`).

use std::path::Path;

use tagseg::formats::npy::Npy;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/npy").join(name)).unwrap()
}

/// Protects matrices of every element type, in both orders.
#[test]
fn matrices_are_read_row_by_row() {
    for name in ["matrix_f4", "matrix_f8", "matrix_u1", "matrix_b1", "matrix_i8", "fortran"] {
        let bytes = fixture(&format!("{name}.npy"));
        let file = Npy::parse(&bytes).unwrap();
        assert_eq!(file.shape, [2, 3]);
        assert_eq!(file.matrix().unwrap(), (3, vec![1.0, 0.0, 0.0, 0.0, 1.0, 1.0]), "{name}");
    }
}

/// Protects pickled dictionaries, with bytes in the forms of old and new protocols.
#[test]
fn dictionaries_of_vectors_are_read() {
    for name in ["vectors_2.npy", "vectors_4.npy"] {
        let bytes = fixture(name);
        let vectors = Npy::parse(&bytes).unwrap().vectors().unwrap();
        assert_eq!(vectors.len(), 2);
        assert_eq!((&vectors["a"][..], &vectors["b"][..]), (&[1.0, 0.0, 0.0][..], &[0.0, 1.0, 1.0][..]), "{name}");
    }
}

/// Protects: other files are refused with the reason, and nothing in a pickle is called.
#[test]
fn other_files_are_refused() {
    for (name, part) in [("big_endian.npy", "`>f4`"), ("cube.npy", "3 axes")] {
        let bytes = fixture(name);
        let reason = Npy::parse(&bytes).unwrap().matrix().unwrap_err().reason;
        assert!(reason.contains(part), "{name}: {reason}");
    }
    for (name, part) in [
        ("matrix_f4.npy", "not contain a dictionary"),
        ("list.npy", "not contain a dictionary"),
        ("ragged.npy", "differ in length"),
        ("malicious.npy", "`posix.system`"),
    ] {
        let bytes = fixture(name);
        let fault = Npy::parse(&bytes).unwrap().vectors().unwrap_err();
        assert!(fault.reason.contains(part), "{name}: {}", fault.reason);
    }
    assert!(Npy::parse(b"PK\x03\x04").unwrap_err().reason.contains("not a file of numpy.save"));
}

/// Protects: a file that is truncated anywhere is refused, and never misread.
#[test]
fn truncated_files_are_refused() {
    for name in ["matrix_f4.npy", "vectors_2.npy", "vectors_4.npy"] {
        let bytes = fixture(name);
        for length in 0..bytes.len() {
            let cut = Npy::parse(&bytes[..length]);
            assert!(
                cut.is_err() || cut.is_ok_and(|file| file.matrix().is_err() && file.vectors().is_err()),
                "{name} {length}"
            );
        }
    }
}
