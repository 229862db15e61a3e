//! Options and values of earlier versions: what they say today, so that the configurations of old runs stay readable.

/// The assignments that say today what `key = value` said; `None` where that is still an option and a value of it.
pub(super) fn replacement(key: &str, value: &toml::Value) -> Option<&'static [&'static str]> {
    match (key, value.as_str()?) {
        ("yc.source", "seeds") => Some(&[]),
        ("yc.source", "masks") => Some(&["method.name=segformer"]),
        ("propagation", "afa") => Some(&["method.name=afa", "propagation=bsp"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// Protects: the configurations of runs before there was a choice of methods.
    #[test]
    fn old_configurations_name_their_method() {
        let method = |text: &str| Config::from_toml(text).unwrap().method_name;
        assert_eq!(method("yc.source = \"seeds\"\npropagation = \"bsp\""), "bmp");
        assert_eq!(method("yc.source = \"masks\"\npropagation = \"par\""), "segformer");
        assert_eq!(method("yc.source = \"seeds\"\npropagation = \"afa\""), "afa");
    }
}
