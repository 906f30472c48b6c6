// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {LogOfRatio} from "./LogOfRatio.sol";

/// @title Shares by the entropy weight method
/// @notice Several indicators, all benefits, say how much each of n updates should count. An indicator
/// that tells the updates apart (low entropy) weighs more than one that is even, none more than 2/3;
/// values are winsorised to [1/2, 2] times their lower median, and no update gets more than 2/n, so
/// that no single value lets its owner take the model over.
/// @dev WAD fixed point (1e18 is one). Values are below 2^128 and there are at most 16 updates, so that
/// products with WAD and their sums stay within 256 bits: the arithmetic is unchecked. Indices run below
/// the length of arrays that are all of the same length: access is unchecked too.
library EntropyShares {
    using DynamicArrayLib for uint256[];
    using FixedPointMathLib for int256;
    using FixedPointMathLib for uint256;

    uint256 internal constant WAD = 1e18;
    /// @dev Below this 1 - E an indicator counts as even. Rounding is below 1e-14.
    int256 private constant EVEN = 1e9;
    uint256 private constant MOST = (WAD * 2) / 3;

    /// @notice The shares of n updates, in WAD; they sum to at most WAD.
    /// @param indicators At least one, each the values of the n updates. Used as room to work in.
    /// @param medians Their lower medians; or zero for an indicator whose values are all the same, which is the quicker.
    function shares(
        uint256[][] memory indicators,
        uint256[] memory medians
    ) internal pure returns (uint256[] memory result) {
        uint256 n = indicators[0].length;
        result = new uint256[](n);
        if (n == 1) result[0] = WAD;
        if (n <= 1) return result;

        uint256 count = indicators.length;
        uint256[] memory sums = new uint256[](count);
        uint256[] memory weights = new uint256[](count);
        int256 logN = int256(n * WAD).lnWad();
        for (uint256 k = 0; k < count; ++k) {
            (sums[k], weights[k]) = winsorise(indicators[k], medians[k], logN);
        }
        toWeights(weights);
        for (uint256 k = 0; k < count; ++k) _addParts(result, indicators[k], weights[k], sums[k]);
        unchecked {
            // Weights sum to at most WAD, parts to one, and what all rounded up is less than one of the last place.
            uint256 most = (2 * WAD) / n;
            for (uint256 i = 0; i < n; ++i) result.set(i, (result.get(i) >> 160).min(most));
        }
    }

    /// @notice Clips n >= 2 values to [1/2, 2] times their lower median and doubles them, so that half the
    /// median is exact, in place; all become one where the median is given as zero.
    /// @param logN The logarithm of n, in WAD.
    /// @return sum Theirs.
    /// @return gain 1 - E, E the entropy of their parts in the sum over that of n equal parts; 0 if below `EVEN`.
    function winsorise(
        uint256[] memory values,
        uint256 median,
        int256 logN
    ) internal pure returns (uint256 sum, uint256 gain) {
        uint256 n = values.length;
        unchecked {
            // A median of zero makes every value zero, winsorised.
            if (median == 0) {
                for (uint256 i = 0; i < n; ++i) values.set(i, 1);
                return (n, 0);
            }
            // With values x, sum X and centre c, 1 - E is (the mean of x/X ln(x/c), less ln(X/nc)) / ln n.
            uint256 most = 4 * median;
            uint256 centre = 2 * median;
            int256 logs; // of x ln (x/c)
            for (uint256 i = 0; i < n; ++i) {
                uint256 x = 2 * values.get(i);
                if (x < median) x = median;
                else if (x > most) x = most;
                values.set(i, x);
                sum += x;
                logs += int256(x) * LogOfRatio.ln(x, centre);
            }
            // Safe: sum > 0, and a logarithm is below 2^96.
            int256 nats = logs.rawSDiv(int256(sum)) - LogOfRatio.ln(sum, n * centre);
            int256 result = ((nats * int256(WAD)) >> LogOfRatio.BITS) * int256(WAD);
            result = result.rawSDiv(logN); // ln n > 0
            gain = result < EVEN ? 0 : uint256(result);
        }
    }

    /// @notice Turns gains into weights that sum to at most WAD, in place: pro rata, equal if all are
    /// zero; what one has above 2/3 goes pro rata to the others, and stays where they have none.
    function toWeights(uint256[] memory gains) internal pure {
        uint256 count = gains.length;
        uint256 sum;
        uint256 top;
        unchecked {
            for (uint256 k = 0; k < count; ++k) {
                sum += gains[k];
                if (gains[k] > gains[top]) top = k;
            }
            uint256 others = sum - gains[top];
            bool capped = others != 0 && gains[top] * WAD > MOST * sum;
            for (uint256 k = 0; k < count; ++k) {
                if (sum == 0) gains[k] = WAD / count;
                else if (!capped) gains[k] = (gains[k] * WAD) / sum;
                else if (k == top) gains[k] = MOST;
                else gains[k] = (gains[k] * (WAD - MOST)) / others;
            }
        }
    }

    /// @dev Adds what part of their sum each value is, times a weight, times 2^160, rounded up.
    function _addParts(
        uint256[] memory to,
        uint256[] memory values,
        uint256 weight,
        uint256 sum
    ) private pure {
        unchecked {
            // Safe: a product is at most 2^160 times the weight, plus the sum of values, which is below 2^134.
            uint256 factor = (weight << 160).divUp(sum);
            for (uint256 i = 0; i < to.length; ++i) to.set(i, to.get(i) + values.get(i) * factor);
        }
    }
}
