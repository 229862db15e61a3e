//! The stack machine that executes a pickle; see the parent module for what it refuses.

use std::collections::HashMap;

use super::reader::Reader;
use super::value::{Array, Dtype, Id, Marker, Pickle, Storage, TensorView, Value};
use crate::formats::fault::{Checked, Fault, quoted};

/// Limit of values, stack entries, marks and memo entries for any pickle. A state dict has about ten values per tensor;
/// this keeps a file of a million one-byte opcodes from filling the memory.
const LIMIT: usize = 1 << 20;

/// A longer pickle may have one per so many bytes: tags of 120 000 images take 33 bytes per value.
const BYTES_A_VALUE: usize = 16;

/// Runs the pickle at the start of `bytes`; returns its values and its length.
///
/// # Errors
/// If the pickle is damaged, or names or builds something that state dicts and arrays do not need.
pub fn read(bytes: &[u8]) -> Checked<(Pickle<'_>, usize)> {
    let mut machine = Machine {
        reader: Reader::new(bytes),
        pickle: Pickle::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        copied: 0,
        limit: LIMIT.max(bytes.len() / BYTES_A_VALUE),
    };
    while machine.step()? {}
    machine.pickle.root = machine.pop()?;
    Ok((machine.pickle, machine.reader.position()))
}

/// The machine's state.
struct Machine<'a> {
    reader: Reader<'a>,
    pickle: Pickle<'a>,
    stack: Vec<Id>,
    /// Heights of the stack at which a tuple, list or dictionary was begun.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Pairs copied from lists so far, since one list may be turned into many dictionaries.
    copied: usize,
    /// The limit of each of these.
    limit: usize,
}

