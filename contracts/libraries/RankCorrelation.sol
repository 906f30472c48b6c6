// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {Lanes} from "./Lanes.sol";

/// @title Spearman's rank correlation of two rows of up to 16 values
/// @notice Pearson's correlation of the mean ranks: equal values share the mean of their ranks.
/// @dev A row is one word of 16 lanes of 16 bits, each a value below 2^15 - 1, and all lanes are ranked at
/// once. With H the top bit of every lane, no lane of (X | H) - Y borrows from the next, and its top
/// bit is set where x >= y. For each lane that counts, u = (how many are <= it) - (how many are >= it)
/// is twice its mean rank less the mean of all ranks. It lies in [-16, 16] and sums to zero. Kept as
/// u + 16 in [1, 31] (and 16 in the lanes that do not count), products of two rows sum to at most
/// 16 * 31^2 < 2^16 and so stay within lanes: the top lane of X times Y reversed is their dot product.
library RankCorrelation {
    int256 private constant PPM = 1e6;
    uint256 private constant ONES = Lanes.ONES;
    uint256 private constant TOPS = Lanes.TOPS;
    uint256 private constant TWOS = 2 * ONES;
    uint256 private constant MIDDLE = 16 * ONES;

    /// @notice The correlation of rows `x` and `y` in ppm, in [-1e6, 1e6], truncated toward zero.
    /// @param counts 0xffff in every lane that counts, 0 in the others.
    /// @return ppm 0 where a row has no variance.
    /// @return xVaries Whether the values of x differ.
    /// @return yVaries Whether the values of y differ.
    function spearman(
        uint256 x,
        uint256 y,
        uint256 counts
    ) internal pure returns (int256 ppm, bool xVaries, bool yVaries) {
        x = centredRanks(x, counts);
        y = centredRanks(y, counts);
        xVaries = x != MIDDLE;
        yVaries = y != MIDDLE;
        if (!xVaries || !yVaries) return (0, xVaries, yVaries);
        uint256 yReversed = reversed(y);
        int256 covariance = dot(x, yReversed);
        // Safe: each dot product is at most 16 * 15^2 in size and a variance is at least 2, since u
        // sums to zero and is not all zero; so q <= 1e12, by Cauchy and Schwarz.
        unchecked {
            int256 q =
                (covariance * covariance * PPM * PPM) / (dot(x, reversed(x)) * dot(y, yReversed));
            ppm = int256(FixedPointMathLib.sqrt(uint256(q)));
            if (covariance < 0) ppm = -ppm;
        }
    }

    /// @notice u + 16 for every lane that counts, 16 for the others.
    /// @dev Compares each lane with the one `by` bits above it, around the word: for half of all distances, as each pair
    /// speaks for both of its lanes. Lanes that do not count are above all that do, which is then taken back.
    function centredRanks(uint256 x, uint256 counts) internal pure returns (uint256) {
        // Safe: x and y are below 2^15, so each lane of d is 2^15 + x - y, in [1, 2^16 - 1]; a lane of ranks starts at
        // 16, and moves by at most two in each of seven rounds and by one in the last.
        unchecked {
            uint256 topped = (x & counts) | ~counts | TOPS;
            uint256 less = topped - ONES;
            x = topped ^ TOPS;
            uint256 ranks = 2 * MIDDLE; // in halves
            for (uint256 by = 16; ; by += 16) {
                uint256 y = (x >> by) | (x << (256 - by));
                // One if x >= y, one more if x > y: less one, it is the sign of x - y.
                uint256 signs = (((topped - y) >> 14) & TWOS) + (((less - y) >> 14) & TWOS);
                ranks += signs;
                if (by == 128) break; // a lane and the one opposite: both speak
                ranks -= (signs << by) | (signs >> (256 - by));
            }
            ranks = (ranks >> 1) + (15 - Lanes.size(counts)) * ONES;
            return (ranks & counts) | (MIDDLE & ~counts);
        }
    }

    /// @notice The lanes in the opposite order.
    function reversed(uint256 x) internal pure returns (uint256) {
        x = (x >> 128) | (x << 128);
        uint256 low = 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
        x = ((x >> 64) & low) | ((x & low) << 64);
        low = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
        x = ((x >> 32) & low) | ((x & low) << 32);
        low = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        return ((x >> 16) & low) | ((x & low) << 16);
    }

    /// @notice The dot product of two rows of centred ranks, the second reversed.
    function dot(uint256 x, uint256 yReversed) internal pure returns (int256) {
        unchecked {
            // The sum of (u + 16)(v + 16) over 16 lanes is that of uv, plus 16 * 16^2: u, v sum to 0.
            return int256((x * yReversed) >> 240) - 4096;
        }
    }
}
