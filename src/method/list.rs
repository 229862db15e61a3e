//! The methods that a configuration can name: the built-in ones, and those that a caller adds.

use std::sync::Arc;

use super::afa::Afa;
use super::bmp::Bmp;
use super::definition::Method;
use super::segformer::Segformer;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::parts::encoders;

/// Methods by name. The default lists those of this crate. A run with your own method needs it for training, resuming
/// and evaluation.
#[derive(Clone, Debug)]
pub struct Methods(Vec<Arc<dyn Method>>);

impl Default for Methods {
    fn default() -> Self {
        Methods(vec![Arc::new(Bmp), Arc::new(Afa), Arc::new(Segformer)])
    }
}

impl Methods {
    /// Adds a method, which replaces one of the same name.
    pub fn with(mut self, method: impl Method + 'static) -> Self {
        self.0.retain(|known| known.name() != method.name());
        self.0.push(Arc::new(method));
        self
    }

    /// The method that a configuration names.
    ///
    /// # Errors
    /// [`Error::Config`] with all names if it is unknown.
    pub fn of(&self, config: &Config) -> Result<Arc<dyn Method>> {
        let name = &config.method_name;
        self.0.iter().find(|method| method.name() == name).cloned().ok_or_else(|| {
            let names: Vec<_> = self.0.iter().map(|method| method.name()).collect();
            let remedy = format!("choose one of {}, or pass your own method in `Methods`", names.join(", "));
            Error::config("method.name", format!("unknown method `{name}`"), remedy)
        })
    }

    /// Checks a configuration as a whole: the combination of its options, its encoder and its method.
    ///
    /// # Errors
    /// [`Error::Config`] for the first invalid option.
    pub fn check(&self, config: &Config) -> Result<()> {
        config.validate()?;
        let (method, encoder) = (self.of(config)?, encoders::find(config)?);
        encoders::check(config, &*encoder)?;
        method.check(config, &*encoder)
    }
}
