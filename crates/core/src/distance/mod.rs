//! Distances of rows from f32 vectors: the best instruction set of this CPU, chosen once at run time.
//!
//! Rows are padded to a multiple of sixteen values, so no kernel knows a remainder. Whatever their values are in memory,
//! they are single-precision ones in registers. The algorithms stand
//! once in [`kernel`], an instruction set's operations in the file of its name, the f64 reference in [`naive`].
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod bytes;
mod dtype;
pub(crate) mod half;
mod kernel;
pub(crate) mod naive;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panels;
mod scalar;
#[cfg(test)]
mod tests;

use std::env;
use std::sync::OnceLock;

pub use dtype::Dtype;
pub(crate) use panels::Panels;

/// What row lengths are padded to, in values.
pub(crate) const LANES: usize = 16;

/// What a byte stands above its number, where it stands for a signed one.
pub(crate) const BIAS: u8 = 128;

/// An instruction set that kernels are written for. Of those that a CPU has, a later one is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SimdLevel {
    /// Whatever the compiler makes of plain Rust.
    Scalar,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512F.
    Avx512,
    /// Advanced SIMD of aarch64.
    Neon,
}

impl SimdLevel {
    const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::Avx512, Self::Neon];

    /// As in `VICINAL_SIMD` and in the statistics of an index.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(unreachable_patterns, reason = "each architecture leaves other levels over")]
            _ => false,
        }
    }
}

/// What is computed from two rows; metrics are made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// Squared Euclidean distance Σ(a−b)², from the differences themselves.
    L2,
    /// Dot product Σab.
    Dot,
}

/// The kernels of one instruction set. A value of this type outside this folder proves that the CPU has it.
///
/// A result that overflows f32 on the way is infinite or NaN, never finite and wrong: callers fall back to [`naive`]
/// then. Every result is symmetric in its two rows. [`Kernels::many`] and [`Kernels::tile`] each give a pair of rows
/// the same bits wherever it stands, and the same at every level but [`SimdLevel::Scalar`]; those of `many` and of
/// `tile` differ from each other.
pub(crate) struct Kernels {
    level: SimdLevel,
    l2: Table,
    dot: Table,
    widen: ByDtype<Widen>,
}

type Many = unsafe fn(&[f32], &[*const u8], &mut [f32]);
type Widen = unsafe fn(*const u8, &mut [f32]);

/// The kernels of one measure.
struct Table {
    many: ByDtype<Many>,
    tile: unsafe fn(&[&[f32]], &Panels, &mut [f32]),
}

/// One kernel for each type of values in memory.
struct ByDtype<K> {
    single: K,
    half: K,
    signed: K,
    unsigned: K,
}

impl<K: Copy> ByDtype<K> {
    fn of(&self, dtype: Dtype) -> K {
        match dtype {
            Dtype::F32 => self.single,
            Dtype::F16 => self.half,
            Dtype::I8 => self.signed,
            Dtype::U8 => self.unsigned,
        }
    }
}

/// The kernels of a level, from its functions `many`, `tile` and `widen`.
macro_rules! tables {
    ($level:expr) => {{
        use super::kernel::{Half, Product, Signed, Single, SquaredDifference, Unsigned};
        use super::{ByDtype, Table};
        Kernels {
            level: $level,
            l2: Table {
                many: ByDtype {
                    single: many::<SquaredDifference, Single>,
                    half: many::<SquaredDifference, Half>,
                    signed: many::<SquaredDifference, Signed>,
                    unsigned: many::<SquaredDifference, Unsigned>,
                },
                tile: tile::<SquaredDifference>,
            },
            dot: Table {
                many: ByDtype {
                    single: many::<Product, Single>,
                    half: many::<Product, Half>,
                    signed: many::<Product, Signed>,
                    unsigned: many::<Product, Unsigned>,
                },
                tile: tile::<Product>,
            },
            widen: ByDtype {
                single: widen::<Single>,
                half: widen::<Half>,
                signed: widen::<Signed>,
                unsigned: widen::<Unsigned>,
            },
        }
    }};
}
use tables;

