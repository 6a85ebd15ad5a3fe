//! One row against one, by the kernels of simsimd.
//!
//! What simsimd offers in Rust chooses a kernel by the CPU alone. So the results of one level, and with them the links of
//! a graph, would differ from machine to machine (where one has SVE beside NEON), and would not follow `VICINAL_SIMD`.
//! The C interface of the same library gives out the kernel of a given instruction set, which is what is done here. Our
//! own kernel for many rows takes about half as long again for a single one, since it begins with prefetching.
#![allow(unsafe_code)]

use std::ffi::c_uint;
use std::ptr;
use std::sync::OnceLock;

// Links the library.
use simsimd as _;

/// The kernel for a pair of rows at one level.
pub(super) struct Pair {
    instructions: Instructions,
    measure: Measure,
    kernel: OnceLock<Option<Kernel>>,
}

/// Instruction sets by their bits in `simsimd_capability_t`.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "each architecture leaves others over")]
pub(super) enum Instructions {
    /// No kernel of simsimd.
    None = 0,
    Haswell = 1 << 10,
    Skylake = 1 << 11,
    Neon = 1 << 20,
}

/// Measures by their numbers in `simsimd_metric_kind_t`.
#[derive(Clone, Copy)]
pub(super) enum Measure {
    SquaredDifference = b'e' as isize,
    Product = b'i' as isize,
}

/// `simsimd_datatype_f32_k`.
const F32: c_uint = 1 << 11;

type Kernel = unsafe extern "C" fn(*const f32, *const f32, u64, *mut f64);

unsafe extern "C" {
    fn simsimd_capabilities() -> c_uint;
    fn simsimd_find_kernel_punned(
        kind: c_uint,
        datatype: c_uint,
        supported: c_uint,
        allowed: c_uint,
        kernel: *mut Option<Kernel>,
        capability: *mut c_uint,
    );
}

impl Pair {
    pub(super) const fn new(instructions: Instructions, measure: Measure) -> Self {
        Self { instructions, measure, kernel: OnceLock::new() }
    }

    /// Compares two rows of one length; `None` if simsimd was built without the instruction set.
    #[inline]
    pub(super) fn measure(&self, a: &[f32], b: &[f32]) -> Option<f32> {
        let kernel = (*self.kernel.get_or_init(|| self.find()))?;
        let mut result = 0.0;
        // SAFETY: the CPU has the kernel's instruction set; it reads as many values of both as there are, and writes one.
        unsafe { kernel(a.as_ptr(), b.as_ptr(), a.len().min(b.len()) as u64, &raw mut result) };
        Some(result as f32)
    }

    fn find(&self) -> Option<Kernel> {
        // Asked once: it keeps what it has found in plain statics.
        static SUPPORTED: OnceLock<c_uint> = OnceLock::new();
        // SAFETY: it asks the CPU and has no conditions, but that no other thread does so at the same time.
        let supported = *SUPPORTED.get_or_init(|| unsafe { simsimd_capabilities() });
        let (kind, wanted) = (self.measure as c_uint, self.instructions as c_uint);
        let (mut kernel, mut found) = (None, 0);
        // SAFETY: it writes both results, from tables that do not change. The kernels of these measures take rows, their
        // length and a place for the result.
        unsafe {
            simsimd_find_kernel_punned(
                kind,
                F32,
                supported,
                wanted,
                ptr::from_mut(&mut kernel),
                ptr::from_mut(&mut found),
            );
        }
        kernel.filter(|_| wanted != 0 && found == wanted)
    }
}
