//! AVX-512F: sixteen lanes in one register.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::avx2::sum_of_eight;
use super::kernel::{self, Lanes, Source, Term};
use super::{Kernels, Panels, SimdLevel, tables};

pub(super) static KERNELS: Kernels = tables!(SimdLevel::Avx512);

/// # Safety
/// As for [`kernel::many`].
#[target_feature(enable = "avx512f")]
unsafe fn many<T: Term, S: Source>(query: &[f32], rows: &[*const u8], out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::many::<__m512, T, S>(query, rows, out) }
}

/// # Safety
/// As for [`kernel::widen`].
#[target_feature(enable = "avx512f")]
unsafe fn widen<S: Source>(row: *const u8, out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::widen::<__m512, S>(row, out) }
}

/// # Safety
/// As for [`kernel::tile`].
#[target_feature(enable = "avx512f")]
unsafe fn tile<T: Term>(rows: &[&[f32]], panels: &Panels, out: &mut [f32]) {
    // SAFETY: the same contract.
    unsafe { kernel::tile::<__m512, T, 4, 4>(rows, panels, out) }
}

impl Lanes for __m512 {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX-512F and sixteen readable values.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the caller vouches for AVX-512F and sixteen readable values.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        // SAFETY: the caller vouches for AVX-512F and sixteen readable values.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for AVX-512F and room for sixteen values.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller vouches for AVX-512F, which contains AVX.
        unsafe {
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self)));
            sum_of_eight(_mm256_add_ps(_mm512_castps512_ps256(self), high))
        }
    }
}
