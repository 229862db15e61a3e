//! Encoders: an image in, features of four levels out.

pub mod mit;
