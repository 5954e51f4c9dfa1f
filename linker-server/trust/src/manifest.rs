//! What a signature says of its image besides that it is genuine: the trusted comment.

use crate::NAME_MAX;

/// The manifest of an image: fields `key:value`, separated by tabs, of which two are ours and others may stand between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// `name:`, the module's; at most [`NAME_MAX`] bytes.
    pub name: &'a str,
    /// `version:`, the module's, in decimal.
    pub version: u32,
}

impl<'a> Manifest<'a> {
    /// Reads a trusted comment; none where one of the two fields is missing, is there twice or makes no sense.
    #[must_use]
    pub fn parse(comment: &'a str) -> Option<Self> {
        let (mut name, mut version) = (None, None);
        for field in comment.split('\t') {
            let Some((key, value)) = field.split_once(':') else { continue };
            match key {
                "name" if name.replace(value).is_some() => return None,
                "version" if version.replace(value).is_some() => return None,
                _ => {}
            }
        }
        let name = name.filter(|name| !name.is_empty() && name.len() <= NAME_MAX)?;
        let version = version.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(Self { name, version: version.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    #[test]
    fn name_and_version_are_found_among_other_fields() {
        let expected = Some(Manifest { name: "hello", version: 7 });
        for comment in ["name:hello\tversion:7", "timestamp:1\tversion:7\tfile:a:b\tname:hello\thashed"] {
            assert_eq!(Manifest::parse(comment), expected);
        }
    }

    #[test]
    fn what_is_missing_doubled_or_senseless_is_no_manifest() {
        for comment in [
            "",
            "name:hello",
            "version:7",
            "name:\tversion:7",
            "name:a\tversion:",
            "name:a\tversion:+7",
            "name:a\tversion:-1",
            "name:a\tversion:4294967296",
            "name:a\tname:b\tversion:7",
            "name:a\tversion:7\tversion:7",
            "name:a_name_of_thirty_two_bytes_xxxxx\tversion:1",
        ] {
            assert_eq!(Manifest::parse(comment), None, "{comment:?}");
        }
    }
}
