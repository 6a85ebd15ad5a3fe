//! Small numbers as ids of every type: tests speak of names 0, 1, 2, …, the index of numbers, bigints or strings.

use vicinal_core::{Id, IdType, Ids, Texts};

/// An id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    Key(u64),
    Text(String),
}

impl Name {
    pub fn of(id_type: IdType, number: usize) -> Self {
        let number = number as u64;
        match (id_type, number) {
            // The largest and the smallest safe integer, then ascending from below zero.
            (IdType::Number, 0) => Self::Key((1 << 53) - 1),
            (IdType::Number, 1) => Self::Key(-((1i64 << 53) - 1) as u64),
            (IdType::Number, _) => Self::Key(number.wrapping_sub(100)),
            (IdType::BigInt, 0) => Self::Key(u64::MAX),
            (IdType::BigInt, _) => Self::Key((number - 1) << 40),
            (IdType::String, 0) => Self::Text(String::new()),
            (IdType::String, _) => Self::Text(format!("{}·名\u{0}", number)),
        }
    }

    pub fn id(&self) -> Id<'_> {
        match self {
            Self::Key(key) => Id::Key(*key),
            Self::Text(text) => Id::Text(text),
        }
    }
}

impl From<Id<'_>> for Name {
    fn from(id: Id<'_>) -> Self {
        match id {
            Id::Key(key) => Self::Key(key),
            Id::Text(text) => Self::Text(text.to_string()),
        }
    }
}

/// The ids of these names.
pub fn ids(id_type: IdType, names: &[usize]) -> Ids {
    let names: Vec<Name> = names.iter().map(|&number| Name::of(id_type, number)).collect();
    if id_type == IdType::String {
        let texts =
            names.iter().filter_map(|name| if let Name::Text(text) = name { Some(text.as_str()) } else { None });
        return Ids::Texts(texts.collect::<Texts>());
    }
    Ids::Keys(names.iter().filter_map(|name| if let Name::Key(key) = name { Some(*key) } else { None }).collect())
}
