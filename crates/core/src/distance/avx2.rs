//! AVX2, FMA and F16C: sixteen lanes in two registers of eight.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::kernel::{self, Lanes, Source, Term};
use super::{Kernels, Panels, SimdLevel, tables};

pub(super) static KERNELS: Kernels = tables!(SimdLevel::Avx2);

/// # Safety
/// As for [`kernel::many`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn many<T: Term, S: Source>(query: &[f32], rows: &[*const u8], out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::many::<Pair, T, S>(query, rows, out) }
}

/// # Safety
/// As for [`kernel::widen`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn widen<S: Source>(row: *const u8, out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::widen::<Pair, S>(row, out) }
}

/// # Safety
/// As for [`kernel::tile`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<T: Term>(rows: &[&[f32]], panels: &Panels, out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::tile::<Pair, T, 2, 2>(rows, panels, out) }
}

#[derive(Clone, Copy)]
struct Pair(__m256, __m256);

impl Lanes for Pair {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Self(_mm256_setzero_ps(), _mm256_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX2 and sixteen readable values.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the caller vouches for F16C and sixteen readable values.
        unsafe {
            let (low, high) = (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(8).cast()));
            Self(_mm256_cvtph_ps(low), _mm256_cvtph_ps(high))
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        // SAFETY: the caller vouches for AVX2 and sixteen readable values.
        unsafe {
            let bytes = _mm_loadu_si128(from.cast());
            let (low, high) = (_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes)));
            Self(_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for AVX2 and room for sixteen values.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for FMA.
        unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller vouches for AVX2.
        unsafe { sum_of_eight(_mm256_add_ps(self.0, self.1)) }
    }
}

/// Folds eight lanes by halves.
///
/// # Safety
/// The CPU has AVX.
#[inline(always)]
pub(super) unsafe fn sum_of_eight(lanes: __m256) -> f32 {
    // SAFETY: the caller vouches for AVX.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}
