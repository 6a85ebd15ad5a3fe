//! Plain Rust, for any CPU: sixteen lanes in an array that the compiler may vectorise.
#![allow(unsafe_code)]

use std::array;

use super::kernel::{self, Lanes, Source, Term};
use super::{Kernels, LANES, Panels, SimdLevel, half, tables};

pub(super) static KERNELS: Kernels = tables!(SimdLevel::Scalar);

/// # Safety
/// As for [`kernel::many`].
unsafe fn many<T: Term, S: Source>(query: &[f32], rows: &[*const u8], out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::many::<Array, T, S>(query, rows, out) }
}

/// # Safety
/// As for [`kernel::widen`].
unsafe fn widen<S: Source>(row: *const u8, out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::widen::<Array, S>(row, out) }
}

/// # Safety
/// As for [`kernel::tile`].
unsafe fn tile<T: Term>(rows: &[&[f32]], panels: &Panels, out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::tile::<Array, T, 2, 1>(rows, panels, out) }
}

#[derive(Clone, Copy)]
struct Array([f32; LANES]);

impl Lanes for Array {
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller passes sixteen readable values.
        Self(unsafe { from.cast::<[f32; LANES]>().read() })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the caller passes sixteen readable values, which may be unaligned.
        Self(unsafe { from.cast::<[u16; LANES]>().read_unaligned() }.map(half::widen))
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        // SAFETY: the caller passes sixteen readable values.
        Self(unsafe { from.cast::<[u8; LANES]>().read() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller passes room for sixteen values.
        unsafe { to.cast::<[f32; LANES]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(array::from_fn(|lane| self.0[lane] - other.0[lane]))
    }

    // Two roundings: without the instruction, a fused multiplication and addition is a slow library call.
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(array::from_fn(|lane| self.0[lane] + a.0[lane] * b.0[lane]))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut lanes = self.0;
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
        }
        lanes[0]
    }
}