impl<'a> Machine<'a> {
    /// Executes one opcode; false at the end of the pickle.
    fn step(&mut self) -> Checked<bool> {
        let opcode = self.reader.byte()?;
        match opcode {
            // Frame: PROTO, FRAME, STOP. Frames only tell how much to read at once.
            0x80 => _ = self.reader.byte()?,
            0x95 => _ = self.reader.number(8)?,
            b'.' => return Ok(false),

            // Plain values.
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let value = i32::from_le_bytes(self.reader.array()?);
                self.push(Value::Int(value.into()))?;
            }
            b'K' => self.push_number(1)?,
            b'M' => self.push_number(2)?,
            b'I' => self.text_integer()?,
            b'L' => self.text_long()?,
            0x8A => self.long(1)?,
            0x8B => self.long(4)?,
            b'G' => {
                let value = f64::from_be_bytes(self.reader.array()?);
                self.push(Value::Float(value))?;
            }
            b'U' | 0x8C => self.push_text(1)?,
            b'T' | b'X' => self.push_text(4)?,
            0x8D => self.push_text(8)?,
            b'C' => self.push_bytes(1)?,
            b'B' => self.push_bytes(4)?,
            0x8E | 0x96 => self.push_bytes(8)?,

            // Tuples, lists, dictionaries.
            b'(' => {
                self.room(self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let members = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(members))?;
            }
            b't' => {
                let members = self.pop_to_mark()?;
                self.push(Value::Tuple(members))?;
            }
            b']' => self.push(Value::List(Vec::new()))?,
            b'l' => {
                let members = self.pop_to_mark()?;
                self.push(Value::List(members))?;
            }
            b'a' => {
                let members = self.pop_many(1)?;
                self.append(members)?;
            }
            b'e' => {
                let members = self.pop_to_mark()?;
                self.append(members)?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.insert(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.insert(items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(items)?;
            }

            // Stack and memo.
            b'0' => _ = self.pop()?,
            b'1' => _ = self.pop_to_mark()?,
            b'2' => {
                let top = self.top()?;
                self.push_id(top)?;
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'q' => self.memoize(Some(1))?,
            b'r' => self.memoize(Some(4))?,
            0x94 => self.memoize(None)?,

            // Names and what they build.
            b'c' => {
                let (module, name) = (self.reader.line()?, self.reader.line()?);
                self.name(module, name)?;
            }
            0x93 => {
                let parts = self.pop_many(2)?;
                let text =
                    |part: Id| self.pickle.text(part).ok_or_else(|| self.reader.damaged("a name is not a string"));
                let (module, name) = (text(parts[0])?, text(parts[1])?);
                self.name(module, name)?;
            }
            b'R' => self.rebuild()?,
            b'b' => self.set_attributes()?,
            b'Q' => self.storage()?,

            // Opcodes that torch.save never writes for tensors.
            b'P' | b'S' | b'V' | b'F' | b'g' | b'p' => return Err(Fault::foreign("is a text pickle of protocol 0")),
            b'i' | b'o' | 0x81 | 0x92 => return Err(Fault::foreign("the pickle creates an object of a class")),
            0x8F..=0x91 => return Err(Fault::foreign("the pickle contains a set")),
            0x82..=0x84 => return Err(Fault::foreign("the pickle uses Python's registry of extensions")),
            0x97 | 0x98 => return Err(Fault::foreign("the pickle refers to data outside itself")),
            _ => return Err(self.reader.damaged(&format!("{opcode:#04x} is not an opcode"))),
        }
        Ok(true)
    }

    /// Refuses to exceed the limit.
    fn room(&self, length: usize) -> Checked<()> {
        if length < self.limit { Ok(()) } else { Err(Fault::foreign("the pickle has too many values")) }
    }

    /// Adds a value and puts it on the stack.
    fn push(&mut self, value: Value<'a>) -> Checked<()> {
        self.room(self.pickle.values.len())?;
        let id = self.pickle.values.len() as Id;
        self.pickle.values.push(value);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Checked<()> {
        self.room(self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    fn push_number(&mut self, width: u64) -> Checked<()> {
        let value = self.reader.number(width)?;
        self.push(Value::Int(value as i64))
    }

    fn push_text(&mut self, width: u64) -> Checked<()> {
        let text = self.reader.text(width)?;
        self.push(Value::Str(text))
    }

    fn push_bytes(&mut self, width: u64) -> Checked<()> {
        let bytes = self.reader.block(width)?;
        self.push(Value::Bytes(bytes))
    }

    /// INT: `I01` and `I00` are booleans.
    fn text_integer(&mut self) -> Checked<()> {
        let value = match self.reader.line()? {
            "01" => Value::Bool(true),
            "00" => Value::Bool(false),
            digits => Value::Int(digits.parse().map_err(|_| self.reader.damaged("a number has no digits"))?),
        };
        self.push(value)
    }

    /// LONG: digits and an `L`.
    fn text_long(&mut self) -> Checked<()> {
        let digits = self.reader.line()?.trim_end_matches('L');
        let value = digits.parse().map_err(|_| self.reader.damaged("a number has no digits, or too many"))?;
        self.push(Value::Int(value))
    }

    /// LONG1 and LONG4: two's complement of any length.
    fn long(&mut self, width: u64) -> Checked<()> {
        let bytes = self.reader.block(width)?;
        if bytes.len() > 8 {
            return self.push(Value::Long(bytes));
        }
        let sign = if bytes.last().is_some_and(|byte| *byte >= 0x80) { 0xFF } else { 0 };
        let mut word = [sign; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(word)))
    }

    /// The lowest index of the stack that may be accessed: that of the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Checked<Id> {
        let above = self.stack.get(self.floor()..).and_then(|above| above.last());
        above.copied().ok_or_else(|| self.reader.damaged("the stack is empty"))
    }

    fn pop(&mut self) -> Checked<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Checked<Vec<Id>> {
        match self.stack.len().checked_sub(count) {
            // Not `split_off`: at 0 it hands the stack's whole capacity to a small tuple.
            Some(start) if start >= self.floor() => Ok(self.stack.drain(start..).collect()),
            _ => Err(self.reader.damaged("the stack is empty")),
        }
    }

    fn pop_to_mark(&mut self) -> Checked<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.reader.damaged("a tuple, list or dictionary has no start"))?;
        Ok(self.stack.drain(mark..).collect())
    }

    /// Adds to the list on top.
    fn append(&mut self, members: Vec<Id>) -> Checked<()> {
        let list = self.top()?;
        match self.pickle.values.get_mut(list as usize) {
            Some(Value::List(list)) => list.extend(members),
            _ => return Err(self.reader.damaged("an element is added to something that is not a list")),
        }
        Ok(())
    }

    /// Adds alternating keys and values to the dictionary on top.
    fn insert(&mut self, items: Vec<Id>) -> Checked<()> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match self.pickle.values.get_mut(dict as usize) {
            Some(Value::Dict(dict)) if rest.is_empty() => dict.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(self.reader.damaged("an entry is added to something that is not a dictionary")),
        }
        Ok(())
    }

    fn recall(&mut self, width: u64) -> Checked<()> {
        let key = self.reader.number(width)?;
        let id = self.memo.get(&key).copied();
        self.push_id(id.ok_or_else(|| self.reader.damaged("it refers to a value that was never stored"))?)
    }

