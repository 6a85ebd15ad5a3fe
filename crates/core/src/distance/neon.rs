//! NEON: sixteen lanes in four registers of four.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::kernel::{self, Lanes, Source, Term};
use super::{Kernels, Panels, SimdLevel, half, tables};

pub(super) static KERNELS: Kernels = tables!(SimdLevel::Neon);

/// # Safety
/// As for [`kernel::many`].
#[target_feature(enable = "neon")]
unsafe fn many<T: Term, S: Source>(query: &[f32], rows: &[*const u8], out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::many::<Quad, T, S>(query, rows, out) }
}

/// # Safety
/// As for [`kernel::widen`].
#[target_feature(enable = "neon")]
unsafe fn widen<S: Source>(row: *const u8, out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::widen::<Quad, S>(row, out) }
}

/// # Safety
/// As for [`kernel::tile`].
#[target_feature(enable = "neon")]
unsafe fn tile<T: Term>(rows: &[&[f32]], panels: &Panels, out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::tile::<Quad, T, 4, 1>(rows, panels, out) }
}

#[derive(Clone, Copy)]
struct Quad(float32x4_t, float32x4_t, float32x4_t, float32x4_t);

impl Quad {
    /// Applies `operation` to each register.
    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        Self(
            operation(self.0, other.0),
            operation(self.1, other.1),
            operation(self.2, other.2),
            operation(self.3, other.3),
        )
    }
}

/// As [`half::widen`](super::half::widen): the instruction for it needs a type that Rust has not yet.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
unsafe fn widened(bits: uint32x4_t) -> float32x4_t {
    // SAFETY: the caller vouches for NEON.
    unsafe {
        let magnitude = vshlq_n_u32::<13>(vandq_u32(bits, vdupq_n_u32(0x7FFF)));
        let value = vmulq_f32(vreinterpretq_f32_u32(magnitude), vdupq_n_f32(half::UNIT));
        let sign = vshlq_n_u32::<16>(vandq_u32(bits, vdupq_n_u32(0x8000)));
        vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(value), sign))
    }
}

impl Lanes for Quad {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for NEON.
        unsafe { Self::splat(0.0) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller vouches for NEON.
        let four = unsafe { vdupq_n_f32(value) };
        Self(four, four, four, four)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for NEON and sixteen readable values.
        unsafe { Self(vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the caller vouches for NEON and sixteen readable values.
        unsafe {
            let four = |at: usize| widened(vmovl_u16(vld1_u16(from.add(at))));
            Self(four(0), four(4), four(8), four(12))
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        // SAFETY: the caller vouches for NEON and sixteen readable values.
        unsafe {
            let bytes = vld1q_u8(from);
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_u8(vget_high_u8(bytes)));
            let four = |numbers| vcvtq_f32_u32(vmovl_u16(numbers));
            Self(four(vget_low_u16(low)), four(vget_high_u16(low)), four(vget_low_u16(high)), four(vget_high_u16(high)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for NEON and room for sixteen values.
        unsafe {
            vst1q_f32(to, self.0);
            vst1q_f32(to.add(4), self.1);
            vst1q_f32(to.add(8), self.2);
            vst1q_f32(to.add(12), self.3);
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for NEON.
        self.zip(other, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller vouches for NEON.
        self.zip(other, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for NEON.
        unsafe {
            Self(
                vfmaq_f32(self.0, a.0, b.0),
                vfmaq_f32(self.1, a.1, b.1),
                vfmaq_f32(self.2, a.2, b.2),
                vfmaq_f32(self.3, a.3, b.3),
            )
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller vouches for NEON.
        unsafe {
            let four = vaddq_f32(vaddq_f32(self.0, self.2), vaddq_f32(self.1, self.3));
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        }
    }
}
