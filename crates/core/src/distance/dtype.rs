//! What values are in memory.

/// How the values of rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dtype {
    /// Single precision.
    #[default]
    F32,
    /// Half precision, to which values are rounded; those that would overflow are refused.
    F16,
    /// Whole numbers of −128 … 127; other values are refused.
    I8,
    /// Whole numbers of 0 … 255; other values are refused.
    U8,
}

impl Dtype {
    pub(crate) const ALL: [Self; 4] = [Self::F32, Self::F16, Self::I8, Self::U8];

    /// The name that JavaScript sees.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
            Self::U8 => "u8",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// Whether values are whole numbers of a byte.
    pub(crate) fn is_whole(self) -> bool {
        self.bytes() == 1
    }
}
