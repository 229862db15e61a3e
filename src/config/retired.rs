//! Options and values of earlier versions and their current equivalents, so that configurations of old runs stay
//! readable.

/// The current equivalents of `key = value`; `None` if that is still a valid option and value.
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