    /// Stores the value on top under the number that follows, or under the next free one.
    fn memoize(&mut self, width: Option<u64>) -> Checked<()> {
        self.room(self.memo.len())?;
        let key = match width {
            Some(width) => self.reader.number(width)?,
            None => self.memo.len() as u64,
        };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    /// GLOBAL: a known marker, else an error.
    fn name(&mut self, module: &str, name: &str) -> Checked<()> {
        match Marker::of(module, name) {
            Some(marker) => self.push(Value::Marker(marker)),
            None => {
                let name = quoted(&format!("{module}.{name}"));
                Err(Fault::foreign(format!("the pickle names {name}, which no tensor needs; nothing was executed")))
            }
        }
    }

    /// REDUCE: builds the known object that Python would create by a call with the tuple on top.
    fn rebuild(&mut self) -> Checked<()> {
        let [marker, arguments] = self.pop_many(2)?[..] else { return Err(self.reader.damaged("the stack is empty")) };
        let Value::Marker(marker) = *self.pickle.get(marker) else {
            return Err(Fault::foreign("the pickle calls something that is not a name"));
        };
        let arguments =
            self.pickle.members(arguments).ok_or_else(|| self.reader.damaged("arguments are not a tuple"))?;
        match (marker, arguments) {
            (Marker::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Marker::OrderedDict, [pairs]) => {
                let pairs = self.pickle.members(*pairs).unwrap_or_default();
                self.copied = self.copied.saturating_add(pairs.len());
                if self.copied > self.reader.length() {
                    return Err(Fault::foreign("the pickle makes many dictionaries from one list"));
                }
                let pairs = pairs.iter().map(|pair| match self.pickle.members(*pair) {
                    Some([key, value]) => Ok((*key, *value)),
                    _ => Err(self.reader.damaged("an OrderedDict is not made of pairs")),
                });
                let pairs = pairs.collect::<Checked<_>>()?;
                self.push(Value::Dict(pairs))
            }
            (Marker::Size, [extents]) => self.push_id(*extents),
            (Marker::RebuildParameter, [tensor, ..]) => self.push_id(*tensor),
            (Marker::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                let (storage, shape, strides) = (*storage, *shape, *strides);
                let offset =
                    self.pickle.count(*offset).ok_or_else(|| self.reader.damaged("an offset is not a number"))?;
                self.push(Value::Tensor(TensorView { storage, offset, shape, strides }))
            }
            (Marker::LatinBytes, [text, encoding]) if self.pickle.text(*encoding) == Some("latin1") => {
                let text =
                    self.pickle.text(*text).ok_or_else(|| self.reader.damaged("bytes are not given as a string"))?;
                self.push(Value::LatinBytes(text))
            }
            (Marker::NewArray, [class, ..]) if *self.pickle.get(*class) == Value::Marker(Marker::ArrayClass) => {
                self.push(Value::Array(Array::default()))
            }
            (Marker::Dtype, [code, ..]) => {
                let code = self.pickle.text(*code).ok_or_else(|| self.reader.damaged("a dtype has no name"))?;
                self.push(Value::Dtype(Dtype { code, order: '|' }))
            }
            (marker, _) => Err(self.reader.damaged(&format!("{marker:?} has invalid arguments"))),
        }
    }

    /// BUILD: sets the content of NumPy's arrays and dtypes. An `OrderedDict` of weights has `_metadata`, which is
    /// ignored.
    fn set_attributes(&mut self) -> Checked<()> {
        let state = self.pop()?;
        let object = self.top()?;
        let members = self.pickle.members(state).unwrap_or_default();
        let built = match self.pickle.get(object) {
            Value::Dict(_) => return Ok(()),
            Value::Dtype(dtype) => dtype.with_state(&self.pickle, members).map(Value::Dtype),
            Value::Array(_) => Array::of_state(&self.pickle, members).map(Value::Array),
            _ => return Err(Fault::foreign("the pickle sets attributes of an object")),
        };
        let built = built.ok_or_else(|| self.reader.damaged("the state of an array is not one of NumPy's"))?;
        if let Some(place) = self.pickle.values.get_mut(object as usize) {
            *place = built;
        }
        Ok(())
    }

    /// BINPERSID: `('storage', type, key, device, length)`, in legacy files also `(view key, first, length)` or None.
    fn storage(&mut self) -> Checked<()> {
        let members = self.pop()?;
        let members = self.pickle.members(members).unwrap_or_default();
        let read = || match *members {
            [kind, marker, key, _device, length, ref view @ ..] if self.pickle.text(kind)? == "storage" => {
                let Value::Marker(Marker::Storage(element)) = *self.pickle.get(marker) else { return None };
                self.pickle.text(key)?;
                let (first, length) = match view.first().map(|view| self.pickle.get(*view)) {
                    None | Some(Value::None) => (0, self.pickle.count(length)?),
                    Some(Value::Tuple(view)) => (self.pickle.count(*view.get(1)?)?, self.pickle.count(*view.get(2)?)?),
                    _ => return None,
                };
                Some(Storage { key, element, first, length })
            }
            _ => None,
        };
        let storage =
            read().ok_or_else(|| Fault::foreign("the pickle refers to data that is not a storage of numbers"))?;
        self.push(Value::Storage(storage))
    }
}