/// Best first. Private, since a reference to one must prove support.
static LEVELS: &[&Kernels] = &[
    #[cfg(target_arch = "x86_64")]
    &avx512::KERNELS,
    #[cfg(target_arch = "x86_64")]
    &avx2::KERNELS,
    #[cfg(target_arch = "aarch64")]
    &neon::KERNELS,
    &scalar::KERNELS,
];

impl Kernels {
    /// The level that `VICINAL_SIMD` names, or else the best that this CPU has; chosen at the first call.
    pub(crate) fn get() -> &'static Self {
        static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
        CHOSEN.get_or_init(|| {
            let forced = env::var("VICINAL_SIMD").ok();
            choose(forced.as_deref(), Self::available())
        })
    }

    /// Every level that this CPU has, best first.
    pub(crate) fn available() -> impl Iterator<Item = &'static Self> {
        LEVELS.iter().copied().filter(|kernels| kernels.level.is_supported())
    }

    pub(crate) fn level(&self) -> SimdLevel {
        self.level
    }

    /// Compares `query` with every row, of values of `dtype`, and writes the results in the rows' order. Rows may lie
    /// anywhere: the memory of coming ones is asked for while one is scored. A value has the same part in the result
    /// whatever its type is.
    ///
    /// # Safety
    /// Every row is readable for `query.len()` values, which is a multiple of 16. Rows aligned to 64 bytes are faster,
    /// and those of f32 must be aligned as f32 are.
    pub(crate) unsafe fn many(&self, raw: Raw, dtype: Dtype, query: &[f32], rows: &[*const u8], out: &mut [f32]) {
        debug_assert_eq!(query.len() % LANES, 0, "a padded query");
        assert_eq!(rows.len(), out.len(), "a result for every row");
        // SAFETY: the CPU has the level of every reachable value; the lengths were checked or are the caller's word.
        unsafe { (self.table(raw).many.of(dtype))(query, rows, out) }
    }

    /// Writes the values of a row in single precision.
    ///
    /// # Safety
    /// The row is readable for `out.len()` values of `dtype`, a multiple of 16, aligned as for [`Kernels::many`].
    pub(crate) unsafe fn widen(&self, dtype: Dtype, row: *const u8, out: &mut [f32]) {
        assert_eq!(out.len() % LANES, 0, "a padded row");
        // SAFETY: the CPU has the level of every reachable value; the lengths were checked or are the caller's word.
        unsafe { (self.widen.of(dtype))(row, out) }
    }

    /// Compares every row with every packed column: `out[row * panels.width() + column]`. What it writes to the columns
    /// that fill up the last panel means nothing.
    pub(crate) fn tile(&self, raw: Raw, rows: &[&[f32]], panels: &Panels, out: &mut [f32]) {
        assert!(rows.iter().all(|row| row.len() == panels.length()), "rows as long as the columns");
        assert_eq!(out.len(), rows.len() * panels.width(), "a result for every row and column");
        // SAFETY: the CPU has the level of every reachable value; the lengths were checked.
        unsafe { (self.table(raw).tile)(rows, panels, out) }
    }

    fn table(&self, raw: Raw) -> &Table {
        match raw {
            Raw::L2 => &self.l2,
            Raw::Dot => &self.dot,
        }
    }
}

/// The level named, or the first where it is unknown or not among `available`, which end with the scalar one.
fn choose(forced: Option<&str>, mut available: impl Iterator<Item = &'static Kernels>) -> &'static Kernels {
    let forced = forced.and_then(SimdLevel::parse);
    let Some(best) = available.next() else {
        return &scalar::KERNELS;
    };
    match forced {
        Some(level) if level != best.level => available.find(|kernels| kernels.level == level).unwrap_or(best),
        _ => best,
    }
}

/// Asks for the cache line of `address`, which may be any value; does nothing where there is no such instruction.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 CPU has the instruction; it never faults and changes nothing but the cache.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: every aarch64 CPU has the instruction; it never faults and changes nothing but the cache.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
