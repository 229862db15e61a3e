//! `tagseg tag`: a page on this machine on which a person gives images their tags.
//!
//! | File | Subject |
//! |---|---|
//! | `tagging` | the images of a folder, their tags, and changes of them, each written at once |
//! | `opinion` | what a network thinks of the images, computed in the background |
//! | `http` | requests and answers |
//! | `server` | the addresses of the page, and who may ask for them |
//! | `page/` | the page itself |

mod http;
mod opinion;
mod server;
mod tagging;

pub use opinion::Opinions;
pub use server::Server;
pub use tagging::{Change, Tagging};
