//! What a section of the configuration is: a struct whose fields carry all that is said of them.
//!
//! From one declaration come the struct, its reading, its checks and its documentation, so that
//! none of them can say something else than the others.

use crate::config::error::{ConfigError, Origin};
use crate::config::source::Layers;
use crate::config::value::{Raw, Scalar, Setting, Shape};

/// One key of the configuration.
#[derive(Debug)]
pub(crate) struct Key {
    /// The section it stands in.
    pub(crate) section: &'static str,
    /// Its name in the section.
    pub(crate) name: &'static str,
    /// What it means, a line each.
    pub(crate) doc: &'static [&'static str],
    /// What holds when nobody says anything.
    pub(crate) default: Option<&'static str>,
    /// What it might be, where there is no default.
    pub(crate) example: Option<&'static str>,
    /// Lowest and highest value.
    pub(crate) range: Option<(&'static str, &'static str)>,
    /// How many values it takes.
    pub(crate) shape: Shape,
    /// What each value is.
    pub(crate) form: &'static str,
    /// Whether TOML wants quotes around it.
    pub(crate) quoted: bool,
    /// Whether its value is kept out of messages.
    pub(crate) secret: bool,
    /// How many commas each value has.
    pub(crate) commas: usize,
}

/// A struct of settings.
pub(crate) trait Section: Sized {
    /// Its name.
    const NAME: &'static str;
    /// What it is about, a line each.
    const DOC: &'static [&'static str];
    /// Its keys, in the order of its fields.
    const KEYS: &'static [Key];

    /// Reads it; `None` when the reader has noted errors.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// What is said of it.
    fn chapter() -> Chapter {
        Chapter {
            name: Self::NAME,
            doc: Self::DOC,
            keys: Self::KEYS,
        }
    }
}

/// A section as its documentation sees it.
pub(crate) struct Chapter {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static [&'static str],
    pub(crate) keys: &'static [Key],
}

/// Reads settings from the layers of sources, and notes what does not fit.
pub(crate) struct Reader<'a> {
    layers: &'a Layers,
    errors: &'a mut Vec<ConfigError>,
}

// === impl Key ===

impl Key {
    /// `section.name`.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `HOOKSEAL_SECTION_NAME`.
    pub(crate) fn variable(&self) -> String {
        format!("HOOKSEAL_{}_{}", self.section, self.name).to_ascii_uppercase()
    }

    /// What a value must be, with its range.
    pub(crate) fn expected(&self) -> String {
        let mut text = String::new();
        if self.shape == Shape::List {
            text.push_str("a list, each item ");
        }
        text.push_str(self.form);
        if let Some((min, max)) = self.range {
            text.push_str(&format!(", from {min} to {max}"));
        }
        text
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) fn new(layers: &'a Layers, errors: &'a mut Vec<ConfigError>) -> Self {
        Self { layers, errors }
    }

    /// Reads one setting; what does not fit is noted and gives `None`.
    pub(crate) fn setting<T: Setting>(&mut self, key: &Key) -> Option<T> {
        let default = key.default.map(|text| Raw::One(text.to_owned()));
        let (raw, origin) = match self.layers.entry(&key.path()) {
            Some(entry) => (Some(&entry.raw), Some(&entry.origin)),
            None => (default.as_ref(), None),
        };
        let setting = T::read(raw, |item| is_within(item, key.range));
        if setting.is_none() {
            self.errors.push(ConfigError::Value {
                key: key.path(),
                value: raw.filter(|_| !key.secret).map(Raw::shown),
                origin: origin.cloned().unwrap_or(Origin::Default),
                expected: key.expected(),
            });
        }
        setting
    }
}

fn is_within<T: Scalar>(item: &T, range: Option<(&str, &str)>) -> bool {
    let Some((min, max)) = range else { return true };
    let bounds = [T::parse(min), T::parse(max)];
    let [Some(min), Some(max)] = &bounds else {
        return false;
    };
    item.rank() >= min.rank() && item.rank() <= max.rank()
}

/// Declares a section: `field: Type = "default", from "min" to "max";`, or for a field that may be
/// absent `field: Option<Type>, such as "example";`. The comments above a field are what operators
/// read: unit and effect, and what absence means.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        pub struct $section:ident in $name:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $kind:ty
                    $(= $default:literal)?
                    $(, such as $example:literal)?
                    $(, from $min:literal to $max:literal)?
                ;
            )+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug)]
        pub struct $section {
            $( $(#[doc = $doc])+ pub $field: $kind, )+
        }

        impl $crate::config::section::Section for $section {
            const NAME: &'static str = $name;
            const DOC: &'static [&'static str] = &[$($section_doc),+];
            const KEYS: &'static [$crate::config::section::Key] = &[$(
                $crate::config::section::Key {
                    section: $name,
                    name: stringify!($field),
                    doc: &[$($doc),+],
                    default: $crate::config::section::given!($($default)?),
                    example: $crate::config::section::given!($($example)?),
                    range: $crate::config::section::given!($(($min, $max))?),
                    shape: <$kind as $crate::config::value::Setting>::SHAPE,
                    form: <<$kind as $crate::config::value::Setting>::Item
                        as $crate::config::value::Scalar>::FORM,
                    quoted: <<$kind as $crate::config::value::Setting>::Item
                        as $crate::config::value::Scalar>::QUOTED,
                    secret: <<$kind as $crate::config::value::Setting>::Item
                        as $crate::config::value::Scalar>::SECRET,
                    commas: <<$kind as $crate::config::value::Setting>::Item
                        as $crate::config::value::Scalar>::COMMAS,
                },
            )+];

            fn read(reader: &mut $crate::config::section::Reader<'_>) -> Option<Self> {
                let mut keys = Self::KEYS.iter();
                $( let $field = keys.next().and_then(|key| reader.setting::<$kind>(key)); )+
                Some(Self { $( $field: $field? ),+ })
            }
        }
    };
}
pub(crate) use section;

/// `Some` of what stands there, `None` of nothing.
macro_rules! given {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}
pub(crate) use given;
