//! The event files of TensorBoard: records of TensorFlow, each an `Event` in protobuf.
//!
//! A record is the length of its data (u64), a checksum of the length, the data, and a checksum of the data, all little
//! endian. A checksum is a CRC-32C, rotated and offset, since checksums of data that contain checksums are weak.

use prost::Message;

/// An event: the first one of a file names its version, the others hold values of a step.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// The step.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// [`VERSION`], in the first event.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    /// The values.
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
    /// A start of the program.
    #[prost(message, optional, tag = "7")]
    pub session_log: Option<SessionLog>,
}

/// The values of an event.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A value: a number or a picture.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// Its name; parts are separated by `/`.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// A number.
    #[prost(float, optional, tag = "2")]
    pub number: Option<f32>,
    /// A picture.
    #[prost(message, optional, tag = "4")]
    pub picture: Option<Picture>,
}

/// A picture.
#[derive(Clone, PartialEq, Message)]
pub struct Picture {
    /// Rows.
    #[prost(int32, tag = "1")]
    pub height: i32,
    /// Columns.
    #[prost(int32, tag = "2")]
    pub width: i32,
    /// Channels: 3 for red, green and blue.
    #[prost(int32, tag = "3")]
    pub channels: i32,
    /// The PNG file.
    #[prost(bytes = "vec", tag = "4")]
    pub png: Vec<u8>,
}

/// What the program does.
#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    /// [`SessionLog::START`], which makes a reader forget all values of this step and of later ones.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

impl SessionLog {
    /// The program starts.
    pub const START: i32 = 1;
}

/// The version of the files.
pub const VERSION: &str = "brain.Event:2";

/// An event as a record.
pub fn record_of(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), &data, &checksum(&data)].concat()
}

/// The events of a file, up to the first damaged record: one that was being written when the program was killed.
pub fn events_of(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((event, rest)) = first_of(bytes) {
        events.push(event);
        bytes = rest;
    }
    events
}

fn first_of(bytes: &[u8]) -> Option<(Event, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let (data, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (data_check, rest) = rest.split_first_chunk::<4>()?;
    let sound = checksum(length) == *check && checksum(data) == *data_check;
    Some((Event::decode(data).ok().filter(|_| sound)?, rest))
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: records survive, and a file that ends early or is damaged gives the events before.
    #[test]
    fn damaged_records_are_not_read() {
        let value = Value { tag: "loss/total".into(), number: Some(0.5), picture: None };
        let event = |step| Event { step, summary: Some(Summary { values: vec![value.clone()] }), ..Event::default() };
        let events: Vec<_> = (0..3).map(event).collect();
        let records: Vec<_> = events.iter().map(record_of).collect();
        let bytes = records.concat();
        assert_eq!(events_of(&bytes), events);
        assert_eq!(events_of(&bytes[..bytes.len() - 1]), events[..2]);
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 4;
            // Protobuf leaves out the step 0: the first record is shorter.
            let whole = (1..3).take_while(|count| records[..*count].concat().len() <= place).count();
            assert_eq!(events_of(&damaged), events[..whole], "byte {place}");
        }
    }
}
