//! Half precision (IEEE 754 binary16): eleven bits of precision, values up to 65,504, as bits in a `u16`.

/// What the bits of a half, moved to where those of an f32 stand, have to be multiplied with to be of the same value: the
/// biases of the two exponents differ by 112.
pub(super) const UNIT: f32 = f32::from_bits((112 + 127) << 23);

/// The least magnitude that rounds to infinity: half a step beyond the largest value.
pub(crate) const OVERFLOW: f32 = 65_520.0;

/// The value of a half, whatever it is.
pub(crate) fn value(half: u16) -> f32 {
    let is_finite = half & 0x7C00 != 0x7C00;
    if is_finite { widen(half) } else { f32::NAN }
}

/// The value of a half that is neither infinite nor NaN.
#[inline(always)]
pub(super) fn widen(half: u16) -> f32 {
    let magnitude = f32::from_bits(u32::from(half & 0x7FFF) << 13) * UNIT;
    f32::from_bits(magnitude.to_bits() | u32::from(half & 0x8000) << 16)
}

/// The half that is nearest to `value`, of two the even one. `value` is below [`OVERFLOW`] in magnitude.
#[inline(always)]
pub(crate) fn narrow(value: f32) -> u16 {
    /// The least normal half, and a value whose last place is that of halves below.
    const NORMAL: u32 = (127 - 14) << 23;
    const ALIGNED: f32 = 0.5;
    let magnitude = value.to_bits() & 0x7FFF_FFFF;
    let half = if magnitude < NORMAL {
        (f32::from_bits(magnitude) + ALIGNED).to_bits() - ALIGNED.to_bits()
    } else {
        // Half of the last place, less one unless the result would be odd.
        let odd = magnitude >> 13 & 1;
        (magnitude - (112 << 23) + 0xFFF + odd) >> 13
    };
    half as u16 | (value.to_bits() >> 16) as u16 & 0x8000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_its_own_nearest() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7C00 != 0x7C00) {
            let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1_023));
            let magnitude = match exponent {
                0 => mantissa * 2f64.powi(-24),
                _ => (1_024.0 + mantissa) * 2f64.powi(exponent - 25),
            };
            let value = if bits >> 15 == 1 { -magnitude } else { magnitude };
            assert_eq!(f64::from(widen(bits)), value);
            assert_eq!(widen(bits).is_sign_negative(), bits >> 15 == 1);
            assert_eq!(narrow(widen(bits)), bits);
        }
    }

    #[test]
    fn values_go_to_the_nearest_half_and_of_two_to_the_even_one() {
        for bits in 0..0x7BFFu16 {
            let (low, high) = (widen(bits), widen(bits + 1));
            // Exact: halves have eleven bits.
            let middle = (low + high) / 2.0;
            assert_eq!(narrow(middle), if bits % 2 == 0 { bits } else { bits + 1 });
            assert_eq!((narrow(middle.next_down()), narrow(middle.next_up())), (bits, bits + 1));
            assert_eq!(narrow(-middle.next_up()), 0x8000 | (bits + 1));
        }
        assert_eq!(narrow(OVERFLOW.next_down()), 0x7BFF);
        assert_eq!(widen(0x7BFF), 65_504.0);
    }
}
