//! Malicious or damaged files: no panic, and no memory beyond a small multiple of their size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagseg::formats::archive::Archive;
use tagseg::formats::fault::Fault;
use tagseg::formats::pickle;
use tagseg::formats::tensor_file::TensorFile;
use tagseg::run::weights::to_tagseg;

use super::fixture;

/// The system's allocator, which also counts the bytes allocated by the current thread.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let held = HELD.get() + change;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` had allocated at once.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as usize)
}

/// A change as by a disk, a network or an attacker.
fn mutate(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..=4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.random_range(0..bytes.len());
        let length = random.random_range(1..=16).min(bytes.len() - at);
        match random.random_range(0..6) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            // The values at which lengths and offsets overflow.
            2 => bytes[at..at + length].fill([0, 0x7F, 0x80, 0xFF][random.random_range(0..4)]),
            3 => bytes.truncate(at),
            4 => _ = bytes.drain(at..at + length),
            _ => {
                let from = random.random_range(0..bytes.len());
                let copied = bytes[from..bytes.len().min(from + 64)].to_vec();
                bytes.splice(at..at, copied);
            }
        }
    }
}

/// Protects: 20 000 damaged files, and as many damaged pickles, which a checksum would otherwise shield.
#[test]
fn damaged_files_never_panic_nor_fill_the_memory() {
    let names = [
        "views.pth",
        "views_legacy.pth",
        "protocol_1.pth",
        "protocol_5.pth",
        "kinds.pth",
        "kinds.safetensors",
        "malicious_legacy.pth",
        "mit_legacy.pth",
        "hf_imagenet.safetensors",
        "bmp.pth",
    ];
    let files = names.map(|name| std::fs::read(fixture(name)).unwrap());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut read, mut worst) = (0, 0.0_f64);
    for round in 0..20_000 {
        // Large files are tested less often.
        let file = &files[if round % 10 == 0 { random.random_range(7..10) } else { random.random_range(0..7) }];
        let mut bytes = file.clone();
        mutate(&mut bytes, &mut random);
        let (result, held) = peak(|| TensorFile::from_bytes(&bytes).and_then(|file| to_tagseg(file.tensors)));
        read += usize::from(result.is_ok());
        worst = worst.max(held as f64 / (bytes.len() as f64 + 4096.0));

        if let Ok(archive) = Archive::open(file) {
            let name = archive.names().find(|name| name.ends_with("data.pkl")).unwrap();
            let mut bytes = archive.read(name).unwrap().to_vec();
            mutate(&mut bytes, &mut random);
            let (_, held) = peak(|| pickle::read(&bytes).is_ok());
            worst = worst.max(held as f64 / (bytes.len() as f64 + 4096.0));
        }
    }
    println!("{read} of 20000 still valid, at most {worst:.1} times the size");
    assert!(read > 1000, "{read} files were still valid; the changes are too coarse to reach deep code");
    assert!(worst < 32.0, "{worst} times the file's size");
}

/// A legacy container around the pickle of an object, with one storage of `floats`.
fn legacy(object: &[u8], floats: usize) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let head = [magic.as_slice(), b"\x80\x02M\xe9\x03.", b"\x80\x02}."].concat();
    let tail = [b"\x80\x02]U\x010a.".as_slice(), &(floats as u64).to_le_bytes(), &vec![0; 4 * floats]].concat();
    [&head, object, &tail].concat()
}

/// A state dict of `count` tensors, each all `floats` of storage 0, with the given tuples as shape and strides.
fn state_dict(count: usize, floats: u32, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let storage = [b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ", &floats.to_le_bytes()[..], b"tQ"].concat();
    let tensor = [b"ctorch._utils\n_rebuild_tensor_v2\n(", &storage[..], b"K\x00", shape, strides, b"\x89}tR"].concat();
    let items = (0..count as u32).map(|name| [b"X\x04\0\0\0", format!("{name:04}").as_bytes(), &tensor].concat());
    [b"\x80\x02}(".as_slice(), &items.collect::<Vec<_>>().concat(), b"u."].concat()
}

fn refused(bytes: &[u8], limit: usize) -> Fault {
    let (result, held) = peak(|| TensorFile::from_bytes(bytes));
    assert!(held <= limit, "{held} bytes for a file of {}", bytes.len());
    result.err().unwrap()
}

/// Protects: the ways to ask for much memory with few bytes.
#[test]
fn small_files_cannot_ask_for_much_memory() {
    // The same tensor as written by PyTorch is accepted.
    let sound = legacy(&state_dict(1, 6, b"K\x02K\x03\x86", b"K\x03K\x01\x86"), 6);
    assert_eq!(TensorFile::from_bytes(&sound).unwrap().tensors[0].shape, [2, 3]);

    // 2³⁰ × 2³⁰ elements, all the same one; then so many that their number overflows.
    for axis in [b"J\0\0\0\x40".as_slice(), b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"] {
        let shape = [axis, axis, b"\x86"].concat();
        let fault = refused(&legacy(&state_dict(1, 1, &shape, b"K\0K\0\x86"), 1), 20_000);
        assert!(fault.reason.contains("share data") || fault.reason.contains("beyond its storage"), "{fault:?}");
    }
    // 1000 tensors, each all of the file's data.
    let many = legacy(&state_dict(1000, 20_000, b"J\x20\x4e\0\0\x85", b"K\x01\x85"), 20_000);
    assert!(refused(&many, 16 * many.len()).reason.contains("share data"));
    // Storages and views that end beyond the data.
    assert!(refused(&legacy(&state_dict(1, 7, b"K\x06\x85", b"K\x01\x85"), 6), 20_000).reason.contains("beyond"));
    assert!(refused(&legacy(&state_dict(1, 6, b"K\x04\x85", b"K\x02\x85"), 6), 20_000).reason.contains("beyond"));
}

/// Protects: neither nesting nor a large number of values exhausts the stack or the memory.
#[test]
fn pickles_of_a_million_opcodes_are_harmless() {
    let million = 1 << 20;
    // Lists in lists, and a list that contains itself.
    let nested = [vec![b']'; million / 2], vec![b'a'; million / 2 - 1], vec![b'.']].concat();
    let (result, _) = peak(|| pickle::read(&nested).map(|(pickle, _)| pickle.values().len()));
    assert_eq!(result, Ok(million / 2));
    assert!(pickle::read(b"]q\0h\0a.").is_ok());

    for opcodes in [&b"]"[..], b")", b"N", b"(", b"N2", b"N\x94", b"}\x94h\0"] {
        let bytes = opcodes.repeat(4 * million / opcodes.len());
        let (result, held) = peak(|| pickle::read(&bytes).err());
        let reason = result.unwrap().reason;
        assert!(reason.contains("too many values"), "{opcodes:?}: {reason}");
        assert!(held < 128 << 20, "{opcodes:?}: {held} bytes");
    }
}
