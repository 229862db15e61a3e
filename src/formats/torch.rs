//! The two containers of `torch.save`: a pickle that describes tensors, and the storages that hold their numbers.
//!
//! | Container | Since | Layout |
//! |---|---|---|
//! | zip archive | 1.6 | `NAME/data.pkl`, and a storage in each `NAME/data/KEY` |
//! | legacy | – | pickles of a magic number, a version, the machine, the object, the storages' keys; then the storages
//! |

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::archive::Archive;
use super::fault::{Checked, Fault, quoted};
use super::pickle::{self, Id, Pickle, Storage, TensorView, Value};
use super::tensor_file::{Budget, Dropped, Format, NamedTensor, TensorFile};

/// The number 0x1950a86a20f9469cfc6c, with which legacy files begin.
const LEGACY_MAGIC: [u8; 10] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];

/// Keys under which training scripts store a state dict.
const WRAPPERS: [&str; 4] = ["state_dict", "model", "model_state", "model_state_dict"];

/// Most axes of a tensor; those of networks have 4.
const MAX_RANK: usize = 8;

/// Reads a zip archive.
///
/// # Errors
/// If it is damaged or contains more than tensors.
pub fn read_zip(bytes: &[u8], budget: &mut Budget) -> Checked<TensorFile> {
    let archive = Archive::open(bytes)?;
    let pickle_name = archive.names().find(|name| name.ends_with("/data.pkl") || *name == "data.pkl");
    let pickle_name = pickle_name.ok_or_else(|| {
        let reason = "is a zip archive without the data.pkl of torch.save".to_owned();
        Fault { reason, remedy: "give the .pth or .pt file itself, not an archive around it" }
    })?;
    let folder = &pickle_name[..pickle_name.len() - "data.pkl".len()];
    let order = format!("{folder}byteorder");
    if archive.names().any(|name| name == order) && archive.read(&order)? == b"big" {
        return Err(big_endian());
    }
    let (pickle, _) = pickle::read(archive.read(pickle_name)?)?;
    let data = |key: &str| archive.read(&format!("{folder}data/{key}"));
    collect(Format::TorchZip, &pickle, data, budget)
}

/// Reads the container from before 1.6.
///
/// # Errors
/// If it is damaged or contains more than tensors.
pub fn read_legacy(bytes: &[u8], budget: &mut Budget) -> Checked<TensorFile> {
    let mut rest = bytes;
    let mut next = || {
        let (pickle, length) = pickle::read(rest)?;
        rest = &rest[length..];
        Ok(pickle)
    };
    if *next()?.root() != Value::Long(&LEGACY_MAGIC) {
        return Err(Fault::foreign("is a pickle, but not one of torch.save"));
    }
    if *next()?.root() != Value::Int(1001) {
        return Err(Fault::damaged("its version is not one of PyTorch's"));
    }
    let machine = next()?;
    if matches!(find(&machine, machine.root(), "little_endian"), Some(Value::Bool(false))) {
        return Err(big_endian());
    }
    let (object, keys) = (next()?, next()?);

    let sizes: HashMap<&str, usize> =
        storages(&object).filter_map(|storage| Some((object.text(storage.key)?, storage.element.size()))).collect();
    let Value::List(keys_in_order) = keys.root() else {
        return Err(Fault::damaged("its list of storages is not a list"));
    };
    let mut data = HashMap::new();
    for key in keys_in_order {
        let key = keys.text(*key).unwrap_or_default();
        let cut = || Fault::damaged(format!("storage {} is truncated or unknown", quoted(key)));
        let size = *sizes.get(key).ok_or_else(cut)?;
        let (length, behind) = rest.split_first_chunk().ok_or_else(cut)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| length.checked_mul(size));
        let (storage, behind) = length.and_then(|length| behind.split_at_checked(length)).ok_or_else(cut)?;
        data.insert(key, storage);
        rest = behind;
    }
    let data = |key: &str| {
        let storage = data.get(key).copied();
        storage.ok_or_else(|| Fault::damaged(format!("storage {} is missing", quoted(key))))
    };
    collect(Format::TorchLegacy, &object, data, budget)
}

fn big_endian() -> Fault {
    let reason = "was written on a big-endian machine".to_owned();
    Fault { reason, remedy: "load it in Python and save it as safetensors" }
}

/// All storages that a pickle refers to.
fn storages<'p>(pickle: &'p Pickle<'_>) -> impl Iterator<Item = &'p Storage> {
    pickle.values().iter().filter_map(|value| match value {
        Value::Storage(storage) => Some(storage),
        _ => None,
    })
}

/// The value of `key` in a dictionary; of several the last, as in Python.
fn find<'p, 'a>(pickle: &'p Pickle<'a>, dict: &Value<'a>, key: &str) -> Option<&'p Value<'a>> {
    let Value::Dict(items) = dict else { return None };
    items.iter().rev().find(|item| pickle.text(item.0) == Some(key)).map(|item| pickle.get(item.1))
}

/// The state dict: the object itself, or its value under one of [`WRAPPERS`].
fn state_dict<'p>(pickle: &'p Pickle<'_>) -> Checked<&'p [(Id, Id)]> {
    let tensors = |value: &'p Value<'_>| match value {
        Value::Dict(items) if items.iter().any(|item| matches!(pickle.get(item.1), Value::Tensor(_))) => {
            Some(items.as_slice())
        }
        _ => None,
    };
    let wrapped = WRAPPERS.iter().filter_map(|key| find(pickle, pickle.root(), key)).find_map(tensors);
    wrapped.or_else(|| tensors(pickle.root())).ok_or_else(|| {
        let mut keys: Vec<_> = match pickle.root() {
            Value::Dict(items) => items.iter().take(6).filter_map(|item| pickle.text(item.0)).map(quoted).collect(),
            _ => Vec::new(),
        };
        if keys.is_empty() {
            keys.push("no keys".into());
        }
        let wanted = WRAPPERS.map(quoted).join(", ");
        Fault::foreign(format!("has no named tensors, at the top level or under {wanted}; it has {}", keys.join(", ")))
    })
}

/// Turns the described tensors into numbers. `data` gives a storage's bytes.
fn collect<'b>(
    format: Format,
    pickle: &Pickle<'_>,
    data: impl Fn(&str) -> Checked<&'b [u8]>,
    budget: &mut Budget,
) -> Checked<TensorFile> {
    let mut file = TensorFile { format, tensors: Vec::new(), dropped: Vec::new(), metadata: BTreeMap::new() };
    let items = state_dict(pickle)?;
    // The last value of a key is used, at its first position, as in Python.
    let values: HashMap<&str, Id> =
        items.iter().filter_map(|(key, value)| Some((pickle.text(*key)?, *value))).collect();
    // Many tensors may share a storage, and reading one computes its checksum.
    let mut storages = HashMap::new();
    let mut data = |key| match storages.get(key).copied() {
        Some(bytes) => Ok(bytes),
        None => data(key).inspect(|bytes| _ = storages.insert(key, *bytes)),
    };
    let mut seen = HashSet::new();
    let names = items.iter().filter_map(|item| pickle.text(item.0)).filter(|name| seen.insert(*name));
    for name in names {
        match values.get(name).map(|value| pickle.get(*value)) {
            Some(Value::Tensor(view)) => {
                let tensor = resolve(pickle, view, &mut data, budget).map_err(|mut fault| {
                    fault.reason = format!("tensor {}: {}", quoted(name), fault.reason);
                    fault
                })?;
                file.tensors.push(NamedTensor { name: name.to_owned(), ..tensor });
            }
            _ => file.dropped.push(Dropped { name: name.to_owned(), reason: "is not a tensor".into() }),
        }
    }
    Ok(file)
}

/// The numbers of one view, without its name.
fn resolve<'a, 'b>(
    pickle: &Pickle<'a>,
    view: &TensorView,
    data: impl FnOnce(&'a str) -> Checked<&'b [u8]>,
    budget: &mut Budget,
) -> Checked<NamedTensor> {
    let Value::Storage(storage) = pickle.get(view.storage) else {
        return Err(Fault::damaged("it is not a view of a storage"));
    };
    let (shape, strides) = (extents(pickle, view.shape)?, extents(pickle, view.strides)?);
    let element = storage.element;
    let outside = || Fault::damaged("it reaches beyond its storage");
    let place = |index: u64| usize::try_from(index).ok().and_then(|index| index.checked_mul(element.size()));

    let bytes = data(pickle.text(storage.key).unwrap_or_default())?;
    let end = storage.first.checked_add(storage.length).and_then(place);
    let bytes = place(storage.first).zip(end).and_then(|(start, end)| bytes.get(start..end)).ok_or_else(outside)?;
    let bytes = place(view.offset).and_then(|start| bytes.get(start..)).ok_or_else(outside)?;

    let grid = Strided::new(&shape, &strides, bytes.len() / element.size()).ok_or_else(outside)?;
    budget.spend(grid.count, element)?;
    let values = element.decode(&grid.gather(bytes, element.size()));
    Ok(NamedTensor { name: String::new(), shape, element, values })
}

/// The members of a tuple of extents or strides.
fn extents(pickle: &Pickle<'_>, tuple: Id) -> Checked<Vec<usize>> {
    let members = pickle.members(tuple).filter(|members| members.len() <= MAX_RANK);
    let numbers = members.and_then(|members| {
        members.iter().map(|member| usize::try_from(pickle.count(*member)?).ok()).collect::<Option<Vec<_>>>()
    });
    numbers.ok_or_else(|| Fault::damaged("its shape or strides are not a short list of numbers"))
}

/// Elements of a strided view, known to lie within the storage.
struct Strided<'s> {
    shape: &'s [usize],
    strides: &'s [usize],
    count: usize,
}

impl<'s> Strided<'s> {
    /// None if an element lies beyond `available`, or shape and strides differ in length.
    fn new(shape: &'s [usize], strides: &'s [usize], available: usize) -> Option<Self> {
        if shape.len() != strides.len() {
            return None;
        }
        if shape.contains(&0) {
            return Some(Strided { shape, strides, count: 0 });
        }
        let count = shape.iter().try_fold(1_usize, |count, extent| count.checked_mul(*extent))?;
        let steps = shape.iter().zip(strides).map(|(extent, stride)| (extent - 1).checked_mul(*stride));
        let last = steps.into_iter().try_fold(0_usize, |last, step| last.checked_add(step?))?;
        (last < available).then_some(Strided { shape, strides, count })
    }

    /// Whether the elements follow each other without gaps.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(self.strides).rev().all(|(extent, stride)| {
            let fits = *extent == 1 || *stride == expected;
            expected *= extent;
            fits
        })
    }

    /// The elements in row-major order, `size` bytes each.
    fn gather<'b>(&self, bytes: &'b [u8], size: usize) -> Cow<'b, [u8]> {
        if self.count == 0 {
            return Cow::Borrowed(&[]);
        }
        if self.is_contiguous() {
            return Cow::Borrowed(&bytes[..self.count * size]);
        }
        let mut gathered = Vec::with_capacity(self.count * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..self.count {
            gathered.extend_from_slice(&bytes[at * size..][..size]);
            // Like an odometer: the last axis is incremented first, and full axes start over.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= index[axis] * self.strides[axis];
                index[axis] = 0;
            }
        }
        Cow::Owned(gathered)
    }
}
